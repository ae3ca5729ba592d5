"""Who may import whom: the directions that ARCHITECTURE.md draws, and where third parties live."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pytest_submariner"

MAY_IMPORT = {
    "model": set(),
    "dataplane": {"model"},
    "paths": {"model"},
    "compare": {"model"},
    "report": {"model"},
    "kube": {"model"},
    "transport": {"model", "kube"},
    "nodestate": {"model", "transport"},
    "probes": {"model", "kube", "paths", "transport", "nodestate"},
    "diagnose": {"model", "dataplane", "kube", "transport", "nodestate"},
    "lab": {"model", "dataplane"},
    "providers": {"model", "kube", "lab"},
    "fixtures": {"model", "compare", "paths", "transport", "nodestate"},
}
"""Package -> packages it may import; `errors` is everybody's. Modules beside the packages are the plugin: they may import all."""

ONLY_IN = {
    "kubernetes": {"kube"},
    "urllib3": {"kube"},
    "websocket": {"kube"},
    "paramiko": {"transport"},
    "pytest_kind": {"providers"},
    "allure": {"report"},
    "allure_commons": {"report"},
    "jinja2": {"report", "diagnose"},
    "aiohttp": {"lab"},
    "cryptography": {"lab"},
    "jsonpatch": {"lab"},
}
"""Third party -> where it is imported."""
PLUGIN_MODULES_OF_PACKAGES = {
    "providers": {"settings", "options"},
    "fixtures": {"keys", "session", "settings", "items"},
}


def _imports() -> Iterator[tuple[str, str, str]]:
    """(file, package of the file or "", imported module)."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).parts
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                yield str(file.relative_to(PACKAGE)), parts[0] if len(parts) > 1 else "", name


IMPORTS = list(_imports())


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_arrows_never_turn_round(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package, "errors"} | PLUGIN_MODULES_OF_PACKAGES.get(package, set())
    wrong = []
    for file, where, name in IMPORTS:
        first, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if where == package and first == "pytest_submariner" and target and target not in allowed:
            wrong.append(f"{file} imports {name}")
    assert wrong == []


def test_every_package_has_its_place() -> None:
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert packages == set(MAY_IMPORT)


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_third_party_lives_at_one_address(library: str) -> None:
    users = {where for _, where, name in IMPORTS if name.partition(".")[0] == library}
    assert users <= ONLY_IN[library]


def test_the_lab_never_imports_pytest() -> None:
    assert [
        file for file, where, name in IMPORTS if where == "lab" and name.partition(".")[0] in {"pytest", "_pytest"}
    ] == []


def test_the_model_needs_the_standard_library_only() -> None:
    foreign = {
        name.partition(".")[0]
        for _, where, name in IMPORTS
        if where in {"model", "dataplane", "paths"} and name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == {"pytest_submariner"}

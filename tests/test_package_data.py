"""What is no Python file ships all the same: templates, styles, schemas, programs."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_data_file_is_named_in_the_package_data() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    left_out = []
    for file in sorted((ROOT / "pytest_submariner").rglob("*")):
        is_hidden = any(part.startswith(".") for part in file.relative_to(ROOT).parts)  # caches of tools
        if is_hidden or not file.is_file() or file.suffix in (".py", ".pyc"):
            continue
        package = next(folder for folder in file.parents if (folder / "__init__.py").is_file())
        inside = file.relative_to(package)
        # As setuptools reads them: a pattern without a slash does not descend.
        if not any(len(Path(p).parts) == len(inside.parts) and inside.match(p) for p in patterns):
            left_out.append(str(file.relative_to(ROOT)))
    assert left_out == []

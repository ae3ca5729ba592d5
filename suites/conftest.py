"""Items from marks: a test says which paths it asks, its folder is the suite. One item per path, or per group of paths."""

from __future__ import annotations

import pytest

from pytest_submariner.compare.mapping import spec_of
from pytest_submariner.items import suite_cases, suite_groups
from pytest_submariner.paths.cases import select

_NO_MESH = pytest.param(
    "every-pair", marks=pytest.mark.skip(reason="asks every ordered pair of nodes: give --submariner-mesh")
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "submariner_paths(*, source=(), target=(), protocol=(), size=None): one item for every path of the suite between these "
        "kinds, as parameter `path`; a word, several, or all; size is pmtu or bulk",
    )
    config.addinivalue_line(
        "markers",
        "submariner_path_groups(kind): one item for every group of paths, as parameter `group`; kind is mesh (from the nodes of a "
        "role to all nodes of a cluster) or passive (with a passive gateway node)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    suite = metafunc.definition.path.parent.name
    for mark in metafunc.definition.iter_markers():
        try:
            if mark.name == "submariner_paths":
                cases = select(suite_cases(metafunc.config, suite), *mark.args, **mark.kwargs)
                metafunc.parametrize("path", [pytest.param(c.id, id=c.id, marks=_counterpart(c.id)) for c in cases])
            elif mark.name == "submariner_path_groups":
                groups = suite_groups(metafunc.config, suite, *mark.args, **mark.kwargs)
                metafunc.parametrize("group", groups or [_NO_MESH], ids=str)
        except (ValueError, TypeError) as error:
            why = str(error).removeprefix("select() ").removeprefix("suite_groups() ")
            pytest.fail(f"{metafunc.definition.nodeid}: mark {mark.name}: {why}", pytrace=False)


def _counterpart(path_id: str) -> list[pytest.MarkDecorator]:
    """The mark of a path that a spec of `subctl verify` asks as well."""
    spec = spec_of(path_id)
    return [pytest.mark.submariner_subctl(spec.text)] if spec else []

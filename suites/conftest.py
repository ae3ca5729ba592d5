"""One item per path: a test says which kinds it asks by the mark `submariner_paths`, its folder is the suite."""

from __future__ import annotations

import pytest

from pytest_submariner.compare.mapping import spec_of
from pytest_submariner.items import suite_cases
from pytest_submariner.paths.cases import select


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "submariner_paths(*, source=(), target=(), protocol=(), size=None): one item for every path of the suite between these "
        "kinds, as parameter `path`; a word, several, or all; size is pmtu or bulk",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker("submariner_paths")
    if mark is not None:
        try:
            cases = select(suite_cases(metafunc.config, metafunc.definition.path.parent.name), **mark.kwargs)
        except (ValueError, TypeError) as error:
            pytest.fail(f"{metafunc.definition.nodeid}: mark submariner_paths: {error}", pytrace=False)
        metafunc.parametrize("path", [pytest.param(case.id, id=case.id, marks=_counterpart(case.id)) for case in cases])


def _counterpart(path_id: str) -> list[pytest.MarkDecorator]:
    """The mark of a path that a spec of `subctl verify` asks as well."""
    spec = spec_of(path_id)
    return [pytest.mark.submariner_subctl(spec.text)] if spec else []

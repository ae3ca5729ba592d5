"""--submariner-plan: which paths would be asked, what each promises, and nothing touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_submariner import items, marks
from pytest_submariner.report.text import title

if TYPE_CHECKING:
    from pytest_submariner.session import Session


def prevent_workers(config: pytest.Config) -> None:
    """Printing needs no workers. To be called before pytest-xdist reads these in its own, last, pytest_configure."""
    if config.pluginmanager.hasplugin("xdist"):
        config.option.dist, config.option.tx, config.option.numprocesses = "no", [], None


def show(session: Session, collected: list[pytest.Item]) -> None:
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.section("submariner plan", sep="=", bold=True)
        for line in lines(session, collected):
            reporter.write_line(line)


def lines(session: Session, collected: list[pytest.Item]) -> Iterator[str]:
    """A line per path: id, expectation, the sentence. Then what else would run."""
    from pytest_submariner.paths.expectations import promise

    yield session.settings.describe()
    paths = {case.id: (case, item) for item in collected for case in items.paths_of(item)}
    width = max((len(path) for path in paths), default=0)
    for path, (case, item) in paths.items():
        try:
            expected = promise(case).expected.value
        except ValueError:
            expected = "ok"
        alone = " (disruptive)" if marks.is_disruptive(item) else ""
        yield f"{path:<{width}}  {expected:<9}  {title(case)}{alone}"
    others = sum(1 for item in collected if items.touches_world(item) and items.path_of(item) is None)
    yield f"{len(paths)} paths; {others} other tests use the clusters; {len(collected)} tests in all. Nothing was touched."

"""Tests that load the clusters: whether this run asked for them, what becomes of their figures, and what the thresholds say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_submariner import marks
from pytest_submariner.errors import PathFailed, RequirementUnmet, TransportError
from pytest_submariner.keys import SESSION
from pytest_submariner.model.performance import Figure, LoadCase, Measure, State
from pytest_submariner.options import OPTIONS
from pytest_submariner.paths.loads import loads
from pytest_submariner.settings import Settings

if TYPE_CHECKING:
    from pytest_submariner.session import Session

FOLDER = "performance"
_SHORTEST = 4
"""Letters a word of -k needs to be about these tests: `-k c1` is not."""


def suite_loads(config: pytest.Config, measure: Measure) -> list[LoadCase]:
    """The figures of this measure for the clusters the settings name. For `pytest_generate_tests` of a suite. Figures between clusters are
    there even if only one cluster was named."""
    session = config.stash.get(SESSION, None)
    positions = session.settings.positions if session is not None else ()
    return loads(positions if len(positions) > 1 else ("c1", "c2"), measure)


def deselect(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In place: what loads clusters stays only where somebody asked for it, by option or by name."""
    session = config.stash.get(SESSION, None)
    if session is None or session.settings.wants_performance:
        return
    folders, files = _named(config)
    dropped = [
        item
        for item in items
        if marks.is_performance(item)
        and item.path not in files
        and folders.isdisjoint(item.path.parents)
        and not _is_selected(config, item)
    ]
    if dropped:
        items[:] = [item for item in items if item not in set(dropped)]
        config.hook.pytest_deselected(items=dropped)


def record(session: Session, item: pytest.Item, measured: Figure) -> Figure:
    """Keep a figure for every writer. Returns it as recorded: with its place, and as missed where a threshold is."""
    from pytest_submariner.report import allure, performance

    state = State.MISSED if missed(measured, session.settings) else measured.state
    figure = replace(measured, nodeid=item.nodeid, state=state)
    session.recorder.add_figure(figure)
    session.answers += figure.has_value
    item.user_properties.extend(performance.properties(figure))
    if allure.is_active(item.config):
        performance.tell_allure(figure, session.recorder.figures)
    return figure


def judge(session: Session, figure: Figure) -> None:
    """Raise what the state means: PathFailed, TransportError, RequirementUnmet (a skip), or nothing."""
    __tracebackhide__ = True
    if figure.state is State.SKIPPED:
        raise RequirementUnmet(figure.detail)
    if figure.state is State.ERROR:
        raise TransportError(f"{figure.id}: {figure.detail}")
    if figure.state is State.FAILED:
        raise PathFailed(f"{figure.id}: nothing to measure: {figure.detail}")
    if figure.state is State.MISSED:
        raise PathFailed(missed(figure, session.settings))


def missed(figure: Figure, settings: Settings) -> str:
    """What was measured, what is allowed, and between which nodes; empty when it is allowed.

    Thresholds are for paths between clusters: what a cluster's own network carries is not Submariner's to promise."""
    case = figure.case
    if not case.path.is_cross_cluster:
        return ""
    least, most = settings.min_throughput, settings.max_latency
    if figure.mbit_s is not None and least is not None and figure.mbit_s < least:
        found = f"{figure.mbit_s:,.1f} Mbit/s over {case.streams} stream{'s' if case.streams > 1 else ''}"
        allowed, name = f"at least {least:,g} Mbit/s", "min_throughput"
    elif figure.round_trips is not None and most is not None and figure.round_trips.p99 > most:
        found = f"a 99th percentile of {figure.round_trips.p99:.3f} ms"
        allowed, name = f"at most {most:g} ms", "max_latency"
    else:
        return ""
    return (
        f"{figure.id}: measured {found}, allowed is {allowed} ({OPTIONS[name].flag}, from {settings.source(name)})\n"
        f"path: {figure.source_node} → {figure.target_node} ({figure.target_address})\n{figure.detail}"
    )


def _named(config: pytest.Config) -> tuple[set[Path], set[Path]]:
    """Folders called performance, and files, that the command line (or testpaths) names."""
    places = {place.resolve() for argument in config.args for place in _places(config, argument)}
    return {p for p in places if p.is_dir() and p.name == FOLDER}, {p for p in places if p.is_file()}


def _places(config: pytest.Config, argument: str) -> Iterator[Path]:
    word = argument.partition("::")[0].partition("[")[0]
    place = config.invocation_params.dir / word
    if place.exists():
        yield place
    elif config.getoption("pyargs", False) and re.fullmatch(r"\w+(\.\w+)*", word):
        try:
            found = find_spec(word)
        except (ImportError, ValueError):
            return
        if found is not None and found.origin:
            yield Path(found.origin)
        yield from map(Path, (found.submodule_search_locations or ()) if found else ())


def _is_selected(config: pytest.Config, item: pytest.Item) -> bool:
    """Whether -k or -m has a word about this item in particular. That the expression holds for it is pytest's business."""
    own = (FOLDER, getattr(item, "originalname", item.name).removeprefix("test_"))
    words = re.findall(r"[\w-]+", config.getoption("keyword", "") or "")
    by_keyword = any(len(word) >= _SHORTEST and word.lower() in name for word in words for name in own)
    return by_keyword or marks.PERFORMANCE in re.findall(r"\w+", config.getoption("markexpr", "") or "")

"""Items: which of them ask for us, which path each is, in what order they run. Collection only; no cluster is touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from pytest_submariner import marks
from pytest_submariner.model.path import PathCase
from pytest_submariner.paths.groups import PassiveGateways, PathGroup, mesh_rows

if TYPE_CHECKING:
    from pytest_submariner.session import Session

MEASURING = frozenset({"reach", "assert_path", "assert_paths"})
"""Fixtures that ask paths."""
LOADING = frozenset({"assert_performance"})
"""Fixtures that measure under load."""
TOUCHING = (
    MEASURING
    | LOADING
    | {
        "cluster_pair",
        "clusters",
        "gateway_node",
        "node_exec",
        "node_state",
        "non_gateway_node",
        "submariner_lab",
        "submariner_subctl_report",
        "submariner_topology",
    }
)
"""Fixtures that need the world."""


def is_ours(item: pytest.Item) -> bool:
    """Whether an item asks for us at all, by a fixture or a mark. All others are left exactly as they are."""
    by_fixture = touches_world(item) or any(n.startswith("submariner_") for n in getattr(item, "fixturenames", ()))
    return by_fixture or any(mark.name in marks.NAMES for mark in item.iter_markers())


def touches_world(item: pytest.Item) -> bool:
    return not TOUCHING.isdisjoint(getattr(item, "fixturenames", ()))


def measures(item: pytest.Item) -> bool:
    return not MEASURING.isdisjoint(getattr(item, "fixturenames", ()))


def loads(item: pytest.Item) -> bool:
    return not LOADING.isdisjoint(getattr(item, "fixturenames", ()))


def paths_of(item: pytest.Item) -> Iterator[PathCase]:
    """The paths in an item's parameters: ids, or cases. Empty for items that do not measure."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or not measures(item):
        return
    for value in callspec.params.values():
        if isinstance(value, PathCase):
            yield value
        elif isinstance(value, str) and "--" in value:
            try:
                yield PathCase.parse(value)
            except ValueError:
                continue


def path_of(item: pytest.Item) -> PathCase | None:
    return next(paths_of(item), None)


def group_of(item: pytest.Item) -> PathGroup | None:
    """The group of paths in an item's parameters."""
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec is not None else ()
    return next((value for value in values if isinstance(value, PathGroup)), None)


def suite_cases(config: pytest.Config, suite: str) -> list[PathCase]:
    """The cases of a suite for the clusters the settings name, as plugins leave them. For `pytest_generate_tests` of a suite:
    parametrize with their ids. A suite between clusters has its cases for c1 and c2 even if only one cluster was named."""
    from pytest_submariner.keys import SESSION
    from pytest_submariner.paths.cases import cases

    session = config.stash.get(SESSION, None)
    positions = session.settings.positions if session is not None else ("c1", "c2")
    found = cases(suite, positions) or cases(suite, ("c1", "c2"))
    config.hook.pytest_submariner_path_cases(config=config, suite=suite, cases=found)
    return found


def suite_groups(config: pytest.Config, suite: str, kind: str) -> Sequence[PathGroup]:
    """The groups of paths of a suite for the clusters the settings name: the rows of the mesh (none unless it is asked for), or the
    paths with passive gateway nodes. ValueError for another kind."""
    from pytest_submariner.keys import SESSION

    session = config.stash.get(SESSION, None)
    positions = session.settings.positions if session is not None else ("c1", "c2")
    if kind == "mesh":
        return mesh_rows(positions) if session is not None and session.settings.mesh else []
    if kind == "passive":
        inside = [(position, position) for position in positions]
        across = list(permutations(positions if len(positions) > 1 else ("c1", "c2"), 2))
        return [PassiveGateways(*pair) for pair in (inside if suite == "intra_cluster" else across)]
    raise ValueError(f"kind {kind!r} is not known; allowed are mesh, passive")


def parametrize_pairs(metafunc: pytest.Metafunc) -> None:
    """`cluster_pair` for every ordered pair of the clusters the settings name: `c1-c2` and `c2-c1` at least."""
    if "cluster_pair" not in metafunc.fixturenames:
        return
    from pytest_submariner.keys import SESSION

    session = metafunc.config.stash.get(SESSION, None)
    positions = session.settings.positions if session is not None else ()
    pairs = permutations(positions if len(positions) > 1 else ("c1", "c2"), 2)
    metafunc.parametrize("cluster_pair", [f"{one}-{other}" for one, other in pairs], indirect=True, scope="session")


def order(items: list[pytest.Item]) -> None:
    """In place, otherwise in the order they came: paths, then figures, then what breaks something. Nothing is measured after a repair."""
    items.sort(key=lambda item: (marks.is_disruptive(item), marks.is_performance(item)))


def select(session: Session, items: Iterable[pytest.Item]) -> None:
    """Note what will run, so that the first question to the probes can be all of them."""
    chosen = list(items)
    measuring = [item for item in chosen if measures(item)]
    session.touched = any(map(touches_world, chosen))
    session.asked = any(measures(item) or loads(item) for item in chosen)
    ordinary = [item for item in measuring if not marks.is_disruptive(item)]
    session.select((case for item in ordinary for case in paths_of(item)), filter(None, map(group_of, ordinary)))


def unreachable(session: Session) -> str | None:
    """Why the selected paths cannot be: they need more clusters than were named. None when they can."""
    settings = session.settings
    if settings.provider != "kubeconfig":
        return None
    lacking = [
        c for c in session.selected.values() if not {c.source.cluster, c.target.cluster} <= set(settings.positions)
    ]
    if not lacking:
        return None
    option = "--submariner-context" if settings.context else "--submariner-kubeconfig"
    named = ", ".join(settings.context or map(str, settings.kubeconfig))
    return (
        f"{option} names {len(settings.positions)} cluster ({named}), and {len(lacking)} of {len(session.selected)} selected paths need "
        f"another, first {lacking[0].id}: name a second cluster with --submariner-context, or run the suite intra_cluster alone"
    )

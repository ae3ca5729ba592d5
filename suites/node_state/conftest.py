"""One item per cluster, role of its nodes and aspect of their state. Collected from words; no cluster is asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import allure
import pytest

from pytest_submariner.dataplane.aspects import Aspect
from pytest_submariner.keys import SESSION
from pytest_submariner.model.topology import Role, Topology
from pytest_submariner.nodecheck import Checked, Place, checks_of, judge

EPIC = "Nodes as Submariner should have made them"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" not in metafunc.fixturenames:
        return
    session = metafunc.config.stash.get(SESSION, None)
    positions = session.settings.positions if session is not None else ("c1", "c2")
    cases = [(Place(role.place, position), aspect) for position, role, aspect in product(positions, Role, Aspect)]
    metafunc.parametrize(("place", "aspect"), [pytest.param(p, a, id=f"{p}-{a.value}") for p, a in cases])


@pytest.fixture
def assert_node_state(
    request: pytest.FixtureRequest, submariner_topology: Topology
) -> Callable[[Place, Aspect], list[Checked]]:
    """Fails unless all nodes of a place are, in one aspect, as the model says. The nodes of all selected items are read at the
    first use, those of a pytest-xdist worker when it gets to them."""
    _describe(*(request.node.callspec.params[name] for name in ("place", "aspect")))
    is_worker = hasattr(request.config, "workerinput")
    expected = [] if is_worker else [place for item in request.session.items if (place := _place_of(item)) is not None]
    checks = checks_of(request.config, expected)

    def check(place: Place, aspect: Aspect) -> list[Checked]:
        __tracebackhide__ = True
        checked = checks.check(place, aspect)
        _tell(checked)
        judge(place, aspect, checked)
        return checked

    return check


def _place_of(item: pytest.Item) -> Place | None:
    callspec = getattr(item, "callspec", None)
    place = callspec.params.get("place") if callspec is not None else None
    return place if isinstance(place, Place) else None


def _describe(place: Place, aspect: Aspect) -> None:
    tell: Any = allure.dynamic  # its functions carry no types
    tell.epic(EPIC)
    tell.feature(aspect.label)
    tell.story(place.title)
    tell.parent_suite(EPIC)
    tell.suite(place.title)
    tell.title(f"{aspect.label} of {place.title} are as the objects demand")


def _tell(checked: list[Checked]) -> None:
    """A step per node; what deviates is attached to it."""
    for one in checked:
        result = one.skipped or (str(one.error) if one.error else f"{len(one.deviations) or 'no'} deviations")
        with allure.step(f"{one.node.name}: {result}"):
            lines = [line for deviation in one.deviations for line in (*deviation.lines(), "")]
            if lines:
                allure.attach("\n".join(lines), "expected and found", allure.attachment_type.TEXT)

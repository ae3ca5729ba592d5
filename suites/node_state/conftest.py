"""One item per cluster, role of its nodes and aspect of their state. Collected from words; no cluster is asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import allure
import pytest

from pytest_submariner.dataplane.aspects import Aspect
from pytest_submariner.errors import ConformanceFailed
from pytest_submariner.keys import SESSION
from pytest_submariner.model.topology import Role, Topology
from pytest_submariner.nodecheck import Checked, NodeCase, Place, checks_of, judge
from pytest_submariner.report.text import count

EPIC = "Nodes as Submariner should have made them"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" not in metafunc.fixturenames:
        return
    session = metafunc.config.stash.get(SESSION, None)
    positions = session.settings.positions if session is not None else ("c1", "c2")
    cases = [NodeCase(Place(role.place, c), aspect) for c, role, aspect in product(positions, Role, Aspect)]
    metafunc.parametrize("case", cases, ids=str)


@pytest.fixture
def assert_node_state(
    request: pytest.FixtureRequest, submariner_topology: Topology
) -> Callable[[NodeCase], list[Checked]]:
    """Fails unless all nodes of a place are, in one aspect, as the model says. The nodes of all selected items are read at the
    first use, those of a pytest-xdist worker when it gets to them."""
    is_worker = hasattr(request.config, "workerinput")
    expected = [] if is_worker else [case.place for item in request.session.items if (case := _case_of(item))]
    checks = checks_of(request.config, expected)

    def check(case: NodeCase) -> list[Checked]:
        __tracebackhide__ = True
        _describe(case)
        checked = checks.check(case)
        _tell(checked)
        judge(case, checked)
        return checked

    return check


def _case_of(item: pytest.Item) -> NodeCase | None:
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("case") if callspec is not None else None
    return case if isinstance(case, NodeCase) else None


def _describe(case: NodeCase) -> None:
    tell: Any = allure.dynamic  # its functions carry no types
    tell.title(case.title)
    tell.epic(EPIC)
    tell.feature(case.aspect.label)
    tell.story(case.place.title)
    tell.parent_suite(EPIC)
    tell.suite(case.place.title)


def _tell(checked: list[Checked]) -> None:
    """A step per node, red when it deviates or could not be judged; what deviates is attached to it."""
    for one in checked:
        problem: Exception | None = one.error
        if one.deviations:
            problem = ConformanceFailed(f"{one.deviations[0].part} of {one.node.name}")
        number = count(len(one.deviations), "deviation") if one.deviations else "as expected"
        step: Any = allure.step(f"{one.node.name}: {one.skipped or one.error or number}")
        step.__enter__()
        if one.deviations:
            lines = [line for deviation in one.deviations for line in (*deviation.lines(), "")]
            allure.attach("\n".join(lines), "expected and found", allure.attachment_type.TEXT)
        # Handed over, not raised: a raised one would bring a traceback through this file into the report.
        step.__exit__(type(problem) if problem else None, problem, None)

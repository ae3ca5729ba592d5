"""Does `subctl verify` say the same as we do? One item per stock spec, against the report that --submariner-subctl-junit names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_submariner import PathResult
from pytest_submariner.compare.diff import judge
from pytest_submariner.compare.ginkgo import GinkgoReport
from pytest_submariner.compare.mapping import SPECS
from pytest_submariner.report import allure

BY_ID = {spec.id.lower(): spec for spec in SPECS}


@pytest.mark.parametrize("spec_id", list(BY_ID))
def test_same_answer(spec_id: str, request: pytest.FixtureRequest, reach: Callable[[str], PathResult]) -> None:
    """The stock spec and our path agree: both reach the other end, or neither does.

    Skips when one side has no answer: the spec did not run, could not be set up, or has no counterpart among the paths.
    """
    spec = BY_ID[spec_id]
    allure.describe_spec(spec.id, spec.text, spec.path_id)
    # Asked for here and not as an argument, so that a skip for want of a report still has its place in Allure.
    report: GinkgoReport = request.getfixturevalue("submariner_subctl_report")
    found = judge(spec, report, reach)
    if found.agree is None:
        pytest.skip(f"not compared: {found.reason}")
    if not found.agree:
        pytest.fail(found.explain(), pytrace=False)

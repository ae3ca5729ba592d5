"""Which letter stands where."""

from __future__ import annotations

import pytest

from pytest_submariner.model.path import Kind
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Expectation, Verdict
from pytest_submariner.report import matrix


def result(path_id: str, verdict: Verdict = Verdict.OK) -> PathResult:
    return PathResult(path_id, Expectation.OK, verdict)


def test_one_matrix_per_ordered_pair_inside_first() -> None:
    ids = [
        "pod.gw.c2--pod.gw.c1--tcp",
        "pod.gw.c1--pod.gw.c2--tcp",
        "pod.gw.c2--pod.ngw.c2--tcp",
        "pod.gw.c1--pod.ngw.c1--tcp",
    ]
    assert [m.title for m in matrix.matrices(map(result, ids))] == ["inside c1", "inside c2", "c1 → c2", "c2 → c1"]


def test_letters_follow_the_protocols_of_the_column() -> None:
    (table,) = matrix.matrices(
        [
            result("pod.gw.c1--pod.gw.c2--icmp", Verdict.WRONG_SOURCE),
            result("pod.gw.c1--pod.gw.c2--tcp"),
            result("pod.ngw.c1--pod.gw.c2--udp", Verdict.BLOCKED),
            result("pod.gw.c1--svc.gw.c2--tcp", Verdict.STALLED),
        ]
    )
    assert table.cell((Kind.POD, "gw"), (Kind.POD, "gw")) == ". ~"
    assert table.cell((Kind.POD, "ngw"), (Kind.POD, "gw")) == " X "
    assert table.cell((Kind.POD, "gw"), (Kind.SVC, "gw")) == "%"
    assert table.cell((Kind.POD, "ngw"), (Kind.SVC, "gw")) == " "


@pytest.mark.parametrize("extra", ["pod.ngw2.c1--pod.gw.c2--tcp", "pod.ngw.c1--pod.gw.c2--tcp--pmtu"])
def test_the_worst_of_several_paths_is_shown(extra: str) -> None:
    results = [result("pod.ngw.c1--pod.gw.c2--tcp"), result(extra, Verdict.BLOCKED)]
    for order in (results, results[::-1]):
        (table,) = matrix.matrices(order)
        assert table.cell((Kind.POD, "ngw"), (Kind.POD, "gw")) == "X"


def test_status_and_unknown_ids_have_no_place() -> None:
    assert matrix.matrices(map(result, ["gateway.gw.c1--gateway.gw.c2--status", "a--b--c", "not an id"])) == []

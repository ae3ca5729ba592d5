"""Items that stand for many paths: recorded one by one, judged together, asked at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_run import Fake

TESTS = """
import pytest
from pytest_submariner.model.path import Protocol
from pytest_submariner.paths.groups import MeshRow, PassiveGateways

ROWS = [MeshRow("c1", "c2", "gw", Protocol.TCP), MeshRow("c1", "c2", "ngw", Protocol.TCP)]


@pytest.mark.parametrize("group", ROWS, ids=str)
def test_row(group, assert_paths):
    assert_paths(group)
"""
PASSIVE = """

def test_passive(assert_paths):
    assert_paths(PassiveGateways("c1", "c2"))
"""
GW_GW, GW_NGW = "pod.gw.c1--pod.gw.c2--tcp", "pod.gw.c1--pod.ngw.c2--tcp"
NGW_GW, NGW_NGW = "pod.ngw.c1--pod.gw.c2--tcp", "pod.ngw.c1--pod.ngw.c2--tcp"


def results(fake: Fake) -> dict[str, dict[str, Any]]:
    document = json.loads((fake.pytester.path / "reports/results.json").read_text())
    return {path["id"]: path for path in document["paths"]}


def test_every_path_of_every_row_is_asked_at_the_first_question_and_recorded(fake: Fake) -> None:
    fake.pytester.makepyfile(test_mesh=TESTS)
    result = fake.pytester.runpytest("-v")
    result.assert_outcomes(passed=2)
    assert [sorted(batch.split()) for batch in fake.logged("measure")] == [[GW_GW, GW_NGW, NGW_GW, NGW_NGW]]
    assert set(results(fake)) == {GW_GW, GW_NGW, NGW_GW, NGW_NGW}
    assert results(fake)[NGW_GW]["nodeid"].endswith("test_row[pod.ngw.c1--pod.c2--tcp]")
    result.stdout.fnmatch_lines(
        ["*test_row?pod.ngw.c1--pod.c2--tcp? PASSED*", "mesh: 4 of the 36 paths between 4 nodes *"]
    )


def test_a_path_with_an_item_of_its_own_is_asked_once_and_recorded_there(fake: Fake) -> None:
    fake.pytester.makepyfile(test_mesh=TESTS)
    fake.paths()
    fake.pytester.runpytest().assert_outcomes(passed=5)
    asked = " ".join(fake.logged("measure")).split()
    assert len(asked) == len(set(asked)) == 4
    assert results(fake)[GW_GW]["nodeid"] == f"test_paths.py::test_path[{GW_GW}]"
    assert results(fake)[NGW_NGW]["nodeid"].startswith("test_mesh.py")


def test_one_bad_path_fails_its_row_alone(fake: Fake) -> None:
    fake.verdicts({NGW_NGW: "blocked"})
    fake.pytester.makepyfile(test_mesh=TESTS)
    result = fake.pytester.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*PathFailed: pod.ngw.c1--pod.c2--tcp: 1 blocked of 2 paths"])
    assert results(fake)[NGW_NGW]["command"] == "ping -c1 example"
    assert results(fake)[NGW_GW]["command"] == ""


@pytest.mark.parametrize(
    ("verdict", "outcome", "line"),
    [
        ("inconclusive", {"failed": 0}, "*ProbeInconclusive: pod.ngw.c1--pod.c2--tcp: 1 inconclusive of 2 paths"),
        ("error", {"failed": 0}, "*TransportError: pod.ngw.c1--pod.c2--tcp: 1 error of 2 paths"),
    ],
)
def test_what_cannot_be_told_is_an_error(fake: Fake, verdict: str, outcome: dict[str, int], line: str) -> None:
    fake.verdicts({NGW_NGW: verdict})
    fake.pytester.makepyfile(test_mesh=TESTS)
    result = fake.pytester.runpytest()
    assert result.parseoutcomes().get("failed", 0) == outcome["failed"]
    assert result.parseoutcomes()["error" if "error" in result.parseoutcomes() else "errors"] == 1
    result.stdout.fnmatch_lines([line])


def test_without_such_nodes_the_item_is_skipped_and_says_so(fake: Fake) -> None:
    fake.pytester.makepyfile(test_mesh=TESTS + PASSIVE)
    result = fake.pytester.runpytest("-rs")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(
        ["SKIPPED*needs a passive gateway node in c1, which has 1 gateway, 1 non-gateway nodes; c2*"]
    )


def test_a_sample_says_what_it_leaves_out(fake: Fake) -> None:
    fake.pytester.makepyfile(test_mesh=TESTS)
    result = fake.pytester.runpytest("--submariner-mesh", "--submariner-sample=1")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["mesh: 2 of the 36 paths between 4 nodes are asked; --submariner-sample 1 leaves out*"]
    )
    document = json.loads((fake.pytester.path / "reports/results.json").read_text())
    assert len(document["paths"]) == 2
    assert any("leaves out the others" in note for note in document["notes"])


def test_nodes_without_the_labels_take_no_part(fake: Fake) -> None:
    fake.pytester.makepyfile(test_mesh=TESTS)
    result = fake.pytester.runpytest("--submariner-nodes=zone=a", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        ["SKIPPED*needs an active gateway node in c1, which has no nodes (of those --submariner-nodes zone=a selects)"]
    )


def test_rows_travel_through_workers(fake: Fake) -> None:
    fake.verdicts({NGW_NGW: "blocked"})
    fake.pytester.makepyfile(test_mesh=TESTS)
    result = fake.pytester.runpytest_subprocess("-n2")
    result.assert_outcomes(passed=1, failed=1)
    assert {path["verdict"] for path in results(fake).values()} == {"ok", "blocked"}
    assert len(results(fake)) == 4

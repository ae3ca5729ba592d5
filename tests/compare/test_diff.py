"""When two answers are the same, when they differ, and when there is nothing to compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_submariner.compare.diff import ABSENT, compare, judge
from pytest_submariner.compare.ginkgo import GinkgoReport, SpecReport, State, read_junit
from pytest_submariner.compare.mapping import CONNECTIVITY, SPECS, Spec
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Expectation, Verdict

DATA = Path(__file__).with_name("data")
BY_ID = {spec.id: spec for spec in SPECS}
TCP_01, TCP_09 = BY_ID["TCP-01"], BY_ID["TCP-09"]
NOBODY = "Expected\n    <int32>: 1\nto equal\n    <int32>: 0"


def ours(spec: Spec, verdict: Verdict = Verdict.OK) -> PathResult:
    assert spec.path_id is not None
    return PathResult(spec.path_id, Expectation.OK, verdict, 1, detail="measured", evidence=("a line",), command="ping")


def report(spec: Spec, state: State, message: str = "", node: str = "It") -> GinkgoReport:
    said = SpecReport(spec.text, ("dataplane",), state, message, node if message else "", "a.go:1", 2.5)
    return GinkgoReport("subctl.xml", "", "", interrupted=False, specs=(said,))


def test_healthy_run_agrees_on_all_twelve() -> None:
    found = compare(read_junit(DATA / "healthy.junit.xml"), [ours(spec) for spec in CONNECTIVITY]).to_dict()
    assert (found["agree"], found["disagree"], found["not_compared"]) == (12, 0, 36)
    assert len(found["specs"]) == 48
    assert {spec["reason"] for spec in found["specs"] if spec["agree"] is None} == {"subctl did not select it"}


def test_the_same_fault_on_both_sides_agrees() -> None:
    results = [ours(spec, Verdict.BLOCKED if spec is TCP_09 else Verdict.OK) for spec in CONNECTIVITY]
    found = compare(read_junit(DATA / "no-snat.junit.xml"), results).to_dict()
    assert (found["agree"], found["disagree"], found["not_compared"]) == (12, 0, 36)


def test_a_fault_only_subctl_saw_disagrees_with_the_evidence_of_both() -> None:
    found = compare(read_junit(DATA / "no-snat.junit.xml"), [ours(spec) for spec in CONNECTIVITY])
    (odd,) = (spec for spec in found.specs if spec.agree is False)
    assert (odd.spec_id, odd.subctl, odd.ours) == ("TCP-09", "failed", "ok")
    assert odd.explain().splitlines() == [
        "subctl verify disagrees on TCP-09 (hostpod.ngw.c1--pod.ngw.c2--tcp): subctl failed, ours ok",
        "  subctl: failed after 31.2 s at shipyard/test/e2e/framework/network_pods.go:196: nobody reached the listener",
        "  subctl: message: Expected <int32>: 1 to equal <int32>: 0",
        "  ours: ok: measured",
        "  ours: a line",
        "  ours: by hand: ping",
    ]


@pytest.mark.parametrize(
    ("state", "verdict", "agree"),
    [
        (State.PASSED, Verdict.OK, True),
        (State.PASSED, Verdict.BLOCKED, False),
        (State.PASSED, Verdict.WRONG_SOURCE, False),
        (State.PASSED, Verdict.KNOWN_ISSUE, False),
        (State.FAILED, Verdict.OK, False),
        (State.FAILED, Verdict.BLOCKED, True),
        (State.FAILED, Verdict.STALLED, True),
        (State.FAILED, Verdict.KNOWN_ISSUE, True),
        (State.PASSED, Verdict.SKIPPED, None),
        (State.PASSED, Verdict.ERROR, None),
        (State.FAILED, Verdict.INCONCLUSIVE, None),
    ],
)
def test_agreement(state: State, verdict: Verdict, agree: bool | None) -> None:
    message = NOBODY if state is State.FAILED else ""
    found = judge(TCP_01, report(TCP_01, state, message), lambda _: ours(TCP_01, verdict))
    assert found.agree is agree
    assert found.ours == verdict.word


@pytest.mark.parametrize("state", [s for s in State if s not in (State.PASSED, State.FAILED)])
def test_no_answer_of_subctl_is_never_a_verdict_and_nothing_is_measured_for_it(state: State) -> None:
    def measure(path_id: str) -> PathResult:
        raise AssertionError(f"{path_id} was measured in vain")

    found = judge(TCP_01, report(TCP_01, state, "a reason"), measure)
    assert found.agree is None
    assert found.reason
    assert found.subctl == state.value


@pytest.mark.parametrize(
    ("message", "node", "reason"),
    [
        (NOBODY, "BeforeEach", "failed in BeforeEach"),
        (NOBODY, "AfterEach", "failed in AfterEach"),
        ('Failed to await pod ready. Pod "x" is still pending: status: {}', "It", "the listener pod never ran"),
        ('Failed to await pod "x" finished. Pod status is Pending', "It", "the connector pod was never scheduled"),
        ("unexpected pod phase Failed - expected Pending or Running", "It", "a test pod died at once"),
        ("Failed to await active gateway Pod", "It", "not exactly one gateway pod"),
        ("Error creating namespace &{}: AlreadyExists", "It", "the test namespace could not be made"),
    ],
)
def test_failed_set_up_says_nothing_about_the_path(message: str, node: str, reason: str) -> None:
    found = judge(TCP_01, report(TCP_01, State.FAILED, message, node), lambda _: ours(TCP_01, Verdict.OK))
    assert found.agree is None
    assert reason in found.reason


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        (NOBODY, "nobody reached the listener"),
        ("Expected\n    <string>: x\nto contain substring\n    <string>: 10.8.2.10", "the listener saw another source"),
        (
            "Expected\n    <string>: x\nto contain substring\n    <string>: 5f3a-11",
            "connected, but the payload was lost",
        ),
        ('Failed to await pod "x" finished. Pod status is Running', "the connection hung"),
        ("Failed to await active connection on Gateway", "does not report the cable as connected"),
        ("something new\nsecond line", "something new"),
    ],
)
def test_failure_is_told_in_words(message: str, meaning: str) -> None:
    found = judge(TCP_01, report(TCP_01, State.FAILED, message), lambda _: ours(TCP_01))
    assert found.agree is False
    assert meaning in found.theirs[0]


def test_source_that_subctl_does_not_look_at_is_noted() -> None:
    found = judge(TCP_09, report(TCP_09, State.PASSED), lambda _: ours(TCP_09, Verdict.WRONG_SOURCE))
    assert found.agree is False
    assert found.reason == "this spec does not look at the source address"
    seen = judge(TCP_01, report(TCP_01, State.PASSED), lambda _: ours(TCP_01, Verdict.WRONG_SOURCE))
    assert seen.reason == ""


def test_path_that_was_not_measured_is_not_compared() -> None:
    found = judge(TCP_01, report(TCP_01, State.PASSED), lambda _: None)
    assert (found.agree, found.reason) == (None, "pod.ngw.c1--pod.ngw.c2--tcp was not measured")


@pytest.mark.parametrize(
    ("spec_id", "reason"), [("SD-01", "names"), ("GN-01", "Globalnet"), ("RAR-01", "disruption"), ("FIPS-01", "path")]
)
def test_spec_without_counterpart_says_what_is_missing(spec_id: str, reason: str) -> None:
    found = judge(BY_ID[spec_id], report(BY_ID[spec_id], State.PASSED), lambda _: None)
    assert found.agree is None
    assert reason in found.reason


def test_of_two_paths_of_a_spec_one_that_fails_decides() -> None:
    spec = BY_ID["GWF-02"]

    def measure(path_id: str) -> PathResult:
        return PathResult(path_id, Expectation.OK, Verdict.BLOCKED if ".ngw." in path_id else Verdict.OK, 1)

    assert judge(spec, report(spec, State.PASSED), measure).agree is False


def test_report_without_a_connectivity_spec_names_it_as_absent() -> None:
    found = compare(report(TCP_01, State.PASSED), [ours(TCP_01)])
    assert [spec.agree for spec in found.specs] == [True] + [None] * 11
    assert found.specs[1].subctl == ABSENT


def test_spec_that_is_newer_than_the_table_is_listed_once() -> None:
    new = SpecReport("A brand-new spec", (), State.PASSED)
    found = compare(GinkgoReport("x.xml", "", "", interrupted=False, specs=(new, new)), [])
    assert [(spec.name, spec.path_id, spec.agree) for spec in found.specs[12:]] == [("A brand-new spec", None, None)]

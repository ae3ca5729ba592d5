"""Verdicts: the table of what came back against what was promised."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_submariner.model.path import PathCase
from pytest_submariner.model.verdict import Expectation, SourceExpectation, Verdict
from pytest_submariner.paths.expectations import Promise
from pytest_submariner.probes.judge import Ends, judge
from pytest_submariner.probes.measurement import Measurement, Outcome

CROSS = PathCase.parse("pod.ngw.c1--pod.gw.c2--tcp")
LOCAL = PathCase.parse("pod.ngw.c1--pod.gw.c1--tcp")
ENDS = Ends(
    source_address="10.8.2.5",
    source_addresses=("10.8.2.1", "127.0.0.1", "172.18.1.2", "240.18.1.2"),
    source_pod_cidrs=("10.8.0.0/16",),
    target="pod pod-c2-gw on c2-gw (10.9.1.5)",
    listener="pod-c2-gw",
)
ANSWER = Measurement(
    id=CROSS.id,
    outcome=Outcome.ANSWERED,
    attempts=1,
    history=(Outcome.ANSWERED,),
    rtt_ms=0.4,
    seen="10.8.2.5",
    listener="pod-c2-gw",
)


def promised(expected: str = "ok", source: str = "preserved") -> Promise:
    return Promise(Expectation(expected), SourceExpectation(source), "for a test", "this file")


def got(outcome: str) -> Measurement:
    word = Outcome(outcome)
    return replace(ANSWER, outcome=word, attempts=2, history=(word, word), seen=None, listener=None, error="no answer")


@pytest.mark.parametrize(
    ("outcome", "must_be_ok", "must_be_blocked"),
    [
        ("refused", Verdict.BLOCKED, Verdict.OK),
        ("timeout", Verdict.BLOCKED, Verdict.OK),
        ("unreachable", Verdict.BLOCKED, Verdict.OK),
        ("reset", Verdict.BLOCKED, Verdict.UNEXPECTED),
        ("stalled", Verdict.STALLED, Verdict.UNEXPECTED),
        ("mismatch", Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),
        ("unable", Verdict.ERROR, Verdict.ERROR),
        ("unsupported", Verdict.SKIPPED, Verdict.SKIPPED),
    ],
)
def test_without_an_answer(outcome: str, must_be_ok: Verdict, must_be_blocked: Verdict) -> None:
    assert judge(CROSS, promised(), got(outcome), ENDS).verdict is must_be_ok
    assert judge(CROSS, promised("blocked", "any"), got(outcome), ENDS).verdict is must_be_blocked


def test_the_table_has_every_outcome() -> None:
    assert {o.value for o in Outcome} == {
        "answered", "refused", "timeout", "unreachable", "reset", "stalled", "mismatch", "unable",
        "unsupported",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("case", "source", "seen", "verdict"),
    [
        (CROSS, "preserved", "10.8.2.5", Verdict.OK),
        (CROSS, "preserved", "10.8.2.1", Verdict.WRONG_SOURCE),
        (CROSS, "preserved", "10.8.2.50", Verdict.WRONG_SOURCE),  # 10.8.2.5 is its beginning: subctl would be content
        (CROSS, "node", "10.8.2.1", Verdict.OK),
        (CROSS, "node", "172.18.1.2", Verdict.WRONG_SOURCE),  # the node's, but not routed back
        (CROSS, "node", "240.18.1.2", Verdict.WRONG_SOURCE),
        (LOCAL, "node", "172.18.1.2", Verdict.OK),
        (LOCAL, "node", "10.8.2.5", Verdict.WRONG_SOURCE),
        (CROSS, "any", "192.0.2.1", Verdict.OK),
        (CROSS, "egress", "242.0.0.1", Verdict.INCONCLUSIVE),
    ],
)
def test_the_source_the_listener_saw(case: PathCase, source: str, seen: str, verdict: Verdict) -> None:
    judgement = judge(case, promised(source=source), replace(ANSWER, seen=seen), ENDS)
    assert judgement.verdict is verdict
    if verdict is Verdict.WRONG_SOURCE:
        assert seen in judgement.detail
        assert "promised is" in judgement.detail


def test_an_answer_that_does_not_tell_its_source_proves_nothing_where_one_is_promised() -> None:
    silent = replace(ANSWER, seen=None)
    assert judge(CROSS, promised(), silent, ENDS).verdict is Verdict.INCONCLUSIVE
    assert judge(CROSS, promised(source="any"), silent, ENDS).verdict is Verdict.OK


def test_another_pod_at_the_address_is_not_the_target() -> None:
    stranger = replace(ANSWER, listener="pod-c1-gw")
    judgement = judge(CROSS, promised(), stranger, ENDS)
    assert judgement.verdict is Verdict.BLOCKED
    assert "pod-c1-gw" in judgement.detail
    assert judge(CROSS, promised("blocked", "any"), stranger, ENDS).verdict is Verdict.INCONCLUSIVE


def test_what_must_be_blocked_and_answers_is_unexpected() -> None:
    judgement = judge(CROSS, promised("blocked", "any"), ANSWER, ENDS)
    assert judgement.verdict is Verdict.UNEXPECTED
    assert "must be blocked" in judgement.detail


def test_without_pod_cidrs_any_address_of_the_node_will_do() -> None:
    unknown = replace(ENDS, source_pod_cidrs=())
    assert judge(CROSS, promised(source="node"), replace(ANSWER, seen="172.18.1.2"), unknown).verdict is Verdict.OK


def test_a_node_without_cni_address_is_said_so() -> None:
    bare = replace(ENDS, source_addresses=("172.18.1.2",))
    judgement = judge(CROSS, promised(source="node"), replace(ANSWER, seen="172.18.1.2"), bare)
    assert judgement.verdict is Verdict.WRONG_SOURCE
    assert "none was found on the node" in judgement.detail


def test_attempts_are_told() -> None:
    tried = replace(got("stalled"), history=(Outcome.TIMEOUT, Outcome.STALLED))
    assert "timeout then stalled in 2 attempts (no answer)" in judge(CROSS, promised(), tried, ENDS).detail


PMTU = PathCase.parse("pod.ngw.c1--pod.gw.c2--icmp--pmtu")


@pytest.mark.parametrize(
    ("reached", "must_carry", "verdict", "words"),
    [
        (1450, 1450, Verdict.OK, "packets up to 1450 bytes reach pod pod-c2-gw"),
        (1500, 1450, Verdict.OK, "larger ones end in silence"),
        (1449, 1450, Verdict.BLOCKED, "answers small packets, but unfragmented ones only up to 1449 bytes"),
        (1450, None, Verdict.INCONCLUSIVE, "no MTU is known"),
        (None, 1450, Verdict.INCONCLUSIVE, "nobody told which sizes"),
    ],
)
def test_the_largest_packet(reached: int | None, must_carry: int | None, verdict: Verdict, words: str) -> None:
    measured = replace(ANSWER, reached=reached, stopped="silence", seen=None, listener=None)
    ends = replace(ENDS, listener=None, must_carry=must_carry, mtu_words="MTU 1500 less the tunnels' 50")
    judgement = judge(PMTU, promised(source="any"), measured, ends)
    assert judgement.verdict is verdict
    assert words in judgement.detail

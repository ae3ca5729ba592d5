"""Failures by chance: what is asked again, and what the shares mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from observations import failing, healthy

from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.repeating import repeat, repeated
from pytest_submariner.diagnose.reasoning.repeats import (
    MOST,
    ArpAnswers,
    Repeat,
    contradictory,
    lossy_nodes,
    worth_repeating,
)
from pytest_submariner.diagnose.tracing.trace import Trace
from pytest_submariner.errors import TransportError
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.transport.node import NodeExec

GW, W1, W2 = ("c1", "c1-gw"), ("c1", "c1-w1"), ("c1", "c1-w2")
_NAMES = {GW: "gw", W1: "ngw", W2: "ngw2"}


def ping(source: tuple[str, str], target: tuple[str, str], lost: int, sent: int = 30) -> Repeat:
    return Repeat(f"hostpod.{_NAMES[source]}.c1--hostpod.{_NAMES[target]}.c1--icmp", source, target, sent, lost)


def by_chance(seen: Observation) -> Observation:
    """One failing path was answered when it was traced."""
    seen = failing(seen, "pod.ngw.{a}--pod.gw.{b}--udp")
    (flow,) = seen.failing
    return replace(seen, traces={flow.id: Trace(flow.id, (), answered=True)})


def test_shares_come_with_their_interval() -> None:
    low, high = ping(GW, W1, 9).interval
    assert (round(low, 3), round(high, 3)) == (0.167, 0.479)  # Wilson's, by hand
    assert ping(GW, W1, 0).interval[0] == 0
    assert Repeat("x", GW, W1, 0, 0).interval == (0, 1)
    assert "9 of 30 probes lost (30%; with 95 % confidence 17% to 48%)" in ping(GW, W1, 9).text


@pytest.mark.parametrize(
    ("lost", "lossy"), [(0, False), (1, False), (2, False), (3, True), (9, True), (29, True), (30, False)]
)
def test_one_lost_probe_is_no_loss_and_all_are_no_chance(lost: int, lossy: bool) -> None:
    assert ping(GW, W1, lost).is_lossy is lossy


def test_the_node_that_lossy_pairs_have_in_common() -> None:
    repeats = (ping(GW, W1, 9), ping(W1, GW, 8), ping(W1, W2, 10), ping(GW, W2, 0), ping(W2, GW, 0))
    (found,) = lossy_nodes(repeats)
    assert found.node == W1
    assert len(found.inside) == 3
    assert {repeat.path_id for repeat in found.clean} == {ping(GW, W2, 0).path_id, ping(W2, GW, 0).path_id}


def test_of_one_pair_the_node_that_is_no_gateway() -> None:
    assert lossy_nodes((ping(GW, W1, 9), ping(W1, GW, 8)))[0].node == W1
    assert lossy_nodes((ping(GW, W1, 9), ping(W1, W2, 0), ping(W2, W1, 0)))[0].node == GW


def test_loss_on_paths_of_submariner_alone_is_nobodys_link() -> None:
    across = Repeat("pod.ngw.c1--pod.gw.c2--udp", W1, ("c2", "c2-gw"), 30, 9)
    assert lossy_nodes((across, ping(GW, W1, 0), ping(W1, GW, 0))) == ()


def test_what_looks_like_chance() -> None:
    seen = healthy()
    assert not contradictory(seen)
    assert contradictory(by_chance(seen))
    one = failing(seen, "pod.ngw.{a}--pod.gw.{b}--udp")
    assert contradictory(one)  # TCP and ICMP between the same ends work
    whole = failing(seen, "pod.ngw.{a}--pod.gw.{b}--*")
    assert not contradictory(whole)
    again = tuple(replace(f, result=replace(f.result, attempts=3)) if f.works else f for f in whole.flows)
    assert contradictory(replace(whole, flows=again))


def test_what_is_asked_again_is_bounded_and_starts_with_hosts() -> None:
    cases = worth_repeating(failing(healthy(workers=6), "*.ngw*.{a}--*.{b}--*"))
    assert len(cases) == MOST
    assert str(cases[0]).startswith("hostpod.")
    assert any(case.is_cross_cluster for case in cases)
    assert len(set(cases)) == len(cases)


def answering(lose: int) -> tuple[list[int], object]:
    """A prober that loses the first `lose` repetitions of each path."""
    asked: list[int] = []

    def ask(cases: Sequence[PathCase]) -> dict[str, PathResult]:
        asked.append(len(cases))
        known = {flow.case.id: flow.result for flow in healthy().flows}
        results = {}
        for case in cases:
            base, number = replace(case, tags=case.tags[:-1]), int(case.tags[-1].removeprefix("again"))
            verdict = Verdict.BLOCKED if number < lose else Verdict.OK
            if base.id not in known:
                continue
            results[case.id] = replace(known[base.id], id=case.id, verdict=verdict)
        return results

    return asked, ask


def test_repetitions_are_asked_at_once_and_counted() -> None:
    asked, ask = answering(lose=4)
    case = PathCase.parse("hostpod.gw.c1--hostpod.ngw.c1--icmp")
    (found,) = repeat(healthy(), ask, [case], times=25)  # type: ignore[arg-type]
    assert (found.path_id, found.source, found.target) == (case.id, GW, W1)
    assert (found.sent, found.lost) == (25, 4)
    assert asked == [25]


class NoTool:
    """A node on which nothing can be asked."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def run(self, *_: object, **__: object) -> object:
        raise TransportError("no shell there")


def no_tool(node: Node) -> NodeExec:
    return NoTool(node)  # type: ignore[return-value]


def test_plain_failures_are_not_asked_again() -> None:
    seen = failing(healthy(), "pod.ngw.{a}--pod.gw.{b}--*")
    asked, ask = answering(lose=0)
    assert repeated(seen, ask, no_tool) is seen  # type: ignore[arg-type]
    assert asked == []


def test_what_could_not_be_asked_is_named() -> None:
    _, ask = answering(lose=0)
    found = repeated(by_chance(healthy()), ask, no_tool)  # type: ignore[arg-type]
    assert found.repeats
    assert found.arp_answers == ()
    assert any("could not ask who answers" in note for note in found.unread)


def test_records_come_back_from_json() -> None:
    lossy, answers = ping(GW, W1, 9), ArpAnswers("c1", "c1-w1", "172.18.1.1", ("02:00:00:00:00:01",))
    assert Repeat.from_dict(json.loads(json.dumps(lossy.to_dict()))) == lossy
    assert ArpAnswers.from_dict(json.loads(json.dumps(answers.to_dict()))) == answers

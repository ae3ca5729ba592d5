"""Which flows are traced: few, of every sort, and never two whose packets look alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from captures import flow_of
from observations import failing, healthy

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.tracing.representatives import MOST, representatives
from pytest_submariner.lab.faults.signatures import NODE
from pytest_submariner.model.path import Kind, Protocol
from pytest_submariner.model.topology import Node
from pytest_submariner.model.verdict import Verdict

SEEN = healthy()


def test_one_flow_stands_for_itself() -> None:
    flow = flow_of(SEEN, "pod.ngw.c1--pod.ngw.c2--icmp--pmtu")
    assert representatives([flow]) == (flow,)


def test_plain_tcp_first() -> None:
    flows = [flow_of(SEEN, f"pod.ngw.c1--pod.ngw.c2--{rest}") for rest in ("icmp--pmtu", "udp", "tcp--bulk", "tcp")]
    assert representatives(flows, 1) == (flows[-1],)


def test_what_cannot_be_traced_is_left_out() -> None:
    flow = flow_of(SEEN, "pod.ngw.c1--pod.ngw.c2--tcp")
    unplaced = replace(flow, result=replace(flow.result, target_address=""))
    ipv6 = replace(flow, result=replace(flow.result, target_address="fd00::7"))
    status = flow_of(SEEN, "gateway.gw.c1--gateway.gw.c2--status")
    vx = flow_of(SEEN, "hostpod.ngw.c1--vx.gw.c1--icmp")
    assert representatives([unplaced, ipv6, status, vx]) == ()


def test_every_node_kind_and_protocol_of_a_node_cut_off() -> None:
    broken = failing(SEEN, NODE).failing
    chosen = representatives(broken)
    assert len(chosen) == MOST < len(broken)

    def sorts(flows: Sequence[Flow]) -> tuple[set[Node], set[Node], set[Kind], set[Kind], set[Protocol]]:
        sides = [(f.case.source.kind, f.case.target.kind) for f in flows]
        kinds = {source for source, _ in sides}, {target for _, target in sides}
        return {f.source for f in flows}, {f.target for f in flows}, *kinds, {f.case.protocol for f in flows}

    assert sorts(chosen) == sorts(broken)


def test_no_two_look_alike_on_the_wire() -> None:
    chosen = representatives(SEEN.flows, 500)
    wires = [(f.source_ip, f.target_ip, f.case.source.kind, f.case.protocol) for f in chosen]
    assert len(wires) == len(set(wires))
    hosts = [(f.source, f.target, f.case.protocol) for f in chosen if f.case.source.kind == "hostpod" and not f.crosses]
    assert len(hosts) == len(set(hosts))


def test_each_verdict_has_one() -> None:
    stalled = failing(SEEN, "pod.ngw.c1--pod.gw.c2--tcp--bulk", verdict=Verdict.STALLED).failing
    blocked = failing(SEEN, NODE).failing
    chosen = representatives([*blocked, *stalled])
    assert {f.verdict for f in chosen} == {Verdict.BLOCKED, Verdict.STALLED}


def test_the_choice_does_not_depend_on_the_order() -> None:
    broken = failing(SEEN, NODE).failing
    assert representatives(broken) == representatives(broken[::-1])

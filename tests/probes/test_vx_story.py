"""The vx-submariner ping: what counts as by design, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_submariner.errors import ProbeInconclusive
from pytest_submariner.model.nodestate import PacketFilter, PacketFilterRule
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.probes.vx_evidence import (
    Echo,
    Frame,
    SnatRule,
    VxEvidence,
    read_documents,
    snat_rules,
    with_counters,
)
from pytest_submariner.probes.vx_story import judge, tell

VX_WORKER, VX_GATEWAY, CNI = "240.18.1.2", "240.18.1.1", "10.8.2.1"
TEXT = f"-s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source {CNI}"


def frame(device: str, direction: str, kind: str, source: str, destination: str) -> Frame:
    return Frame(device, direction, kind, source, destination, 0, VX_WORKER)


OUT = frame("vx-submariner", "out", "request", CNI, VX_GATEWAY)
IN = frame("vx-submariner", "in", "request", CNI, VX_GATEWAY)
REPLY_OUT = frame("eth0", "out", "reply", VX_GATEWAY, CNI)
REPLY_IN = frame("eth0", "in", "reply", VX_GATEWAY, CNI)
ANSWERED = VxEvidence(
    worker="c1-w1",
    gateway="c1-gw",
    address=VX_GATEWAY,
    echoes=(Echo(0, VX_WORKER, True, 0.4, VX_WORKER, ""),),
    worker_frames=(OUT, REPLY_IN),
    gateway_frames=(IN, REPLY_OUT),
    rule=SnatRule("nft", TEXT, CNI, 8),
    packets_before=7,
)
LOST = replace(ANSWERED, echoes=(Echo(0, VX_WORKER, False, None, "", ""),), worker_frames=(OUT,))
"""As under a network that drops class E: the reply leaves the gateway and never arrives."""


@pytest.mark.parametrize(("evidence", "words"), [(ANSWERED, "answered, by design"), (LOST, "not answered, by design")])
def test_by_design_whether_it_is_answered_or_not(evidence: VxEvidence, words: str) -> None:
    judgement = judge(evidence)
    assert judgement.verdict is Verdict.BY_DESIGN
    assert judgement.detail.startswith(words)
    assert "by eth0, outside the VXLAN" in judgement.detail


@pytest.mark.parametrize(
    ("change", "verdict", "why"),
    [
        ({"unread": "iptables is missing"}, Verdict.INCONCLUSIVE, "could not be read: iptables is missing"),
        ({"rule": None, "packets_before": None}, Verdict.BLOCKED, "c1-w1 lacks the rule"),
        ({"worker_frames": ()}, Verdict.BLOCKED, "no echo request left c1-w1"),
        ({"worker_frames": (replace(OUT, source=VX_WORKER),)}, Verdict.BLOCKED, "rewrite is not at work"),
        ({"worker_frames": (replace(OUT, told="172.18.1.2"),)}, Verdict.BLOCKED, "rewrite is not at work"),
        ({"worker_frames": (replace(OUT, source="10.8.2.9"),)}, Verdict.INCONCLUSIVE, "something else rewrites"),
        ({"packets_before": 8}, Verdict.INCONCLUSIVE, "its SNAT rule rose by 0"),
        ({"packets_before": None}, Verdict.INCONCLUSIVE, "counter of the SNAT rule on c1-w1 could not be read"),
        ({"gateway_frames": ()}, Verdict.BLOCKED, "c1-gw received none: the VXLAN (UDP 4800) loses it"),
    ],
)
@pytest.mark.parametrize("evidence", [ANSWERED, LOST], ids=["answered", "lost"])
def test_without_the_evidence_it_is_not_by_design(
    evidence: VxEvidence, change: dict[str, object], verdict: Verdict, why: str
) -> None:
    changed = replace(evidence, **change)  # type: ignore[arg-type]
    judgement = judge(changed)
    assert judgement.verdict is verdict
    assert why in judgement.detail
    assert tell(changed)


def test_the_story_is_told_in_the_order_of_the_packets_way() -> None:
    story = tell(LOST)
    assert VX_WORKER in story[0]
    assert "rose from 7 to 8 packets" in story[1]
    assert story[2] == (
        f"capture on c1-w1: vx-submariner out: request {CNI} → {VX_GATEWAY}, in a packet which says it was sent from {VX_WORKER}"
    )
    assert story[3].startswith("capture on c1-gw: vx-submariner in")
    assert "outside the VXLAN" in story[4]
    assert "never came in" in story[5]
    assert story[-1].startswith("leave the rule alone")


def test_a_reply_that_arrived_and_was_dropped_is_told_apart() -> None:
    dropped = replace(ANSWERED, echoes=LOST.echoes)
    assert any("strict reverse path filtering" in line for line in tell(dropped))


def test_rules_are_found_in_every_backend() -> None:
    other = PacketFilterRule("nat", "SUBMARINER-POSTROUTING", "-s 10.8.0.0/16 -d 10.9.0.0/16 -j ACCEPT", 1, 60)
    rule = PacketFilterRule("nat", "SUBMARINER-POSTROUTING", TEXT, 5, 420)
    elsewhere = PacketFilterRule("mangle", "SUBMARINER-POSTROUTING", TEXT, 1, 1)
    filters = [PacketFilter((other, elsewhere), backend="legacy"), PacketFilter((other, rule), backend="nft")]
    assert snat_rules(filters) == (SnatRule("nft", TEXT, CNI, 5),)


def test_counters_belong_to_the_rule_that_takes_effect() -> None:
    stale = SnatRule("nft", TEXT.replace(CNI, "10.8.2.200"), "10.8.2.200", 4)
    before, after = [stale, ANSWERED.rule], [replace(stale, packets=9), ANSWERED.rule]
    bare = replace(ANSWERED, rule=None, packets_before=None)
    told = with_counters(bare, [r for r in before if r], [r for r in after if r])
    assert told.rule is not None
    assert (told.rule.to_source, told.packets_before, told.counted) == ("10.8.2.200", 4, 5)
    assert with_counters(bare, [], [stale]).counted is None
    assert with_counters(bare, [stale], []).rule is None


def test_lines_of_the_watcher_are_checked() -> None:
    said = {
        "device": "eth0",
        "direction": "in",
        "kind": "reply",
        "source": "a",
        "destination": "b",
        "index": 0,
        "told": "c",
    }
    assert read_documents([{"ready": True}, {"frame": said}])[1][0].device == "eth0"
    with pytest.raises(ProbeInconclusive, match="a line of the watcher cannot be read"):
        read_documents([{"frame": {"device": "eth0"}}])

"""Causes of packet sizes: told by where full-size packets are lost, and by what devices are set to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from observations import changed, counted, failing, found, healthy, suspicions

from pytest_submariner.diagnose.catalogue import BY_CODE
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.trace import Rung, Sighting, Trace, Way
from pytest_submariner.lab.faults.signatures import Signature
from pytest_submariner.model.nodestate import PacketFilter
from pytest_submariner.model.verdict import Verdict

Change = Callable[[Observation], Observation]
ACROSS = Signature(("*.{b}--*.{a}--tcp*", "*.{a}--*.{b}--tcp*"))
NODE = Signature(("{{pod,hostpod}}.ngw.{a}--*.{b}--tcp*", "*.{b}--{{pod,svc}}.ngw.{a}--tcp*"))
FORWARDED = Signature(("pod.*.{a}--*.{b}--tcp*", "hostpod.ngw*.{a}--*.{b}--tcp*", "*.{b}--{{pod,svc}}.*.{a}--tcp*"))


def stalled(breaks: Signature) -> Observation:
    return failing(healthy(), breaks, verdict=Verdict.STALLED)


def swallowed(
    seen: Observation,
    path: str,
    before: tuple[int, str],
    after: tuple[int, str],
    *,
    way: Way = Way.REQUEST,
    size: int = 1450,
) -> Observation:
    """Packets of `size` were seen at one rung, (number, node), and at the next only short ones."""
    rungs = [Rung(way, number, node[:2], node, "eth0", "out") for number, node in (before, after)]
    sightings = (Sighting(rungs[0], 4, largest=size), Sighting(rungs[1], 3, largest=60))
    return replace(seen, traces={**seen.traces, path: Trace(path, sightings)})


def test_between_gateways() -> None:
    seen = swallowed(stalled(ACROSS), "pod.gw.c1--pod.gw.c2--tcp", (7, "c1-gw"), (8, "c2-gw"))
    assert found(seen) == [("MTU_CABLE_BLACKHOLE", "c1", "c1-gw")]


def test_the_gateway_whose_link_swallows_inside_its_cluster_too() -> None:
    seen = swallowed(stalled(ACROSS), "pod.gw.c1--pod.gw.c2--tcp", (7, "c1-gw"), (8, "c2-gw"))
    seen = swallowed(seen, "pod.ngw.c2--pod.gw.c1--tcp", (3, "c2-w1"), (4, "c2-gw"))
    assert found(seen) == [("MTU_CABLE_BLACKHOLE", "c2", "c2-gw")]


def test_replies_tell_as_well() -> None:
    path = "hostpod.gw.c2--pod.gw.c1--tcp"
    seen = swallowed(stalled(ACROSS), path, (7, "c1-gw"), (8, "c2-gw"), way=Way.REPLY)
    assert found(seen) == [("MTU_CABLE_BLACKHOLE", "c1", "c1-gw")]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("pod.ngw.c1--pod.gw.c2--tcp", (3, "c1-w1"), (4, "c1-gw")),
        ("pod.gw.c2--pod.ngw.c1--tcp", (10, "c1-gw"), (11, "c1-w1")),
    ],
    ids=["on the way out", "on the way in"],
)
def test_at_one_node(path: str, before: tuple[int, str], after: tuple[int, str]) -> None:
    assert found(swallowed(stalled(NODE), path, before, after)) == [("MTU_NODE_UNDERLAY_LOW", "c1", "c1-w1")]


def test_two_nodes_are_two_findings() -> None:
    seen = swallowed(stalled(ACROSS), "pod.ngw.c1--pod.gw.c2--tcp", (3, "c1-w1"), (4, "c1-gw"))
    seen = swallowed(seen, "pod.gw.c1--pod.ngw.c2--tcp", (10, "c2-gw"), (11, "c2-w1"))
    assert {node for _, _, node in found(seen)} == {"c1-w1", "c2-w1"}


def test_without_a_trace_no_link_is_blamed() -> None:
    assert [code for code, _ in suspicions(stalled(ACROSS)) if code.startswith("MTU_")] == []


def test_paths_that_do_not_even_connect_are_another_matter() -> None:
    seen = swallowed(failing(healthy(), ACROSS), "pod.gw.c1--pod.gw.c2--tcp", (7, "c1-gw"), (8, "c2-gw"))
    assert [code for code, _ in suspicions(seen) if code.startswith("MTU_")] == []


def mtus(node: str, **values: int) -> Change:
    named = {name.replace("vx", "vx-submariner").replace("tunnel", "vxlan-tunnel"): mtu for name, mtu in values.items()}
    return lambda seen: changed(
        seen, node, links=lambda old: [replace(link, mtu=named.get(link.name, link.mtu)) for link in old]
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (mtus("c1-w1", vx=1500), "MTU_VX_TOO_LARGE"),
        (mtus("c1-w1", vx=1480), "MTU_VX_TOO_LARGE"),
        (mtus("c1-w1", eth0=1400), "MTU_STALE_AFTER_CHANGE"),
        (mtus("c1-w1", eth0=1300), "MTU_STALE_AFTER_CHANGE"),
        (mtus("c1-w1", vx=8950), "MTU_STALE_AFTER_CHANGE"),
    ],
    ids=["as the NIC", "nearly so", "NIC lowered", "NIC lowered more", "NIC was jumbo"],
)
def test_arithmetic_is_told_though_nothing_fails(change: Change, code: str) -> None:
    assert found(change(healthy())) == [(code, "c1", "c1-w1")]


@pytest.mark.parametrize(
    "change",
    [mtus("c1-w1", eth0=9000, vx=8950), mtus("c1-w1", eth0=9000), mtus("c1-w1", vx=1400)],
    ids=["jumbo frames", "room to spare", "lower than it could be"],
)
def test_mtus_that_leave_room(change: Change) -> None:
    assert found(change(healthy())) == []


def test_a_nic_set_low_is_not_a_link_that_swallows() -> None:
    seen = swallowed(stalled(NODE), "pod.gw.c2--pod.ngw.c1--tcp", (10, "c1-gw"), (11, "c1-w1"))
    assert found(mtus("c1-w1", eth0=1400)(seen)) == [("MTU_STALE_AFTER_CHANGE", "c1", "c1-w1")]


def unclamped(seen: Observation) -> Observation:
    def without(old: tuple[PacketFilter, ...]) -> list[PacketFilter]:
        return [replace(f, rules=tuple(r for r in f.rules if "TCPMSS" not in r.text)) for f in old]

    return changed(seen, "c1-gw", packet_filters=without)


def emptied(seen: Observation) -> Observation:
    return changed(seen, "c1-gw", ipsets=lambda old: [replace(s, members=frozenset()) for s in old])


@pytest.mark.parametrize("change", [unclamped, emptied], ids=["no rules", "empty sets"])
def test_no_clamp(change: Change) -> None:
    seen = counted(change(stalled(FORWARDED)), "c1-gw", IpFragFails=20)
    assert found(seen) == [("MTU_MSS_CLAMP_MISSING", "c1", "c1-gw")]
    inside = swallowed(change(stalled(FORWARDED)), "pod.gw.c1--pod.gw.c2--tcp", (1, "c1-gw"), (6, "c1-gw"))
    assert found(inside) == [("MTU_MSS_CLAMP_MISSING", "c1", "c1-gw")]


def test_a_clamp_that_is_missing_and_not_missed() -> None:
    assert suspicions(unclamped(stalled(FORWARDED)), BY_CODE["MTU_MSS_CLAMP_MISSING"]) == []
    assert found(counted(stalled(FORWARDED), "c1-gw", IpFragFails=20), BY_CODE["MTU_MSS_CLAMP_MISSING"]) == []


def fragmenting(seen: Observation, received: int) -> Observation:
    for node in ("c1-gw", "c2-gw"):
        seen = mtus(node, tunnel=1500)(seen)
    for node in ("c1-gw", "c1-w1", "c1-w2", "c2-gw", "c2-w1", "c2-w2"):
        seen = mtus(node, vx=1500)(seen)
    seen = counted(seen, "c1-gw", IpFragCreates=40, IpReasmReqds=received)
    return counted(seen, "c2-gw", IpFragCreates=30, IpReasmReqds=received)


def test_fragments_that_nobody_receives() -> None:
    assert found(fragmenting(stalled(ACROSS), 0)) == [("UNDERLAY_FRAGMENTS_DROPPED", "c1", "c1-gw")]


def test_fragments_that_arrive_are_no_loss() -> None:
    assert suspicions(fragmenting(stalled(ACROSS), 35), BY_CODE["UNDERLAY_FRAGMENTS_DROPPED"]) == []


TCP_ONLY = Signature(("{{pod,hostpod}}.ngw.{a}--*.{b}--tcp*", "*.{b}--{{pod,svc}}.ngw.{a}--tcp*"))
ALL_NODES = Signature(("{{pod,hostpod}}.ngw*.{a}--*.{b}--tcp*", "*.{b}--{{pod,svc}}.ngw*.{a}--tcp*"))


def test_spoiled_checksums_of_one_sender_and_of_all() -> None:
    one = counted(failing(healthy(), TCP_ONLY), "c1-gw", UdpInCsumErrors=9)
    assert found(one) == [("OFFLOAD_VXLAN_CHECKSUM", "c1", "c1-w1")]
    every = counted(failing(healthy(), ALL_NODES), "c1-gw", UdpInCsumErrors=9)
    assert found(every) == [("OFFLOAD_VXLAN_CHECKSUM", "c1", "c1-gw")]


def test_checksum_errors_of_others() -> None:
    """The counter rises for anything that comes to the node by UDP."""
    assert found(counted(healthy(), "c1-gw", UdpInCsumErrors=9)) == []
    seen = counted(failing(healthy(), "pod.gw.{a}--pod.gw.{a}--tcp--samenode"), "c1-gw", UdpInCsumErrors=9)
    assert suspicions(seen, BY_CODE["OFFLOAD_VXLAN_CHECKSUM"]) == []

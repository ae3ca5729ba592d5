"""A node's state as JSON and back: what a sysdump keeps."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from pytest_submariner.model.nodestate import (
    Address,
    FdbEntry,
    IpSet,
    Link,
    LinkStats,
    Neighbour,
    NftChain,
    NftRule,
    NftTable,
    NodeState,
    PacketFilter,
    PacketFilterRule,
    Qdisc,
    Route,
    Rule,
    Socket,
    Unanswered,
    WireGuardDevice,
    WireGuardPeer,
    XfrmPolicy,
    XfrmState,
    XfrmTemplate,
)

FULL = NodeState(
    "c1-gw",
    links=(Link("vx-submariner", "vxlan", 1450, stats=LinkStats(1, 2, 3, 4, 5, 6)), Link("lo", "", 65536)),
    addresses=(Address("eth0", "172.18.0.2", 16),),
    fdb=(FdbEntry("vx-submariner", "00:00:00:00:00:00", "172.18.0.3"),),
    neighbours=(Neighbour("eth0", "172.18.0.9", None, "FAILED"),),
    routes=(Route("10.9.0.0/16", "", kind="blackhole"),),
    rules=(Rule(150, "150"),),
    packet_filters=(PacketFilter((PacketFilterRule("nat", "A", "-j B", 1, 2),), {("nat", "A"): "-"}, "legacy"),),
    ipsets=(IpSet("SET", "hash:net", frozenset({"10.9.0.0/16", "100.9.0.0/16"})),),
    sysctls={"net.ipv4.ip_forward": "1"},
    hostname="c1-gw",
    clock_s=1729500000.5,
    counters={"UdpNoPorts": 3},
    sockets=(Socket("udp", "0.0.0.0", 4800, kernel=True),),
    qdiscs=(Qdisc("eth0", "tbf", "{}", 1, 2),),
    native_tables=(NftTable("ip", "t", (NftChain("c", (NftRule("drop", "drop", 1, 2),), "filter", "forward", 0),)),),
    xfrm_states=(XfrmState("a", "b", "esp", "0x1", "tunnel", 1, None, 2, 3),),
    xfrm_policies=(XfrmPolicy("a", "b", "out", 1, "allow", (XfrmTemplate("a", "b", "esp", "tunnel"),)),),
    wireguard=(WireGuardDevice("submariner", "K=", 4500, (WireGuardPeer("P=", None, ("10.9.0.0/16",), 1, 2, 3),)),),
    conntrack_stats={"count": 1},
    unanswered=(Unanswered("udp", "240.18.0.3", "10.9.0.1", 40404, 40404, "240.18.0.3", 28),),
    unread={"packet_filters/nft": "not found"},
)


def through_json(state: NodeState) -> Any:
    return json.loads(json.dumps(state.to_dict()))


def test_everything_comes_back_counters_and_all() -> None:
    assert all(getattr(FULL, field.name) for field in fields(NodeState)), "a part of the state is not tried here"
    back = NodeState.from_dict(through_json(FULL))
    assert back == FULL
    assert repr(back) == repr(FULL)  # repr has what comparison leaves out


def test_what_was_not_read_stays_so() -> None:
    state = NodeState("c1-gw", links=None, sockets=None, unread={"links": "no ip"})
    assert NodeState.from_dict(through_json(state)) == state


def test_data_of_another_version() -> None:
    """A part that is not there was not read: it is not empty. What nobody knows is left out."""
    back = NodeState.from_dict({"node": "c1-gw", "rules": [{"priority": 150, "table": "150", "mark": 7}], "new": 1})
    assert back.rules == (Rule(150, "150"),)
    assert back.links is None
    assert back.sysctls is None
    assert back.unread == {}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"links": [{"name": "lo", "kind": "", "mtu": "65536"}]}, r"NodeState\.links\[0\]\.mtu is str, not int"),
        ({"links": {}}, r"NodeState\.links is dict, not list"),
        ({"rules": [{"priority": True, "table": "1"}]}, r"NodeState\.rules\[0\]\.priority is bool, not int"),
        ({"rules": [{"priority": 1}]}, r"NodeState\.rules\[0\]: .*'table'"),
        ({"packet_filters": [{"rules": [], "policies": [[["nat"], "-"]]}]}, r"policies\[0\]\[0\] has 1 parts, not 2"),
        ({"counters": {"UdpNoPorts": None}}, r"NodeState\.counters\.UdpNoPorts is NoneType, not int"),
    ],
)
def test_data_that_is_wrong_is_named_by_its_place(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        NodeState.from_dict({"node": "c1-gw", **change})


def test_no_data_at_all() -> None:
    with pytest.raises(ValueError, match="NodeState is list, not dict"):
        NodeState.from_dict([])

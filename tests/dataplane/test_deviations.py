"""Differences in people's words: paired, with what they mean for traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest
from observed import NODES, objects, state
from thinned import without_each_element

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.aspects import Aspect, deviations_of, not_modelled
from pytest_submariner.dataplane.consequence import consequence
from pytest_submariner.dataplane.deviation import deviations
from pytest_submariner.dataplane.difference import Difference, Kind, differences, owned
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.facts import cluster_view
from pytest_submariner.dataplane.view import NodeFacts
from pytest_submariner.errors import ProbeInconclusive, RequirementUnmet
from pytest_submariner.model.nodestate import (
    Address,
    FdbEntry,
    Link,
    NftTable,
    NodeState,
    PacketFilter,
    PacketFilterRule,
    Route,
    Rule,
)

GATEWAY = NodeFacts("c1-gw", "c1-gw", "eth0", "172.18.0.11", 1500, "cni0", "10.8.1.1")
WORKER = NodeFacts("c1-w", "c1-w", "eth0", "172.18.0.12", 1500, "cni0", "10.8.2.1")
FACTS = {"gateway": GATEWAY, "non-gateway": WORKER}
VIEW = cluster_view("c1", **{k: objects(k) for k in ("endpoints", "clusters", "gateways")}, nodes=NODES)
STATES = {role: state(role, facts.name) for role, facts in FACTS.items()}
UNKNOWN = "not as Submariner's agents leave it"
TO_C2 = Route("10.9.0.0/16", c.VX_SUBMARINER, gateway="240.18.0.11", protocol="static")


def changed(role: str = "non-gateway", **parts: object) -> NodeState:
    return replace(STATES[role], **parts)  # type: ignore[arg-type]


def told(aspect: Aspect, found: NodeState, role: str = "non-gateway") -> list[tuple[str, str]]:
    return [(d.expected, d.found) for d in deviations_of(aspect, FACTS[role], VIEW, found)]


@pytest.mark.parametrize("role", FACTS)
@pytest.mark.parametrize("aspect", Aspect)
def test_an_observed_node_deviates_in_nothing(role: str, aspect: Aspect) -> None:
    assert deviations_of(aspect, FACTS[role], VIEW, STATES[role]) == ()


@pytest.mark.parametrize("role", FACTS)
def test_every_element_of_the_model_has_a_consequence_of_its_own_missing_or_left_over(role: str) -> None:
    expected = expected_state(FACTS[role], VIEW)
    for what, thinned in without_each_element(expected):
        for found in (
            differences(expected, owned(thinned, expected)),
            differences(thinned, owned(expected, expected)),
        ):
            for deviation in deviations(found, is_gateway=role == "gateway"):
                assert deviation.consequence != UNKNOWN, what
                assert deviation.expected or deviation.found


def test_an_entry_that_points_elsewhere_is_one_deviation() -> None:
    astray = (FdbEntry(c.VX_SUBMARINER, "00:00:00:00:00:00", "172.18.250.250"),)
    (found,) = deviations_of(Aspect.FDB, WORKER, VIEW, changed(fdb=astray))
    assert found.lines() == (
        "expected: 00:00:00:00:00:00 dev vx-submariner dst 172.18.0.11 permanent",
        "found:    00:00:00:00:00:00 dev vx-submariner dst 172.18.250.250 permanent",
        "consequence: frames for 172.18.0.11 are sent to 172.18.250.250: nothing on this node reaches a remote cluster: "
        "its way is the gateway node, over this device",
    )


def test_a_foreign_route_in_the_place_of_ours_is_shown() -> None:
    """A blackhole, or somebody else's route, is not Submariner's; it is what stands where hers should."""
    others = tuple(route for route in STATES["non-gateway"].routes or () if route != TO_C2)
    for foreign, words in (
        (Route("10.9.0.0/16", "", kind="blackhole"), "blackhole 10.9.0.0/16"),
        (Route("10.9.0.0/16", "eth0", gateway="172.18.0.1"), "10.9.0.0/16 via 172.18.0.1 dev eth0"),
    ):
        ((expected, found),) = told(Aspect.ROUTES, changed(routes=(*others, foreign)))
        assert expected == "10.9.0.0/16 via 240.18.0.11 dev vx-submariner proto static"
        assert found == words
    ((_, nothing),) = told(Aspect.ROUTES, changed(routes=others))
    assert nothing == ""


def test_rules_ahead_of_ours_are_named_by_what_they_lead_to() -> None:
    (own,) = STATES["non-gateway"].packet_filters or ()
    ahead = PacketFilterRule("nat", "POSTROUTING", "-j OTHER")

    def with_target(target: str) -> NodeState:
        inner = PacketFilterRule("nat", "OTHER", f"-j {target}")
        return changed(packet_filters=(PacketFilter((ahead, inner, *own.rules), own.policies),))

    ((expected, found),) = told(Aspect.PACKET_FILTER, with_target("MASQUERADE"))
    assert expected == "nat: -A POSTROUTING -j SUBMARINER-POSTROUTING before rules that decide about packets"
    assert found == "it behind nat: -A POSTROUTING -j OTHER"
    assert told(Aspect.PACKET_FILTER, with_target("LOG")) == []
    assert told(Aspect.PACKET_FILTER, with_target("cali-nat-outgoing")) == []


# Healthy states that differ from the model's words.


@pytest.mark.parametrize(
    ("value", "of_all", "is_fine"), [("2", "1", True), ("0", "0", True), ("0", "1", False), ("1", "0", False)]
)
def test_reverse_path_filter_off_is_as_good_as_loose(value: str, of_all: str, is_fine: bool) -> None:
    settings = {**(STATES["non-gateway"].sysctls or {}), "net.ipv4.conf.cni0.rp_filter": value}
    settings["net.ipv4.conf.all.rp_filter"] = of_all
    assert (told(Aspect.SYSCTLS, changed(sysctls=settings)) == []) is is_fine


def test_a_former_gateway_keeps_rule_100_which_leads_nowhere() -> None:
    rules = (*(STATES["non-gateway"].rules or ()), Rule(100, "100"))
    assert told(Aspect.RULES, changed(rules=rules)) == []
    leads = (*(STATES["non-gateway"].routes or ()), Route("10.9.0.0/16", "eth0", table="100"))
    assert told(Aspect.RULES, changed(rules=rules, routes=leads)) == [("", "100: from all lookup 100")]


def test_rules_and_entries_twice_are_as_good_as_once() -> None:
    gateway = STATES["gateway"]
    doubled = changed("gateway", rules=(*(gateway.rules or ()), Rule(150, "150")), fdb=(gateway.fdb or ()) * 2)
    assert told(Aspect.RULES, doubled, "gateway") == []
    assert told(Aspect.FDB, doubled, "gateway") == []


# What nobody can tell.


def test_an_aspect_that_was_not_read_is_not_green() -> None:
    with pytest.raises(ProbeInconclusive, match="routes could not be read: no ip here"):
        deviations_of(Aspect.ROUTES, WORKER, VIEW, changed(routes=None, unread={"routes": "no ip here"}))


def test_one_backend_is_enough_when_everything_is_in_it() -> None:
    """Else what is missing may be in the other, whose tools the node lacks; tools that fail are never passed over."""
    lacks = {"packet_filters/nft": "iptables-nft-save: not found"}
    assert told(Aspect.PACKET_FILTER, changed(unread=lacks)) == []
    with pytest.raises(ProbeInconclusive, match="packet_filters/nft could not be read"):
        told(Aspect.PACKET_FILTER, changed(packet_filters=(), unread=lacks))
    with pytest.raises(ProbeInconclusive, match="Segmentation fault"):
        told(Aspect.PACKET_FILTER, changed(unread={"packet_filters/nft": "Segmentation fault"}))


def test_a_backend_nobody_may_read_is_no_failure_and_not_green() -> None:
    """Without root a lab's nodes may not list the tables of iptables-legacy."""
    denied = {"packet_filters/legacy": "Failed to list table names in /proc/net/ip_tables_names: Permission denied"}
    with pytest.raises(
        RequirementUnmet, match="all that Submariner makes is there; needs the right to read packet_filters/legacy"
    ):
        told(Aspect.PACKET_FILTER, changed(unread=denied))
    with pytest.raises(ProbeInconclusive, match="packet_filters/legacy could not be read"):
        told(Aspect.PACKET_FILTER, changed(packet_filters=(), unread=denied))


def test_the_nftables_driver_is_not_modelled() -> None:
    state = changed(native_tables=(NftTable("ip", "submariner"),))
    assert "nftables driver" in (not_modelled(Aspect.PACKET_FILTER, state) or "")
    assert not_modelled(Aspect.ROUTES, state) is None
    assert not_modelled(Aspect.PACKET_FILTER, changed(native_tables=(NftTable("ip", "other"),))) is None


def test_no_cni_address_is_told() -> None:
    without = replace(WORKER, cni_device=None, cni_ip=None)
    (found,) = deviations_of(Aspect.ADDRESSES, without, VIEW, STATES["non-gateway"])
    assert "10.8.0.0/16" in found.expected
    assert "table 150" in found.consequence


VX = Link(c.VX_SUBMARINER, "vxlan", 1450, True, 100, 4800, "172.18.0.11", False)


@pytest.mark.parametrize(
    ("expected", "found", "is_gateway", "words"),
    [
        (VX, None, False, "nothing on this node"),
        (VX, None, True, "no other node of the cluster"),
        (VX, replace(VX, up=False), False, "nothing on this node"),
        (VX, replace(VX, mtu=1500), False, "above 1450 bytes do not fit"),
        (VX, replace(VX, mtu=1300), False, "above 1300 bytes are fragmented"),
        (VX, replace(VX, vni=7), False, "nobody takes them"),
        (VX, replace(VX, learning=True), False, "learned"),
        (None, replace(VX, name=c.VXLAN_TUNNEL), False, "UDP port stays bound"),
        (Address("vx-submariner", "240.18.0.3", 8), Address("vx-submariner", "240.18.0.9", 8), False, "go astray"),
        (TO_C2, replace(TO_C2, gateway="240.9.9.9"), False, "go to 240.9.9.9 instead"),
        (TO_C2, Route("10.9.0.0/16", "", kind="prohibit"), False, "dropped on this node (prohibit)"),
        (None, TO_C2, True, "sent over vx-submariner, though nothing there expects them"),
        (replace(TO_C2, table="100"), None, True, "nothing in this cluster reaches"),
        (replace(TO_C2, table="150"), None, True, "with the underlay's address"),
        (None, Rule(99, "100", destination="172.18.2.1"), True, "packets to 172.18.2.1"),
        (("net.ipv4.conf.vx-submariner.rp_filter", "=", "2"), None, True, "arrives on vx-submariner unless"),
        ((c.REMOTE_CIDRS_SET, "10.9.0.0/16"), None, True, "to 10.9.0.0/16 are not clamped"),
        (("nat", c.POSTROUTING_CHAIN), None, True, f"no rule of {c.POSTROUTING_CHAIN}"),
    ],
)
def test_consequences(expected: object, found: object, is_gateway: bool, words: str) -> None:
    assert words in consequence(expected, found, is_gateway=is_gateway)


def test_what_was_not_read_is_no_deviation() -> None:
    assert deviations([Difference("links", Kind.UNREAD, "no ip")], is_gateway=True) == ()

"""The model against dumps of nodes which Submariner's own agents programmed: nothing missing, nothing too much."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from observed import objects, state
from thinned import without_each_element

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.difference import Kind, differences, owned
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.objects import Cluster, Endpoint, Gateway, RouteAgent
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.model.nodestate import Address, Link, NodeState, PacketFilterRule, Route, Rule

GATEWAY = NodeFacts("c1-gw", "c1-gw", "eth0", "172.18.0.11", 1500, "cni0", "10.8.1.1")
WORKER = NodeFacts("c1-w", "c1-w", "eth0", "172.18.0.12", 1500, "cni0", "10.8.2.1")
FOLDERS = {"gateway": GATEWAY, "non-gateway": WORKER}


VIEW = ClusterView(
    cluster_id="c1",
    endpoints=tuple(map(Endpoint.from_object, objects("endpoints"))),
    clusters=tuple(map(Cluster.from_object, objects("clusters"))),
    node_ips=("172.18.0.11", "172.18.0.12"),
    connections=Gateway.from_object(objects("gateways")[0]).connections,
)


STATES = {name: (expected_state(facts, VIEW), state(name, facts.name)) for name, facts in FOLDERS.items()}


@pytest.mark.parametrize("name", FOLDERS)
def test_an_observed_node_is_as_expected(name: str) -> None:
    expected, observed = STATES[name]
    assert [str(d) for d in differences(expected, observed)] == []


def elements(state: NodeState) -> dict[str, list[Any]]:
    """All that a state says, as flat lists of single elements."""
    filters = state.packet_filters or ()
    return {
        "links": list(state.links or ()),
        "addresses": list(state.addresses or ()),
        "fdb": list(state.fdb or ()),
        "routes": list(state.routes or ()),
        "rules": list(state.rules or ()),
        "packet_filters": [rule for f in filters for rule in f.rules],
        "chains": [chain for f in filters for chain in f.policies],
        "ipsets": [(s.name, s.type, m) for s in state.ipsets or () for m in sorted(s.members)],
        "sysctls": list((state.sysctls or {}).items()),
    }


FOREIGN: dict[str, dict[str, set[Any]]] = {
    "gateway": {
        "links": {
            Link("lo", "", 65536),
            Link("eth0", "veth", 1500),
            Link("cni0", "bridge", 1500),
            Link("vp", "veth", 1500),
        },
        "addresses": {
            Address("lo", "127.0.0.1", 8),
            Address("eth0", "172.18.0.11", 16),
            Address("cni0", "10.8.1.1", 24),
        },
        "fdb": set(),
        "routes": {
            Route("default", "eth0", gateway="172.18.0.1"),
            Route("10.8.1.0/24", "cni0", source="10.8.1.1", protocol="kernel", scope="link"),
            Route("10.8.2.0/24", "eth0", gateway="172.18.0.12"),
            Route("172.18.0.0/16", "eth0", source="172.18.0.11", protocol="kernel", scope="link"),
        },
        "ipsets": set(),
        "sysctls": {
            ("net.ipv4.conf.vxlan-tunnel.bc_forwarding", "0"),
            ("net.ipv4.conf.vxlan-tunnel.mc_forwarding", "0"),
        },
    },
    "non-gateway": {
        "links": {
            Link("lo", "", 65536),
            Link("eth0", "veth", 1500),
            Link("cni0", "bridge", 1500),
            Link("vp", "veth", 1500),
        },
        "addresses": {
            Address("lo", "127.0.0.1", 8),
            Address("eth0", "172.18.0.12", 16),
            Address("cni0", "10.8.2.1", 24),
        },
        "fdb": set(),
        "routes": {
            Route("default", "eth0", gateway="172.18.0.1"),
            Route("10.8.1.0/24", "eth0", gateway="172.18.0.11"),
            Route("10.8.2.0/24", "cni0", source="10.8.2.1", protocol="kernel", scope="link"),
            Route("172.18.0.0/16", "eth0", source="172.18.0.12", protocol="kernel", scope="link"),
        },
        "ipsets": set(),
        # Not written on this role: the agents leave the device's default.
        "sysctls": {("net.ipv4.conf.vx-submariner.rp_filter", "0")},
    },
}
"""What the CNI and the kernel contribute, per role."""

FOREIGN_ON_BOTH: dict[str, set[Any]] = {
    "rules": {Rule(0, "local"), Rule(32766, "main"), Rule(32767, "default")},
    "packet_filters": {
        PacketFilterRule("nat", "POSTROUTING", "-s 10.8.0.0/16 -m addrtype ! --dst-type LOCAL -j KIND-MASQ-AGENT"),
        PacketFilterRule("nat", "KIND-MASQ-AGENT", "-d 10.8.0.0/16 -j RETURN"),
        PacketFilterRule("nat", "KIND-MASQ-AGENT", "-j MASQUERADE"),
    },
    "chains": {
        *(("filter", chain) for chain in ("INPUT", "FORWARD", "OUTPUT")),
        *(("nat", chain) for chain in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING", "KIND-MASQ-AGENT")),
        *(("mangle", chain) for chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")),
    },
    "sysctls": {
        *((f"net.ipv4.conf.{device}.rp_filter", "0") for device in ("all", "default", "eth0", "lo", "vp")),
        ("net.ipv4.conf.vx-submariner.bc_forwarding", "0"),
        ("net.ipv4.conf.vx-submariner.mc_forwarding", "0"),
        ("net.ipv4.ip_forward", "1"),
    },
}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_rest_of_a_node_is_the_cni_s_and_the_kernel_s(name: str) -> None:
    expected, observed = (elements(state) for state in STATES[name])
    rest = {part: set(observed[part]) - set(expected[part]) for part in observed}
    assert rest == {part: FOREIGN[name].get(part, set()) | FOREIGN_ON_BOTH.get(part, set()) for part in observed}


@pytest.mark.parametrize("name", FOLDERS)
def test_chains_keep_the_order_of_the_agents(name: str) -> None:
    (expected,), (observed,) = (state.packet_filters or () for state in STATES[name])
    for table, chain in c.OWN_CHAINS:
        assert expected.chain(table, chain) == observed.chain(table, chain) != ()


@pytest.mark.parametrize("name", FOLDERS)
def test_jumps_stand_where_the_agents_put_them(name: str) -> None:
    (observed,) = STATES[name][1].packet_filters or ()
    for table, chain, text, position in c.HOOKS:
        jumps = [rule.text for rule in observed.chain(table, chain)]
        assert jumps.index(text) == (0 if position is c.Position.FIRST else len(jumps) - 1)


CASES = [
    pytest.param(role, thinned, id=f"{role}: {what}".replace("::", ":"))
    for role, (state, _) in STATES.items()
    for what, thinned in without_each_element(state)
]


@pytest.mark.parametrize(("role", "thinned"), CASES)
def test_no_element_of_the_model_is_idle(role: str, thinned: NodeState) -> None:
    """Left out of the model, an element is noticed on the node (`unexpected`); left out of the node, as `missing`.

    Settings are the exception of the first half: only those the model names are looked at, so the second half
    carries them."""
    expected, observed = STATES[role]
    too_much = differences(thinned, observed)
    assert too_much or thinned.sysctls != expected.sysctls
    assert {d.kind for d in too_much} <= {Kind.UNEXPECTED, Kind.MISPLACED}
    assert Kind.MISSING in {d.kind for d in differences(expected, owned(thinned, expected))}


def test_every_part_of_a_node_state_is_compared() -> None:
    """A part added to the expected state must be taken up here and in `differences`."""
    parts = {"links", "addresses", "fdb", "routes", "rules", "packet_filters", "ipsets", "sysctls"}
    meant = {f.name for f in fields(NodeState) if getattr(NodeState("any"), f.name) is not None}
    assert meant == parts | {"node", "neighbours", "unread"}
    expected, observed = STATES["gateway"]
    for part in sorted(parts):
        unread: dict[str, Any] = {part: None, "unread": {part: "no such tool"}}
        found = differences(expected, replace(observed, **unread))
        assert {str(d) for d in found} == {f"{part}: unread no such tool"}


def test_route_agents_of_a_fresh_install_parse() -> None:
    assert [RouteAgent.from_object(o).name for o in objects("routeagents")] == ["c1-gw", "c1-w"]

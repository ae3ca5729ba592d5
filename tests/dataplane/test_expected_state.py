"""What the model says about clusters unlike the observed ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.addresses import ipv4_cidrs, overlap, vtep
from pytest_submariner.dataplane.difference import Kind, differences
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.objects import Cluster, Connection, Endpoint
from pytest_submariner.dataplane.sysctls import conf
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.errors import TopologyError
from pytest_submariner.model.nodestate import NodeState, PacketFilter, PacketFilterRule, Route, Rule


def endpoint(cluster: int, *, hostname: str = "", ip: str = "", created: str = "", **changes: object) -> Endpoint:
    made = Endpoint(
        cluster_id=f"c{cluster}",
        cable_name=f"submariner-cable-c{cluster}",
        hostname=hostname or f"c{cluster}-gw",
        subnets=(f"100.{7 + cluster}.0.0/16", f"10.{7 + cluster}.0.0/16"),
        private_ip=ip or f"172.18.{cluster}.1",
        backend="vxlan",
        created=created,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


C1 = Cluster("c1", ("10.8.0.0/16",), ("100.8.0.0/16",))
GATEWAY = NodeFacts("c1-gw", "c1-gw", "eth0", "172.18.1.1", 1500, "cni0", "10.8.1.1", gateway_pod=True)
WORKER = NodeFacts("c1-w1", "c1-w1", "eth0", "172.18.1.2", 1500, "cni0", "10.8.2.1")
VIEW = ClusterView("c1", (endpoint(1), endpoint(2)), (C1,), ("172.18.1.1", "172.18.1.2"))


def nat(state: NodeState) -> list[str]:
    (firewall,) = state.packet_filters or ()
    return [rule.text for rule in firewall.chain("nat", c.POSTROUTING_CHAIN)]


def mangle(state: NodeState) -> list[str]:
    (firewall,) = state.packet_filters or ()
    return [rule.text.partition("-j TCPMSS ")[2] for rule in firewall.chain("mangle", c.POSTROUTING_CHAIN)]


def remote_routes(state: NodeState, table: str) -> list[Route]:
    return [route for route in state.routes or () if route.table == table and route.protocol != "kernel"]


def test_the_role_follows_the_local_endpoint_not_the_label() -> None:
    passive = replace(GATEWAY, name="c1-gw2", hostname="c1-gw2", underlay_ip="172.18.1.3")
    assert VIEW.is_active_gateway(GATEWAY)
    assert not VIEW.is_active_gateway(passive)
    state = expected_state(passive, VIEW)
    assert [(link.name, link.remote) for link in state.links or ()] == [("vx-submariner", "172.18.1.1")]
    assert state.rules == ()
    # Its gateway pod's entrypoint ran all the same.
    assert (state.sysctls or {})["net.ipv4.conf.all.send_redirects"] == "0"
    assert "net.ipv4.conf.all.send_redirects" not in (expected_state(WORKER, VIEW).sysctls or {})


def test_the_hostname_decides_where_it_differs_from_the_node_s_name() -> None:
    assert VIEW.is_active_gateway(replace(GATEWAY, name="c1-gw.example.org"))
    assert not VIEW.is_active_gateway(replace(GATEWAY, hostname="c1-gw.example.org"))


def test_without_a_local_endpoint_only_chains_pairs_and_the_remote_set_exist() -> None:
    state = expected_state(WORKER, replace(VIEW, endpoints=(endpoint(2),)))
    assert (state.links, state.addresses, state.fdb, state.routes, state.rules) == ((), (), (), (), ())
    assert len(nat(state)) == 5
    assert {s.name: len(s.members) for s in state.ipsets or ()} == {
        "SUBMARINER-LOCALCIDRS": 0,
        "SUBMARINER-REMOTECIDRS": 2,
    }
    assert state.sysctls == {"net.ipv4.conf.cni0.rp_filter": "2"}


def test_after_a_failover_the_newest_endpoint_counts() -> None:
    old = endpoint(2, ip="172.18.2.1", created="2026-01-01T00:00:00Z", cable_name="z")
    new = endpoint(2, ip="172.18.2.9", created="2026-01-01T00:05:00Z", cable_name="a")
    state = expected_state(GATEWAY, replace(VIEW, endpoints=(endpoint(1), new, old)))
    assert {route.gateway for route in remote_routes(state, "100")} == {"241.18.2.9"}
    assert [e.dst for e in state.fdb or () if e.device == "vxlan-tunnel"] == ["172.18.2.9"]


def test_without_a_cni_address_the_gateway_has_no_source_and_no_table_150() -> None:
    state = expected_state(replace(GATEWAY, cni_device=None, cni_ip=None), VIEW)
    assert remote_routes(state, "150") == []
    assert [route.source for route in remote_routes(state, "100")] == [None, None]
    assert Rule(150, "150") in (state.rules or ())
    assert not any("SNAT" in text for text in nat(state))
    assert "net.ipv4.conf.cni0.rp_filter" not in (state.sysctls or {})


def test_a_remote_endpoint_that_overlaps_only_reaches_the_mss_set() -> None:
    clash = endpoint(3, subnets=("10.8.128.0/17",))
    state = expected_state(WORKER, replace(VIEW, endpoints=(*VIEW.endpoints, clash)))
    assert not any("10.8.128.0/17" in text for text in nat(state))
    assert "10.8.128.0/17" not in {route.destination for route in state.routes or ()}
    (remote,) = (s for s in state.ipsets or () if s.name == "SUBMARINER-REMOTECIDRS")
    assert "10.8.128.0/17" in remote.members
    assert remote_routes(expected_state(GATEWAY, replace(VIEW, endpoints=(*VIEW.endpoints, clash))), "100") == [
        Route("100.9.0.0/16", "vxlan-tunnel", "100", "241.18.2.1", "10.8.1.1", 100),
        Route("10.9.0.0/16", "vxlan-tunnel", "100", "241.18.2.1", "10.8.1.1", 100),
    ]


def test_a_cable_over_the_public_address_keeps_the_private_next_hop() -> None:
    remote = endpoint(2, public_ip="203.0.113.20")
    view = replace(
        VIEW, endpoints=(endpoint(1), remote), connections=(Connection(remote, "connected", using_ip="203.0.113.20"),)
    )
    state = expected_state(GATEWAY, view)
    assert [e.dst for e in state.fdb or () if e.device == "vxlan-tunnel"] == ["203.0.113.20"]
    assert {route.gateway for route in remote_routes(state, "100")} == {"241.18.2.1"}


def test_a_gateway_without_connections_has_the_cable_device_but_no_cables() -> None:
    state = expected_state(GATEWAY, replace(VIEW, connections=()))
    assert "vxlan-tunnel" in {link.name for link in state.links or ()}
    assert remote_routes(state, "100") == []
    assert len(remote_routes(state, "150")) == 2


def test_a_remote_gateway_inside_its_own_subnet_is_reached_through_the_usual_next_hop() -> None:
    remote = endpoint(2, ip="10.9.0.7")
    facts = replace(GATEWAY, next_hops={"10.9.0.7": "172.18.0.1"})
    routes = remote_routes(expected_state(facts, replace(VIEW, endpoints=(endpoint(1), remote))), "150")
    assert {(r.destination, r.gateway, r.scope) for r in routes} == {
        ("100.9.0.0/16", None, "link"),
        ("10.9.0.0/16", "172.18.0.1", "global"),
    }


@pytest.mark.parametrize(
    ("backend", "config", "device"),
    [("libreswan", {}, "eth0"), ("wireguard", {"interface-name": "submariner"}, "submariner")],
)
def test_other_cable_drivers_have_table_150_only(backend: str, config: dict[str, str], device: str) -> None:
    local = endpoint(1, backend=backend, backend_config=config)
    state = expected_state(GATEWAY, replace(VIEW, endpoints=(local, endpoint(2))))
    assert {link.name for link in state.links or ()} == {"vx-submariner"}
    assert state.rules == (Rule(150, "150"),)
    assert {route.device for route in remote_routes(state, "150")} == {device}
    assert remote_routes(state, "100") == []


def test_the_cable_s_port_comes_from_the_local_endpoint() -> None:
    local = endpoint(1, backend_config={"udp-port": "4501"})
    links = expected_state(GATEWAY, replace(VIEW, endpoints=(local, endpoint(2)))).links or ()
    assert {link.name: link.port for link in links} == {"vx-submariner": 4800, "vxlan-tunnel": 4501}


@pytest.mark.parametrize(
    ("annotation", "global_cidrs", "backend", "target"),
    [
        (None, (), "vxlan", "--clamp-mss-to-pmtu"),
        (1200, (), "vxlan", "--set-mss 1200"),
        (None, ("242.0.0.0/16",), "vxlan", "--set-mss 1450"),
        (None, ("242.0.0.0/16",), "libreswan", "--set-mss 1380"),
    ],
)
def test_the_mss_is_clamped_or_fixed(
    annotation: int | None, global_cidrs: tuple[str, ...], backend: str, target: str
) -> None:
    view = replace(
        VIEW,
        endpoints=(endpoint(1, backend=backend), endpoint(2)),
        clusters=(replace(C1, global_cidrs=global_cidrs),),
    )
    assert mangle(expected_state(replace(WORKER, tcp_clamp_mss=annotation), view)) == [target, target]


def test_a_fixed_mss_waits_for_the_local_endpoint() -> None:
    view = replace(VIEW, endpoints=(endpoint(2),), clusters=(replace(C1, global_cidrs=("242.0.0.0/16",)),))
    assert mangle(expected_state(WORKER, view)) == []


def test_pairs_combine_every_pod_cidr_with_every_remote_subnet() -> None:
    view = replace(VIEW, clusters=(replace(C1, pod_cidrs=("10.8.0.0/17", "10.8.128.0/17", "fd00::/48")),))
    texts = nat(expected_state(WORKER, view))
    assert len(texts) == 1 + 2 * 2 * 2
    assert texts[1:5] == [
        "-s 10.8.0.0/17 -d 100.9.0.0/16 -j ACCEPT",
        "-s 100.9.0.0/16 -d 10.8.0.0/17 -j ACCEPT",
        "-s 10.8.128.0/17 -d 100.9.0.0/16 -j ACCEPT",
        "-s 100.9.0.0/16 -d 10.8.128.0/17 -j ACCEPT",
    ]


def test_a_cluster_that_did_not_publish_itself_is_named() -> None:
    with pytest.raises(TopologyError, match="no Cluster object for cluster ID c1"):
        expected_state(WORKER, replace(VIEW, clusters=()))


def firewall(state: NodeState, *rules: PacketFilterRule) -> NodeState:
    (own,) = state.packet_filters or ()
    return replace(state, packet_filters=(PacketFilter((*rules, *own.rules), own.policies),))


def test_a_foreign_rule_before_a_first_jump_is_misplacement_and_behind_the_input_jump_is_not() -> None:
    expected = expected_state(WORKER, VIEW)
    masquerade = PacketFilterRule("nat", "POSTROUTING", "-s 10.8.0.0/16 -j MASQUERADE")
    reject = PacketFilterRule("filter", "INPUT", "-j REJECT")
    (found,) = differences(expected, firewall(expected, masquerade, reject))
    assert str(found) == "packet_filters: misplaced nat: -A POSTROUTING -j SUBMARINER-POSTROUTING"


def test_a_stale_rule_and_a_doubled_one_are_both_unexpected() -> None:
    expected = expected_state(WORKER, VIEW)
    stale = PacketFilterRule("nat", c.POSTROUTING_CHAIN, "-s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.9.9")
    doubled = PacketFilterRule("nat", c.POSTROUTING_CHAIN, "-s 10.8.0.0/16 -d 100.9.0.0/16 -j ACCEPT")
    found = differences(expected, firewall(expected, stale, doubled))
    assert {(d.kind, d.element) for d in found} == {(Kind.UNEXPECTED, stale), (Kind.UNEXPECTED, doubled)}


def test_globalnet_s_jump_into_the_nat_chain_is_not_ours_to_judge() -> None:
    expected = expected_state(WORKER, VIEW)
    egress = PacketFilterRule("nat", c.POSTROUTING_CHAIN, "-j SUBMARINER-GN-EGRESS")
    assert differences(expected, firewall(expected, egress)) == ()


def test_rules_of_either_backend_count() -> None:
    expected = expected_state(WORKER, VIEW)
    (own,) = expected.packet_filters or ()
    both = replace(expected, packet_filters=(PacketFilter((), {}, "legacy"), replace(own, backend="nft")))
    assert differences(expected, both) == ()


def test_addresses_are_derived_and_spelled_as_the_tools_do() -> None:
    assert vtep(240, "172.18.0.3") == "240.18.0.3"
    with pytest.raises(ValueError, match="fd00::1"):
        vtep(240, "fd00::1")
    assert ipv4_cidrs(["10.8.1.0/16", "fd00::/64", "10.8.0.0/16"]) == ("10.8.0.0/16",)
    assert overlap(["10.8.0.0/16"], ["10.8.3.0/24"])
    assert not overlap(["10.8.0.0/16"], ["10.9.0.0/16", "fd00::/8"])
    assert conf("flannel.1", "rp_filter") == "net.ipv4.conf.flannel/1.rp_filter"

"""The way between gateways: found in several forms, silent on look-alikes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from encrypted_cables import connected, logged, with_endpoints
from observations import changed, counted, failing, found, healthy, suspicions, told

from pytest_submariner.diagnose.causes import cable, cable_addresses, cable_health, cable_vxlan
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.trace import Rung, Sighting, Trace, Way
from pytest_submariner.lab.faults.signatures import CABLE
from pytest_submariner.model.filters import NftChain, NftRule, NftTable
from pytest_submariner.model.nodestate import Address, FdbEntry, Link, PacketFilterRule, Route, Rule
from pytest_submariner.model.verdict import Verdict

OUT, BACK = "pod.ngw.c1--pod.ngw.c2--tcp", "pod.ngw.c2--pod.ngw.c1--tcp"


def sighted(way: Way, number: int, packets: int, node: str, **outer: Any) -> Sighting:
    return Sighting(Rung(way, number, node[:2], node, "eth0", "out"), packets, **outer)


def traced(seen: Observation, path: str, *, lost_at: int, way: Way = Way.REQUEST, **outer: Any) -> Observation:
    """Packets of a path went up to the rung before `lost_at` (of the way of the cable, 6 to 9), and not to that one."""
    here, there = (f"{path.split('.')[2][:2]}-gw", f"{path.split('--')[1].split('.')[2][:2]}-gw")
    if way is Way.REPLY:
        here, there = there, here
    numbers = [(n, here if n < 8 else there) for n in (6, 7, 8, 9)]
    rungs = [sighted(way, n, 2 if n < lost_at else 0, node, **(outer if n == 7 else {})) for n, node in numbers]
    return replace(seen, traces={**seen.traces, path: Trace(path, tuple(rungs))})


def dead(seen: Observation) -> Observation:
    return failing(seen, CABLE)


def test_packets_are_lost_between_gateways_both_ways() -> None:
    seen = traced(traced(dead(healthy()), OUT, lost_at=8), BACK, lost_at=8)
    assert found(seen) == [("CABLE_TUNNEL_PORT_BLOCKED", "c1", "c1-gw")]


def test_packets_are_lost_between_gateways_one_way() -> None:
    seen = traced(traced(dead(healthy()), OUT, lost_at=8), BACK, lost_at=9)
    assert found(seen) == [("CABLE_ONE_WAY_ACL", "c1", "c1-gw")]
    seen = traced(traced(dead(healthy()), OUT, lost_at=9), BACK, lost_at=8)
    assert found(seen) == [("CABLE_ONE_WAY_ACL", "c2", "c2-gw")]


def test_of_three_clusters_the_common_one_is_named() -> None:
    seen = failing(healthy(clusters=3, workers=1), "*.c2--*.{b}--*", "c2")
    seen = failing(seen, "*.{b}--*.c2--*", "c2")
    for path in (
        "pod.ngw.c1--pod.ngw.c2--tcp",
        "pod.ngw.c2--pod.ngw.c1--tcp",
        "pod.ngw.c3--pod.ngw.c2--tcp",
        "pod.ngw.c2--pod.ngw.c3--tcp",
    ):
        seen = traced(seen, path, lost_at=8)
    assert found(seen, cable.tunnel_port_blocked) == [("CABLE_TUNNEL_PORT_BLOCKED", "c2", "c2-gw")]


def test_packets_for_a_wrong_address_are_not_filtered() -> None:
    seen = dead(healthy())
    for path in (OUT, BACK):
        seen = traced(seen, path, lost_at=8, outer_destinations=("172.18.250.250",))
    assert suspicions(seen, cable.tunnel_port_blocked, cable.one_way_acl) == []


def test_nothing_is_concluded_without_packets_seen() -> None:
    assert found(dead(healthy()), cable.tunnel_port_blocked, cable.one_way_acl) == []


def test_lost_while_others_cross_is_no_filter() -> None:
    seen = traced(traced(failing(healthy(), "pod.ngw.c1--*.c2--tcp"), OUT, lost_at=8), BACK, lost_at=8)
    assert found(seen, cable.tunnel_port_blocked, cable.one_way_acl) == []


def with_rule(seen: Observation, node: str, chain: str, text: str) -> Observation:
    rule = PacketFilterRule("filter", chain, text)
    return changed(seen, node, packet_filters=lambda filters: [replace(f, rules=(rule, *f.rules)) for f in filters])


def test_a_rule_of_a_gateway_drops_the_port() -> None:
    seen = with_rule(dead(healthy()), "c2-gw", "INPUT", "-p udp -m udp --dport 4500 -j DROP")
    assert found(seen) == [("CABLE_TUNNEL_PORT_BLOCKED", "c2", "c2-gw")]
    assert found(traced(seen, BACK, lost_at=9)) == [("CABLE_ONE_WAY_ACL", "c2", "c2-gw")]


def test_a_native_table_of_a_gateway_drops_the_port() -> None:
    rule = NftRule("udp dport 4500 counter packets 9 bytes 900 drop", "drop", 9, 900)
    table = NftTable("inet", "edge", (NftChain("in", (rule,), "filter", "input", 0, "accept"),))
    seen = changed(dead(healthy()), "c1-gw", native_tables=(table,))
    assert found(seen) == [("CABLE_TUNNEL_PORT_BLOCKED", "c1", "c1-gw")]


def test_no_entry_for_the_peer() -> None:
    seen = changed(dead(healthy()), "c1-gw", fdb=lambda fdb: [e for e in fdb if e.device != "vxlan-tunnel"])
    assert found(seen) == [("CABLE_PEER_FDB_MISSING", "c1", "c1-gw")]


def test_an_entry_for_another_address() -> None:
    def elsewhere(fdb: tuple[FdbEntry, ...]) -> list[FdbEntry]:
        return [replace(e, dst="172.18.99.9") if e.device == "vxlan-tunnel" else e for e in fdb]

    assert found(changed(dead(healthy()), "c1-gw", fdb=elsewhere)) == [("CABLE_PEER_FDB_MISSING", "c1", "c1-gw")]


def test_an_entry_for_the_peers_mac_serves_too() -> None:
    far = healthy().sights["c2", "c2-gw"].link("vxlan-tunnel")
    assert far is not None

    def by_mac(fdb: tuple[FdbEntry, ...]) -> list[FdbEntry]:
        return [replace(e, mac=far.mac) if e.device == "vxlan-tunnel" else e for e in fdb]

    assert suspicions(changed(healthy(), "c1-gw", fdb=by_mac), cable_vxlan.peer_fdb_missing) == []


def rerouted(seen: Observation, node: str, **change: Any) -> Observation:
    def patch(routes: tuple[Route, ...]) -> list[Route]:
        return [replace(r, **change) if r.table == "100" else r for r in routes]

    return changed(seen, node, routes=patch)


def test_a_next_hop_that_is_nobodys() -> None:
    seen = rerouted(dead(healthy()), "c1-gw", gateway="241.99.0.7")
    assert found(seen) == [("CABLE_VTEP_FROM_PUBLIC_IP", "c1", "c1-gw")]


def test_a_better_route_to_a_part_of_the_subnets() -> None:
    more = Route("10.9.2.0/24", "vxlan-tunnel", "100", "241.99.0.7")
    seen = changed(failing(healthy(), "*.c1--pod.ngw.c2--*"), "c1-gw", routes=lambda routes: [*routes, more])
    [(_, suspicion)] = suspicions(seen, cable_vxlan.vtep_from_public_ip)
    assert suspicion.object == "route 10.9.2.0/24"
    assert {flow.case.target.place for flow in seen.failing_in(suspicion.explains)} == {"ngw"}


def test_the_peer_has_another_tunnel_address_than_its_endpoint_gives() -> None:
    def move(addresses: tuple[Address, ...]) -> list[Address]:
        return [replace(a, ip="241.7.7.7") if a.device == "vxlan-tunnel" else a for a in addresses]

    assert found(changed(dead(healthy()), "c2-gw", addresses=move), cable_vxlan.vtep_from_public_ip) == [
        ("CABLE_VTEP_FROM_PUBLIC_IP", "c2", "c2-gw")
    ]


def on_port(seen: Observation, node: str, port: int) -> Observation:
    def patch(links: tuple[Link, ...]) -> list[Link]:
        return [replace(link, port=port) if link.name == "vxlan-tunnel" else link for link in links]

    return changed(seen, node, links=patch)


def test_a_device_on_another_port_than_the_endpoint_says() -> None:
    seen = counted(on_port(dead(healthy()), "c1-gw", 4501), "c2-gw", UdpNoPorts=9)
    assert found(seen) == [("CABLE_UDP_PORT_MISMATCH", "c1", "c1-gw")]
    [(_, suspicion)] = suspicions(seen, cable_vxlan.udp_port_mismatch)
    assert suspicion.traffic == ("c2-gw: UdpNoPorts rose by 9 while probes ran",)


def test_an_endpoint_that_says_another_port() -> None:
    seen = with_endpoints(dead(healthy()), "c2", backend_config=lambda c: {**c, "udp-port": "4600"})
    assert found(seen, cable_vxlan.udp_port_mismatch) == [("CABLE_UDP_PORT_MISMATCH", "c2", "c2-gw")]


def test_another_port_that_all_agree_on() -> None:
    seen = on_port(on_port(healthy(), "c1-gw", 4600), "c2-gw", 4600)
    for cluster in ("c1", "c2"):
        seen = with_endpoints(seen, cluster, backend_config=lambda c: {**c, "udp-port": "4600"})
    assert suspicions(seen, cable_vxlan.udp_port_mismatch) == []


def test_the_peer_is_routed_into_its_own_tunnel() -> None:
    into = Route("172.18.2.1", "vxlan-tunnel", "100", "241.18.2.1")
    first = Rule(99, "100", destination="172.18.2.1")
    seen = changed(dead(healthy()), "c1-gw", routes=lambda r: [*r, into], rules=lambda r: [first, *r])
    assert found(seen, cable_vxlan.peer_inside_own_tunnel) == [("CABLE_PEER_INSIDE_OWN_TUNNEL", "c1", "c1-gw")]


def test_a_subnet_that_holds_the_peer_and_a_route_around_it() -> None:
    inside = Route("172.18.0.0/16", "vxlan-tunnel", "100", "241.18.2.1", metric=100)
    around = Route("172.18.2.1", "eth0", "100")
    seen = changed(healthy(), "c1-gw", routes=lambda r: [*r, inside])
    assert len(suspicions(seen, cable_vxlan.peer_inside_own_tunnel)) == 1
    seen = changed(seen, "c1-gw", routes=lambda r: [*r, around])
    assert suspicions(seen, cable_vxlan.peer_inside_own_tunnel) == []


NO_PING = 'Failed to successfully ping the remote endpoint IP "10.8.1.1"'


@pytest.mark.parametrize(
    ("node", "chain", "text"),
    [
        ("c1-gw", "INPUT", "-d 10.8.1.1/32 -p icmp -m icmp --icmp-type 8 -j DROP"),
        ("c1-gw", "INPUT", "-p icmp -j REJECT --reject-with icmp-admin-prohibited"),
        ("c1-gw", "OUTPUT", "-s 10.8.1.1/32 -p icmp -j DROP"),
    ],
)
def test_pings_are_dropped_by_a_rule(node: str, chain: str, text: str) -> None:
    seen = with_rule(connected(healthy(), "c2", status="error", statusMessage=NO_PING), node, chain, text)
    assert set(found(failing_status(seen, "c2"))) == {("CABLE_HEALTHCHECK_ICMP_FILTERED", "c1", "c1-gw")}


def test_pings_are_ignored_by_setting() -> None:
    seen = changed(healthy(), "c1-gw", sysctls=lambda s: {**s, cable_health.IGNORE_ECHO: "1"})
    assert found(seen) == [("CABLE_HEALTHCHECK_ICMP_FILTERED", "c1", "c1-gw")]


def test_pings_fail_while_data_crosses_and_no_rule_says_why() -> None:
    seen = connected(healthy(), "c2", status="error", statusMessage=NO_PING)
    assert found(seen) == []
    status = [f for f in seen.flows if f.is_status and f.source.cluster == "c2"]
    assert status
    seen = failing_status(seen, "c2")
    assert found(seen) == [("CABLE_HEALTHCHECK_ICMP_FILTERED", "c1", "c1-gw")]


def failing_status(seen: Observation, cluster: str) -> Observation:
    flows = (
        replace(f, result=replace(f.result, verdict=Verdict.BLOCKED))
        if f.is_status and f.source.cluster == cluster
        else f
        for f in seen.flows
    )
    return replace(seen, flows=tuple(flows))


def test_a_ping_that_fails_with_everything_else_is_no_filter() -> None:
    seen = dead(connected(healthy(), "c2", status="error", statusMessage=NO_PING))
    assert suspicions(seen, cable_health.healthcheck_icmp_filtered) == []


def test_a_host_that_drops_pings_without_a_health_check() -> None:
    seen = with_rule(healthy(), "c1-gw", "INPUT", "-p icmp -j DROP")
    for cluster in ("c1", "c2"):
        seen = with_endpoints(seen, cluster, healthCheckIP="")
    assert suspicions(seen, cable_health.healthcheck_icmp_filtered) == []


def test_nat_discovery_without_an_answer() -> None:
    name = "submariner-cable-c2-172-18-2-1"
    line = f'W1122 NAT discovery for endpoint "{name}" has timed out'
    seen = logged(healthy(), "c1", "submariner-gateway-c1-gw/submariner-gateway", line)
    assert found(seen) == [("CABLE_NATT_PORT_BLOCKED", "c1", "c1-gw")]
    gone = line.replace(name, "submariner-cable-c2-172-18-9-9")
    assert found(logged(healthy(), "c1", "submariner-gateway-c1-gw/submariner-gateway", gone)) == []


def test_nat_discovery_that_neither_side_completes_is_one_fault() -> None:
    seen = healthy(clusters=3, workers=1)
    for here, there in (("c1", "c2"), ("c2", "c1"), ("c2", "c3"), ("c3", "c2")):
        own = next(e for e in seen.objects[there]["endpoints"] if e["spec"]["cluster_id"] == there)["spec"]
        line = f'NAT discovery for endpoint "{own["cable_name"]}" has timed out'
        known = seen.objects[here].logs.get("submariner-gateway-x/submariner-gateway", ())
        seen = logged(seen, here, "submariner-gateway-x/submariner-gateway", *known, line)
    assert found(seen) == [("CABLE_NATT_PORT_BLOCKED", "c2", "c2-gw")]


def test_nat_discovery_is_dropped_by_a_rule() -> None:
    seen = with_rule(healthy(), "c2-gw", "INPUT", "-p udp -m udp --dport 4490 -j DROP")
    assert found(seen) == [("CABLE_NATT_PORT_BLOCKED", "c2", "c2-gw")]


def second_card(seen: Observation) -> Observation:
    return changed(seen, "c1-gw", addresses=lambda found: [*found, Address("eth1", "192.168.77.2", 24)])


def test_an_address_of_another_card() -> None:
    seen = with_endpoints(dead(second_card(healthy())), "c1", private_ip="192.168.77.2")
    assert found(seen, cable_addresses.private_ip_wrong_nic) == [("CABLE_PRIVATE_IP_WRONG_NIC", "c1", "c1-gw")]


def test_a_second_card_that_serves() -> None:
    assert suspicions(second_card(healthy()), cable_addresses.private_ip_wrong_nic) == []
    seen = with_endpoints(second_card(healthy()), "c1", private_ip="192.168.77.2")
    assert found(failing(seen, "*.c1--svc.*.c2--*"), cable_addresses.private_ip_wrong_nic) == []


@pytest.mark.parametrize(("cluster", "ip"), [("c1", "172.18.2.1"), ("c2", "172.18.1.1")])
def test_one_address_in_two_endpoints(cluster: str, ip: str) -> None:
    seen = with_endpoints(dead(healthy()), cluster, private_ip=ip)
    assert found(seen, cable_addresses.private_ip_duplicate) == [
        ("CABLE_PRIVATE_IP_DUPLICATE", cluster, f"{cluster}-gw")
    ]


def test_two_sites_with_one_address_that_meet_by_nat() -> None:
    seen = with_endpoints(healthy(), "c1", private_ip="172.18.2.1")
    assert found(failing(seen, "*.c1--svc.*.c2--*"), cable_addresses.private_ip_duplicate) == []


def behind_nat(seen: Observation, public: str = "203.0.113.7") -> Observation:
    return connected(
        with_endpoints(seen, "c1", public_ip=public, nat_enabled=True), "c2", usingIP=public, usingNAT=True
    )


def test_a_public_address_the_gateway_itself_does_not_say() -> None:
    def now(gateway: dict[str, Any]) -> dict[str, Any]:
        status = {
            **gateway["status"],
            "localEndpoint": {**gateway["status"]["localEndpoint"], "public_ip": "203.0.113.99"},
        }
        return {**gateway, "status": status}

    seen = told(dead(behind_nat(healthy(cable="libreswan"))), "c1", gateways=lambda gateways: map(now, gateways))
    assert found(seen, cable_addresses.public_ip_stale) == [("CABLE_PUBLIC_IP_STALE", "c1", "c1-gw")]


def test_a_public_address_that_is_pinned_to_another() -> None:
    def pin(node: dict[str, Any]) -> dict[str, Any]:
        pinned = {"gateway.submariner.io/public-ip": "ipv4:203.0.113.99"}
        return (
            {**node, "metadata": {**node["metadata"], "annotations": pinned}}
            if node["metadata"]["name"] == "c1-gw"
            else node
        )

    seen = told(dead(behind_nat(healthy(cable="libreswan"))), "c1", nodes=lambda nodes: map(pin, nodes))
    assert found(seen, cable_addresses.public_ip_stale) == [("CABLE_PUBLIC_IP_STALE", "c1", "c1-gw")]


def test_a_public_address_nobody_uses() -> None:
    seen = with_endpoints(healthy(), "c1", public_ip="203.0.113.7")
    assert suspicions(seen, cable_addresses.public_ip_stale) == []
    assert suspicions(behind_nat(healthy(cable="libreswan")), cable_addresses.public_ip_stale) == []

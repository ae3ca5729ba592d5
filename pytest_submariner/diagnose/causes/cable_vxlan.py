"""Causes: the vxlan cable's device, forwarding entries and routes on gateway nodes."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.addresses import ipv4_cidrs, vtep
from pytest_submariner.dataplane.constants import VXLAN_TUNNEL, VXLAN_TUNNEL_OCTET
from pytest_submariner.dataplane.links import FLOOD_MAC
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.cables import CABLE_DEVICES, RESTART_GATEWAY, CableEnd, cable_ends, port_of
from pytest_submariner.diagnose.reasoning.routelookup import in_any, lookup, network
from pytest_submariner.diagnose.reasoning.waysout import toward
from pytest_submariner.diagnose.scope import Scope, across
from pytest_submariner.model.nodestate import Route

_LOST_AFTER = ("CABLE_TUNNEL_PORT_BLOCKED", "CABLE_ONE_WAY_ACL", "DNS_CLUSTER_WITHHELD")
_WIREGUARD_OR_VXLAN = ("vxlan", "wireguard")


@cause(
    "CABLE_PEER_FDB_MISSING",
    title="The vxlan cable has no forwarding entry for the other gateway",
    symptom="Nothing crosses between two clusters; gateways may still call the cable connected.",
    mechanism="vxlan-tunnel does not learn. Without a default entry that leads to the peer, frames for it go nowhere, or to another peer.",
    evidence="No all-zero entry of vxlan-tunnel, nor one for the peer's MAC, leads to the address the connection uses; no cable packet "
    "leaves the node.",
    remedy=f"Restart the gateway, {RESTART_GATEWAY}, and look in its log for a failed FDB entry; by hand: `bridge fdb append "
    "00:00:00:00:00:00 dev vxlan-tunnel dst ADDRESS self permanent`.",
    effects=_LOST_AFTER,
    sources=("submariner issue 1417", "submariner:pkg/cable/vxlan/vxlan.go"),
)
def peer_fdb_missing(seen: Observation) -> Iterator[Suspicion]:
    for end in cable_ends(seen, "vxlan"):
        if end.sight is None or end.tunnel is None or end.sight.before.fdb is None:
            continue
        peer = end.far.link(VXLAN_TUNNEL) if end.far is not None else None
        macs = {FLOOD_MAC, peer.mac if peer is not None and peer.mac else FLOOD_MAC}
        entries = [e for e in end.sight.before.fdb if e.device == VXLAN_TUNNEL and e.mac in macs]
        if any(entry.dst == end.using_ip for entry in entries):
            continue
        there = ", ".join(sorted({entry.dst for entry in entries})) or "none"
        yield Suspicion(
            end.node,
            f"fdb {VXLAN_TUNNEL} {end.using_ip}",
            (
                f"{end.node.name}: no forwarding entry of {VXLAN_TUNNEL} leads to {end.using_ip}, the gateway of "
                f"{end.there.position}; those there are lead to: {there}",
            ),
            end.explains,
            refuted_by=end.refuted_by,
        )


@cause(
    "CABLE_VTEP_FROM_PUBLIC_IP",
    title="The next hop into the vxlan cable is not the other gateway's tunnel address",
    symptom="Nothing crosses between two clusters, or nothing to some of the other's subnets.",
    mechanism="The next hop on vxlan-tunnel has to be 241 and the last three octets of the peer's private address. Taken from another "
    "address, such as the public one, it is nobody's, and ARP inside the tunnel stays without an answer.",
    evidence="Routes of table 100 lead by vxlan-tunnel to an address the other gateway does not have; that neighbour is INCOMPLETE or "
    "FAILED.",
    remedy=f"Do not use the vxlan cable through NAT (join with `--cable-driver libreswan`); else restart the gateway, {RESTART_GATEWAY}, "
    "and upgrade where it comes back.",
    effects=_LOST_AFTER,
    sources=("submariner issue 1417", "submariner issue 1928", "submariner:pkg/cable/vxlan/vxlan.go"),
)
def vtep_from_public_ip(seen: Observation) -> Iterator[Suspicion]:
    for end in cable_ends(seen, "vxlan"):
        wrong = _wrong_hops(seen, end)
        if not wrong or end.sight is None:
            continue
        told = vtep(VXLAN_TUNNEL_OCTET, end.peer.private_ip)
        moved = told not in end.peer_vteps and all(route.gateway == told for route in wrong.values())
        at = end.far.node if moved and end.far is not None else end.node
        hops = sorted({str(route.gateway) for route in wrong.values()})
        state = [
            f"{end.node.name}: {r.destination} in table {r.table} goes by {VXLAN_TUNNEL} via {r.gateway}"
            for r in wrong.values()
        ]
        state.append(f"{end.there.position}'s gateway has {', '.join(sorted(end.peer_vteps))} on its {VXLAN_TUNNEL}")
        state += [
            f"{end.node.name}: neighbour {n.ip} is {n.state}"
            for n in end.sight.before.neighbours or ()
            if n.device == VXLAN_TUNNEL and n.ip in hops and n.state in ("FAILED", "INCOMPLETE")
        ]
        yield Suspicion(
            at,
            f"{VXLAN_TUNNEL} address" if moved else f"route {', '.join(wrong)}",
            tuple(state),
            _sent_from(seen, end, tuple(wrong)),
        )


def _wrong_hops(seen: Observation, end: CableEnd) -> dict[str, Route]:
    """By the part of the peer's subnets they serve, routes into the tunnel to what is no address of the peer's. Asked for each
    subnet's first host and for what paths use."""
    if end.sight is None or end.tunnel is None or end.sight.before.routes is None or end.sight.before.rules is None:
        return {}
    found: dict[str, Route] = {}
    for subnet in ipv4_cidrs(end.peer.subnets):
        first = network(subnet)
        used = {
            ip for flow in seen.flows if flow.crosses for ip in (flow.source_ip, flow.target_ip) if _is_in(ip, subnet)
        }
        for ip in [
            *sorted(used),
            *([str(first.network_address + 1)] if first is not None and first.num_addresses > 1 else []),
        ]:
            decision = lookup(end.sight.before, ip)
            if decision is None or decision.refuses:
                continue
            for route in decision.routes:
                if route.device == VXLAN_TUNNEL and route.gateway is not None and route.gateway not in end.peer_vteps:
                    found.setdefault(_narrower(route.destination, subnet), route)
    return found


def _is_in(ip: str, subnet: str) -> bool:
    return ":" not in ip and in_any(ip, (subnet,))


def _narrower(destination: str, subnet: str) -> str:
    inner, outer = network(destination), network(subnet)
    return destination if inner is not None and outer is not None and inner.subnet_of(outer) else subnet


def _sent_from(seen: Observation, end: CableEnd, networks: tuple[str, ...]) -> Scope:
    """What the cluster here sends to some of the other's addresses, with the gateway status when they are all of them."""
    nodes = seen.topology.cluster(end.here.position).nodes
    sent = toward(
        seen, networks, nodes=nodes, words=f"between clusters that {end.here.position} sends to {', '.join(networks)}"
    )
    if set(ipv4_cidrs(end.peer.subnets)) <= set(networks):
        return Scope(sent.words, (sent | end.explains).holds)
    return Scope(sent.words, (sent | (end.explains & ~end.refuted_by)).holds)


@cause(
    "CABLE_UDP_PORT_MISMATCH",
    title="A gateway's cable uses another UDP port than its Endpoint says",
    symptom="Nothing crosses between two clusters; packets reach the gateway and are answered with ICMP port unreachable.",
    mechanism="Gateways send to the port of the other's Endpoint (backend_config udp-port). A device that was made with another port "
    "neither receives them nor, for vxlan, sends to the right one.",
    evidence="The device's port is not the Endpoint's; UdpNoPorts rises where cable packets arrive.",
    remedy=f"Make the node's annotation gateway.submariner.io/udp-port, port mappings and firewalls agree, then restart the gateway: "
    f"{RESTART_GATEWAY}.",
    effects=_LOST_AFTER,
    sources=("submariner issue 1253", "Submariner NAT traversal page", "submariner:pkg/cable/vxlan/vxlan.go"),
)
def udp_port_mismatch(seen: Observation) -> Iterator[Suspicion]:
    done: set[str] = set()
    for end in cable_ends(seen, *_WIREGUARD_OR_VXLAN):
        port, device = _listening(end)
        if port is None or port == port_of(end.own) or end.here.position in done:
            continue
        done.add(end.here.position)
        rises = [(s, s.rise("UdpNoPorts")) for s in (end.sight, end.far) if s is not None]
        yield Suspicion(
            end.node,
            device,
            (f"{end.node.name}: {device} uses UDP port {port}; Endpoint {end.own.name} says {port_of(end.own)}",),
            _of_gateway(end),
            traffic=tuple(f"{s.name}: UdpNoPorts rose by {rise} while probes ran" for s, rise in rises if rise),
        )


def _listening(end: CableEnd) -> tuple[int | None, str]:
    """The port of the cable's device here, None when it has none or was not read."""
    if end.driver == "vxlan":
        return (end.tunnel.port if end.tunnel is not None else None), VXLAN_TUNNEL
    devices = end.sight.before.wireguard if end.sight is not None else None
    device = next((d for d in devices or () if d.name in CABLE_DEVICES), None)
    return (device.port if device is not None else None), device.name if device is not None else ""


def _of_gateway(end: CableEnd) -> Scope:
    """All cables of a gateway: what leaves or enters its cluster."""
    return across(end.here.position)


@cause(
    "CABLE_PEER_INSIDE_OWN_TUNNEL",
    title="The other gateway's own address is routed into the cable",
    symptom="Nothing crosses between two clusters: the tunnel swallows the packets that should carry it.",
    mechanism="When the address of the remote gateway lies in a subnet that is routed through the cable, encapsulated packets are sent "
    "into the tunnel again, and again.",
    evidence="The route that the node takes to the other gateway's address leads by the cable's own device; no cable packet leaves the "
    "underlay device, and transmit errors or IPReversePathFilter rise.",
    remedy="Renumber so that node addresses lie outside all pod and service CIDRs of the clusterset, or route that address: `ip route add "
    "ADDRESS via NEXTHOP dev UNDERLAY table 100`.",
    effects=_LOST_AFTER,
    sources=("submariner issue 1106", "submariner issue 1253"),
)
def peer_inside_own_tunnel(seen: Observation) -> Iterator[Suspicion]:
    for end in cable_ends(seen, *_WIREGUARD_OR_VXLAN):
        if end.sight is None or end.sight.before.routes is None or end.sight.before.rules is None:
            continue
        decision = lookup(end.sight.before, end.using_ip)
        if decision is None or decision.route.device not in CABLE_DEVICES:
            continue
        route = decision.route
        rise = end.sight.rise("TcpExtIPReversePathFilter")
        yield Suspicion(
            end.node,
            f"route {route.destination} table {route.table}",
            (
                f"{end.node.name}: {end.using_ip}, the gateway of {end.there.position}, is reached by {route.device} "
                f"({route.destination}, table {route.table}, rule {decision.rule.priority})",
            ),
            end.explains,
            traffic=(f"{end.node.name}: IPReversePathFilter rose by {rise} while probes ran",) if rise else (),
            refuted_by=end.refuted_by,
        )

"""How nodes send what is meant for other clusters: by the route Submariner made, or by which other.

Asked of the node's rules and tables for addresses that paths use, and one more of each remote subnet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pytest_submariner.dataplane.addresses import ipv4_cidrs
from pytest_submariner.dataplane.constants import CABLE_TABLE, HOST_NETWORK_TABLE, VX_SUBMARINER, VXLAN_TUNNEL
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.reasoning.routelookup import Decision, in_any, longest, lookup, network
from pytest_submariner.diagnose.reasoning.spokes import Spoke, has_overlay, spokes, view_of
from pytest_submariner.diagnose.scope import Scope
from pytest_submariner.model.nodestate import Route
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Node, Role

if TYPE_CHECKING:
    from pytest_submariner.diagnose.observation import Observation

Packets = Set[tuple[str, str]]
"""(source, destination); the source is "" where the sending node chooses it."""
_NUMBERS = {
    8: "gated",
    9: "ra",
    10: "mrt",
    11: "zebra",
    12: "bird",
    14: "xorp",
    18: "keepalived",
    42: "babel",
    80: "felix",
    99: "openr",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}
DAEMONS = frozenset(_NUMBERS.values()) | frozenset(map(str, _NUMBERS))
"""Protocols that routing daemons write on their routes, by name and, where iproute2 lacks the name, by number
(linux:include/uapi/linux/rtnetlink.h; 80 is Calico's Felix)."""


class Detour(StrEnum):
    """Why packets do not leave as Submariner meant."""

    MISSING = "missing"
    """No route of their own: the default route takes them, or none."""
    NEXT_HOP = "next hop"
    """By the right device to a wrong next hop."""
    REPLACED = "replaced"
    """A route to the same subnet, not Submariner's, or one of a routing daemon."""
    MORE_SPECIFIC = "more specific"
    """A longer prefix covers a part of the subnet."""
    POLICY = "policy"
    """A table of another rule is asked first."""
    REFUSED = "refused"
    """A blackhole, or the like."""
    RULE = "rule"
    """The cable's table has the route, and no rule leads to it in time."""


@dataclass(frozen=True)
class WayOut:
    """For packets of `node` to `networks`, a part of a remote cluster's subnet or all of it. `expected`: the device."""

    sight: NodeSight
    detour: Detour
    subnet: str
    networks: tuple[str, ...]
    example: str
    expected: str
    decision: Decision | None

    @property
    def text(self) -> str:
        """`c1-w1: 10.9.1.10 leaves by eth0 via 172.18.0.1 (default, table main)`."""
        return f"{self.sight.name}: {self.example} {leaves(self.decision)}"


def leaves(decision: Decision | None) -> str:
    if decision is None:
        return "has no route"
    route = decision.route
    where = f"({route.destination}, table {route.table}, protocol {route.protocol})"
    if decision.rule.action:
        return f"is refused by ip rule {decision.rule.priority} ({decision.rule.action})"
    if decision.refuses:
        return f"is refused by a route of type {route.kind} {where}"
    hops = " and ".join(f"via {r.gateway} dev {r.device}" if r.gateway else f"dev {r.device}" for r in decision.routes)
    return f"leaves {hops} {where}"


def ways_out(seen: Observation, *detours: Detour) -> Iterator[tuple[NodeSight, tuple[WayOut, ...]]]:
    """Nodes with such detours, each with all it has of them."""
    nodes: dict[tuple[str, str], list[WayOut]] = {}
    for way in seen.ways_out:
        if way.detour in detours:
            nodes.setdefault((way.sight.node.cluster, way.sight.name), []).append(way)
    for found in nodes.values():
        yield found[0].sight, tuple(found)


def all_ways_out(seen: Observation) -> Iterator[WayOut]:
    """Every detour of every node; by a device in use only, since one that is down or missing took its routes along."""
    sent = _sent(seen)
    for spoke in spokes(seen):
        if spoke.is_in_use:
            yield from _of_spoke(seen, spoke, sent[spoke.node])
    for sight in seen.gateways():
        device = sight.link(VXLAN_TUNNEL)
        if has_overlay(sight.cluster) and device is not None and device.up:
            yield from _of_gateway(seen, sight, sent[sight.node])


def toward(seen: Observation, networks: Iterable[str], *, nodes: Iterable[Node], words: str) -> Scope:
    """Flows between clusters that send to `networks` from `nodes`: requests from there, and replies of listeners there."""
    wanted, senders = tuple(networks), frozenset(nodes)

    def holds(flow: Flow) -> bool:
        if not flow.crosses:
            return False
        if flow.source in senders and in_any(flow.target_ip, wanted):
            return True
        return flow.target in senders and _answered_in(seen, flow, wanted)

    return Scope(words, holds)


def _answered_in(seen: Observation, flow: Flow, networks: tuple[str, ...]) -> bool:
    """Whether replies go to one of `networks`. A host's requests come with its node's CNI address, so the replies go there; where
    that is not known the whole subnets of its cluster count."""
    if flow.case.source.kind is Kind.POD and not seen.topology.cluster(flow.source.cluster).globalnet:
        return in_any(flow.source_ip, networks)
    sight = seen.sight(flow.source)
    cni_ip = sight.facts.cni_ip if sight is not None and sight.facts is not None else None
    if cni_ip is not None and not seen.topology.cluster(flow.source.cluster).globalnet:
        return in_any(cni_ip, networks)
    view = view_of(seen, flow.source.cluster)
    own = view.local.subnets if view is not None and view.local is not None else ()
    return any(subnet in networks for subnet in own)


def _of_spoke(seen: Observation, spoke: Spoke, packets: Packets) -> Iterator[WayOut]:
    view = view_of(seen, spoke.node.cluster)
    if view is None or spoke.sight.before.routes is None or spoke.sight.before.rules is None:
        return
    hops = spoke.vteps | {spoke.told_vtep}
    for remote in view.reachable_remotes:
        for subnet in ipv4_cidrs(remote.subnets):
            yield from _of_subnet(spoke.sight, packets, subnet, VX_SUBMARINER, hops)


def _of_gateway(seen: Observation, sight: NodeSight, packets: Packets) -> Iterator[WayOut]:
    """With the vxlan cable, for clusters the Gateway lists a connection to: before that there are no routes. The next hops are the
    cable's matter."""
    view = view_of(seen, sight.node.cluster)
    if view is None or sight.before.routes is None or sight.before.rules is None:
        return
    for connection in view.connections or ():
        if connection.status:
            for subnet in ipv4_cidrs(connection.endpoint.subnets):
                yield from _of_subnet(sight, packets, subnet, VXLAN_TUNNEL, frozenset())


def _of_subnet(sight: NodeSight, packets: Packets, subnet: str, device: str, hops: frozenset[str]) -> Iterator[WayOut]:
    found: dict[tuple[Detour, Route | None], WayOut] = {}
    asks_sources = any(rule.source != "all" for rule in sight.before.rules or ())
    for source, destination in _into(subnet, packets, with_sources=asks_sources):
        decision = lookup(sight.before, destination, source)
        detour = _detour(sight, subnet, device, hops, destination, decision)
        if detour is None:
            continue
        route = decision.route if decision is not None else None
        part = route.destination if route is not None and _is_part(route.destination, subnet) else subnet
        found.setdefault((detour, route), WayOut(sight, detour, subnet, (part,), destination, device, decision))
    yield from found.values()


def _detour(
    sight: NodeSight, subnet: str, device: str, hops: frozenset[str], destination: str, decision: Decision | None
) -> Detour | None:
    if decision is None:
        return Detour.RULE if _has_cable_route(sight, destination) else Detour.MISSING
    route = decision.route
    if route.device == device and not decision.refuses:
        wrong = hops and any(hop.gateway not in hops for hop in decision.routes)
        return Detour.NEXT_HOP if wrong else None
    if decision.by_policy and not _is_own_table(sight.node, decision.rule.table):
        return Detour.POLICY
    if decision.refuses:
        return Detour.REFUSED
    if sight.node.role is Role.GATEWAY and _has_cable_route(sight, destination):
        return Detour.RULE
    if route.table == HOST_NETWORK_TABLE or not _is_part(route.destination, subnet):
        return Detour.MISSING
    if route.protocol in DAEMONS or network(route.destination) == network(subnet):
        return Detour.REPLACED
    return Detour.MORE_SPECIFIC


def _has_cable_route(sight: NodeSight, destination: str) -> bool:
    routes = longest(destination, (route for route in sight.routes if route.table == CABLE_TABLE))
    return bool(routes) and routes[0].device == VXLAN_TUNNEL


def _is_own_table(node: Node, table: str) -> bool:
    return node.role is Role.GATEWAY and table in (CABLE_TABLE, HOST_NETWORK_TABLE)


def _is_part(destination: str, subnet: str) -> bool:
    inner, outer = network(destination), network(subnet)
    return inner is not None and outer is not None and inner.subnet_of(outer)


def _sent(seen: Observation) -> Mapping[Node, Packets]:
    """The packets each node sends to other clusters, by the flows: requests, and replies to pods; a gateway those of all its nodes."""
    found: dict[Node, set[tuple[str, str]]] = {node: set() for cluster in seen.clusters for node in cluster.nodes}
    for flow in seen.flows:
        if flow.crosses:
            is_pod = flow.case.source.kind is Kind.POD
            found[flow.source].add((flow.source_ip if is_pod else "", flow.target_ip))
            if is_pod:
                found[flow.target].add(("" if flow.to_service else flow.target_ip, flow.source_ip))
    for gateway in filter(None, (seen.gateway(cluster.position) for cluster in seen.clusters)):
        nodes = seen.topology.cluster(gateway.cluster).nodes
        found[gateway] = set().union(*(found[node] for node in nodes))
    return found


def _into(subnet: str, packets: Packets, *, with_sources: bool) -> list[tuple[str, str]]:
    """The packets for a subnet, and one for its first host. Without sources each destination comes once: a mesh has thousands of
    pairs."""
    kept = {(source if with_sources else "", ip) for source, ip in packets if in_any(ip, (subnet,))}
    found = sorted(kept)
    first = network(subnet)
    if first is not None:
        found.append(("", str(first.network_address + (1 if first.num_addresses > 1 else 0))))
    return found

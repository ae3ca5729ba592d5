"""Causes: what a cluster's Endpoint tells the others. Endpoints are where every route, tunnel and chain of the others comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import reduce
from ipaddress import IPv4Network
from operator import or_

from pytest_submariner.dataplane.addresses import ipv4_cidrs
from pytest_submariner.dataplane.objects import Endpoint
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.published import Published, all_published, name_of, pairs, parsed, shared
from pytest_submariner.diagnose.reasoning.routelookup import in_any
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Node

WRONG_ADDRESS_EFFECTS = (
    "CABLE_TUNNEL_PORT_BLOCKED",
    "CABLE_ONE_WAY_ACL",
    "CABLE_VTEP_FROM_PUBLIC_IP",
    "CABLE_PEER_FDB_MISSING",
    "OVERLAY_FDB_WRONG_GATEWAY_IP",
    "OVERLAY_FDB_STALE_AFTER_FAILOVER",
    "OVERLAY_FDB_WORKER_MISSING",
    "OVERLAY_UDP4800_BLOCKED",
    "ROUTE_NEXTHOP_OLD_GATEWAY",
    "HOST_NODE_IP_MISMATCH",
    "DNS_CLUSTER_WITHHELD",
)
"""Tunnels that were made as a wrong Endpoint said."""
_NOT_PROGRAMMED = (
    "ROUTE_REMOTE_CIDR_MISSING",
    "ROUTE_RULE100_MISSING",
    "ROUTE_TABLE150_LOST",
    "NF_MASQUERADE_FIRST_WORKER",
    "NF_MASQUERADE_ON_GATEWAY",
)
"""What nodes lack for subnets that no Endpoint, or none they accept, tells them of."""
_SHOWN = 4


class _Culprits:
    """Clusters at fault towards one or several others: one suspicion for each."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Published, list[str], list[tuple[str, str]]]] = {}

    def add(self, at: Published, state: Iterable[str], *between: str) -> None:
        """`between`: the positions of the two clusters nothing crosses between then."""
        _, told, found = self._found.setdefault(at.position, (at, [], []))
        told += [line for line in state if line not in told]
        found.append((between[0], between[1]))

    def suspicions(self, seen: Observation, part: str) -> Iterator[Suspicion]:
        """`part`: of the Endpoint's spec."""
        for at, state, found in self._found.values():
            named = at.own.name if at.own is not None else f"of {at.position}"
            yield Suspicion(
                seen.anchor(at.position),
                f"Endpoint {named} {part}",
                tuple(state),
                reduce(or_, (scope.across(*between) for between in found)),
                refuted_by=reduce(or_, (scope.crossing(*between) for between in found)),
            )


@cause(
    "K8S_LOCAL_ENDPOINT_STALE",
    title="The cluster's Endpoint describes a node that is not its active gateway",
    symptom="After a gateway moved: nothing crosses, or pods of non-gateway nodes reach no other cluster while the new gateway does.",
    mechanism="Route agents aim vx-submariner, and other clusters their cable, at the host and address of the Endpoint. When the former "
    "gateway's Endpoint stays, all of them consistently use a node that no longer forwards.",
    evidence="hostname of the Endpoint is not that of the active Gateway, or its private_ip is no address of that node; forwarding entries "
    "of the nodes agree with the Endpoint, so the overlay itself is in order.",
    remedy="`kubectl -n submariner-operator delete endpoints.submariner.io NAME`, then restart the active gateway's pod so that it "
    "publishes itself as the only one.",
    rank=Rank.OBJECT,
    effects=WRONG_ADDRESS_EFFECTS,
    sources=(
        "submariner issue 1244",
        "submariner issue 346",
        "submariner:pkg/controllers/datastoresyncer/datastoresyncer.go",
    ),
)
def local_endpoint_stale(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        if told.gateway is None:
            continue
        host = name_of(told.gateway)
        node = told.named(host) or seen.gateway(told.position)
        for endpoint in told.local:
            state = list(_not_of(seen, told, endpoint, host, node))
            if state:
                yield Suspicion(
                    seen.anchor(told.position), f"Endpoint {endpoint.name}", tuple(state), scope.across(told.position)
                )


def _not_of(seen: Observation, told: Published, endpoint: Endpoint, host: str, node: Node | None) -> Iterator[str]:
    """Why an Endpoint is not the active gateway's, as sentences."""
    sight = seen.sight(node)
    hosts = {host, sight.before.hostname if sight is not None else None}
    if endpoint.hostname not in hosts and _as_name(endpoint.hostname) != host:
        yield f"Endpoint {endpoint.name} says hostname {endpoint.hostname}; the active Gateway is {host}"
    if sight is None or sight.before.addresses is None or endpoint.private_ip in sight.own_ips:
        return
    if any(
        endpoint.private_ip == e.private_ip
        for other in all_published(seen)
        if other.position != told.position
        for e in other.local
    ):
        return  # another cluster's: CABLE_PRIVATE_IP_DUPLICATE
    holder = next(
        (n.name for n in told.cluster.nodes if n.internal_ip == endpoint.private_ip), "no node of the cluster"
    )
    yield f"its private_ip {endpoint.private_ip} is not an address of {sight.name}, but of {holder}"


def _as_name(hostname: str) -> str:
    """What a Gateway is called whose host is called so (admiral:pkg/resource/util.go)."""
    return re.sub(r"[^a-z0-9.-]", "-", hostname.lower()).strip("-.")


@cause(
    "K8S_ENDPOINT_SUBNETS_INCOMPLETE",
    title="The Endpoint does not advertise all pod and service addresses in use",
    symptom="Services, or some pods, of one cluster cannot be reached from others; pods outside the advertised ranges get no answers "
    "from there either. What lies inside them works.",
    mechanism="Other clusters route, tunnel and accept only the subnets an Endpoint lists. They are detected, or given at the join, and "
    "need not be what the cluster uses.",
    evidence="Addresses of live pods or Services that no subnet of the Endpoint contains; on the other side the default route takes them.",
    remedy="Repeat `subctl join` with `--clustercidr` and `--servicecidr` that cover the addresses in use.",
    rank=Rank.OBJECT,
    effects=("CABLE_SELECTOR_INCOMPLETE", *_NOT_PROGRAMMED),
    sources=("submariner issue 1583", "Submariner release notes 0.18.1"),
)
def endpoint_subnets_incomplete(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        endpoint = told.own
        if endpoint is None or not endpoint.subnets or told.cluster.globalnet:
            continue
        outside = sorted(
            {ip for flow in seen.flows for ip in _ends(seen, told, flow) if not in_any(ip, endpoint.subnets)}
        )
        ranges = told.ranges
        own = (*ranges.pod_cidrs, *ranges.service_cidrs) if ranges is not None else ()
        missing = [cidr for cidr in ipv4_cidrs(own) if not _covered(cidr, endpoint.subnets)]
        if not outside and not missing:
            continue
        state = [f"Endpoint {endpoint.name} advertises {', '.join(endpoint.subnets)}"]
        state += [f"pod and service CIDRs of {told.position} it leaves out: {', '.join(missing)}"] if missing else []
        state += [f"addresses in use outside them: {', '.join(outside[:_SHOWN])}"] if outside else []
        yield Suspicion(
            seen.anchor(told.position),
            f"Endpoint {endpoint.name} subnets",
            tuple(state),
            _of_addresses(seen, told, frozenset(outside)),
        )


def _ends(seen: Observation, told: Published, flow: Flow) -> Iterator[str]:
    """Addresses by which other clusters know the ends of a flow that this cluster has: a host's is its node's CNI address."""
    if not flow.crosses:
        return
    if flow.source.cluster == told.position:
        if flow.case.source.kind is Kind.POD:
            yield from _ipv4(flow.source_ip)
        elif (sight := seen.sight(flow.source)) is not None and sight.facts is not None:
            yield from _ipv4(sight.facts.cni_ip or "")
    if flow.target.cluster == told.position and flow.case.target.kind in (Kind.POD, Kind.SVC):
        yield from _ipv4(flow.target_ip)


def _ipv4(ip: str) -> Iterator[str]:
    if ip and ":" not in ip:
        yield ip


def _of_addresses(seen: Observation, told: Published, outside: frozenset[str]) -> scope.Scope:
    return scope.Scope(
        f"between clusters with an end in {told.position} whose address is not advertised",
        lambda flow: not outside.isdisjoint(_ends(seen, told, flow)),
    )


def _covered(cidr: str, subnets: Iterable[str]) -> bool:
    return any(IPv4Network(cidr).subnet_of(IPv4Network(subnet)) for subnet in ipv4_cidrs(subnets))


@cause(
    "K8S_CIDR_OVERLAP",
    title="Two clusters use the same addresses, without Globalnet",
    symptom="Nothing crosses between two clusters, silently: on one or both sides routes, rules and tunnels of the other are missing.",
    mechanism="Gateways do not take over an Endpoint whose subnets overlap their own, and route agents program nothing for one that "
    "overlaps local pod or service CIDRs: to send there could mean oneself.",
    evidence="Subnets of the two Endpoints (or of the clusters they describe) have addresses in common; agents log the overlap.",
    remedy="Renumber one of the clusters, or deploy the broker with Globalnet (`subctl deploy-broker --globalnet`) and join all again.",
    rank=Rank.OBJECT,
    effects=("CABLE_PEER_FDB_MISSING", "DNS_CLUSTER_WITHHELD", "ROUTE_MORE_SPECIFIC_LOCAL", *_NOT_PROGRAMMED),
    sources=("submariner issue 545", "submariner pull request 570", "submariner-operator issue 63"),
)
def cidr_overlap(seen: Observation) -> Iterator[Suspicion]:
    found = _Culprits()
    for one, other in pairs(seen):
        if one.cluster.globalnet or other.cluster.globalnet:
            continue
        common = shared(_used(one), _used(other))
        if not common:
            continue
        state = [f"{left} of {one.position} overlaps {right} of {other.position}" for left, right in common[:_SHOWN]]
        state += [f"{p.position} {line}" for p in (one, other) for line in p.logged("submariner-", _says_overlap)[:1]]
        found.add(_intruder(one, other), state, one.position, other.position)
    yield from found.suspicions(seen, "subnets")


def _used(told: Published) -> tuple[str, ...]:
    """What it advertises, and what it says its pods and Services have."""
    ranges = told.ranges
    own = (*ranges.pod_cidrs, *ranges.service_cidrs) if ranges is not None else ()
    return tuple(dict.fromkeys((*(told.own.subnets if told.own is not None else ()), *own)))


def _intruder(one: Published, other: Published) -> Published:
    """Which of the two advertises what is not its own; else the one that came later."""
    for told in (one, other):
        ranges = told.ranges
        own = (*ranges.pod_cidrs, *ranges.service_cidrs) if ranges is not None else ()
        if told.own is not None and own and not all(_covered(subnet, own) for subnet in ipv4_cidrs(told.own.subnets)):
            return told
    created = [told.own.created if told.own is not None else "" for told in (one, other)]
    return one if created[0] > created[1] else other


def _says_overlap(line: str) -> bool:
    return "overlap" in line.lower()


@cause(
    "K8S_DUPLICATE_CLUSTER_ID",
    title="Two clusters joined under one cluster ID",
    symptom="The two namesakes never connect; other clusters reach now one, now the other.",
    mechanism="A gateway takes every Endpoint with its own cluster ID for its own or a predecessor's: namesakes ignore, or delete, each "
    "other's, and other clusters keep only the newest.",
    evidence="Two Endpoints of one cluster ID on the broker whose subnets have nothing in common. (Those of a gateway and its successor "
    "have the same subnets.)",
    remedy="`subctl uninstall` on one of them and join it again with a `--clusterid` of its own.",
    rank=Rank.OBJECT,
    effects=("K8S_LOCAL_ENDPOINT_STALE", *WRONG_ADDRESS_EFFECTS, *_NOT_PROGRAMMED),
    sources=("subctl issue 705", "submariner:pkg/controllers/datastoresyncer/datastoresyncer.go"),
)
def duplicate_cluster_id(seen: Observation) -> Iterator[Suspicion]:
    told_of: dict[str, tuple[str, ...]] = {}
    for told in all_published(seen):
        broker = parsed(Endpoint.from_object, (told.objects.broker or {}).get("endpoints", ()))
        for held, where in ((broker, "the broker"), (told.endpoints, told.position)):
            for cluster_id, names in _namesakes(held):
                told_of.setdefault(cluster_id, tuple(f"{where} holds {text}" for text in names))
    for cluster_id, state in told_of.items():
        at = next((c.position for c in seen.clusters if c.cluster_id == cluster_id), seen.clusters[0].position)
        yield Suspicion(seen.anchor(at), f"cluster ID {cluster_id}", state, scope.across(at), latent=True)


def _namesakes(endpoints: Iterable[Endpoint]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Cluster IDs under which disjoint subnets are published."""
    by_id: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_id.setdefault(endpoint.cluster_id, []).append(endpoint)
    for cluster_id, found in by_id.items():
        first = found[0]
        others = [e for e in found[1:] if e.private_ip != first.private_ip and not shared(e.subnets, first.subnets)]
        if others:
            told = [
                f"Endpoint {e.name} of cluster ID {cluster_id} with {', '.join(e.subnets)}" for e in (first, *others)
            ]
            yield cluster_id, tuple(told)


@cause(
    "K8S_CABLE_DRIVER_MISMATCH",
    title="The clusters use different cable drivers",
    symptom="Nothing crosses between two clusters. A side with the vxlan driver still says connected until its health check fails.",
    mechanism="Cable driver and its port are chosen per cluster at the join; packets of one driver mean nothing to another's device.",
    evidence="backend differs between the two clusters' Endpoints; packets arrive at the gateway and end there.",
    remedy="Repeat `subctl join` on one of them with the other's `--cable-driver`.",
    rank=Rank.OBJECT,
    effects=(
        "CABLE_TUNNEL_PORT_BLOCKED",
        "CABLE_ONE_WAY_ACL",
        "CABLE_UDP_PORT_MISMATCH",
        "CABLE_PEER_FDB_MISSING",
        "CABLE_PSK_MISMATCH",
        "DNS_CLUSTER_WITHHELD",
    ),
    sources=("submariner:pkg/cable/driver.go",),
)
def cable_driver_mismatch(seen: Observation) -> Iterator[Suspicion]:
    found = _Culprits()
    for one, other in pairs(seen):
        if one.own is not None and other.own is not None and one.own.backend != other.own.backend:
            state = [f"Endpoint {e.name} says backend {e.backend}" for e in (one.own, other.own)]
            found.add(_odd_one(seen, one, other), state, one.position, other.position)
    yield from found.suspicions(seen, "backend")


def _odd_one(seen: Observation, one: Published, other: Published) -> Published:
    """Which of two differs from what it was joined with, or from the most."""
    for told in (one, other):
        joined = {(s.get("spec") or {}).get("cableDriver") for s in told.objects["submariners"]} - {None, ""}
        if told.own is not None and joined and told.own.backend not in joined:
            return told
    backends = [p.own.backend for p in all_published(seen) if p.own is not None]
    return min((one, other), key=lambda p: backends.count(p.own.backend) if p.own is not None else 0)

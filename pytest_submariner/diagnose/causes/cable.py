"""Causes: the way between gateways. Those of the vxlan cable's device, of addresses and of encrypted cables have modules of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.causes import cable_vxlan
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.cables import CableEnd, cable_ends, natt_port_of, port_of
from pytest_submariner.diagnose.reasoning.delivery import Delivery, Refusal, delivery, refused
from pytest_submariner.model.topology import Node

_TIMED_OUT = re.compile(r"NAT discovery for (?:remote )?endpoint \"?(?P<cable>[\w.-]+)\"? has timed out", re.IGNORECASE)
"""submariner:pkg/natdiscovery/natdiscovery.go: said when neither address of a peer answered within a minute."""


@cause(
    "CABLE_TUNNEL_PORT_BLOCKED",
    title="The cable's UDP port is filtered between gateways",
    symptom="Nothing crosses between clusters, in either direction; all is well inside them.",
    mechanism="The cable's packets (by default UDP port 4500) are sent by a gateway and do not arrive at the other: a firewall, a security "
    "group or an ACL on the way drops them.",
    evidence="Cable packets were seen leaving one gateway's underlay device and not entering the other's, both ways; or a rule on a "
    "gateway drops that port.",
    remedy="Allow the UDP port of the Endpoints (backend_config udp-port, 4500 by default) between gateway addresses, both ways; "
    "`subctl diagnose firewall inter-cluster` checks it.",
    rank=Rank.TRAFFIC,
    effects=("CABLE_ONE_WAY_ACL", "DNS_CLUSTER_WITHHELD"),
    sources=("submariner issue 3701", "Submariner prerequisites page"),
)
def tunnel_port_blocked(seen: Observation) -> Iterator[Suspicion]:
    left = [both for both in _both_ways(seen) if any(way.fails for way in both) and not any(way.works for way in both)]
    while left:
        at = _common(seen, [both[0].end.positions for both in left])
        mine = [both for both in left if at in both[0].end.positions]
        left = [both for both in left if at not in both[0].end.positions]
        refusals = [refusal for both in mine for way in both for refusal in way.refusals]
        ends = [both[0].end for both in mine]
        yield Suspicion(
            refusals[0].node if refusals else seen.anchor(at),
            refusals[0].step.place if refusals else f"UDP port {port_of(ends[0].own)} between gateways",
            tuple(dict.fromkeys((*map(str, refusals), *(_told(end) for end in ends)))),
            reduce(or_, (end.explains for end in ends)),
            traffic=tuple(line for both in mine for way in both for line in _lost(way)),
            refuted_by=reduce(or_, (end.refuted_by for end in ends)),
        )


@cause(
    "CABLE_ONE_WAY_ACL",
    title="The cable's UDP port is open in one direction only",
    symptom="Nothing crosses between two clusters: requests of one side arrive, and no answer comes back.",
    mechanism="A filter between the gateways lets one side's packets through and drops the other's. (Behind a stateful one encrypted "
    "cables may live while the side that is let through keeps talking.)",
    evidence="Cable packets of one gateway arrive at the other; those of the other leave it and do not arrive.",
    remedy="Allow the UDP port of the Endpoints in the direction that fails too, or make the gateway that can be reached the preferred "
    "server: `kubectl label node NODE gateway.submariner.io/preferred-server=true`.",
    rank=Rank.TRAFFIC,
    effects=("DNS_CLUSTER_WITHHELD",),
    sources=("Submariner NAT traversal page",),
)
def one_way_acl(seen: Observation) -> Iterator[Suspicion]:
    by_place: dict[tuple[Node, str], list[Delivery]] = {}
    for both in _both_ways(seen):
        for way, back in (both, both[::-1]):
            if way.fails and back.works:
                place = way.refusals[0] if way.refusals else None
                key = (
                    (place.node, place.step.place)
                    if place
                    else (way.end.node, f"UDP port {port_of(way.end.own)} from {way.end.node.name}")
                )
                by_place.setdefault(key, []).append(way)
    for (node, what), ways in by_place.items():
        yield Suspicion(
            node,
            what,
            tuple(dict.fromkeys((*(str(r) for way in ways for r in way.refusals), *(_told(way.end) for way in ways)))),
            reduce(or_, (way.end.explains for way in ways)),
            traffic=tuple(
                line for way in ways for line in (*_lost(way), f"packets the other way arrive at {way.end.node.name}")
            ),
            refuted_by=reduce(or_, (way.end.refuted_by for way in ways)),
        )


def _both_ways(seen: Observation) -> Iterator[tuple[Delivery, Delivery]]:
    """Every cable over which nothing works though its ends are in order, as both directions."""
    wrong = [
        s.explains for rule in (cable_vxlan.peer_fdb_missing, cable_vxlan.udp_port_mismatch) for s in rule.rule(seen)
    ]
    ends = {end.positions: end for end in cable_ends(seen)}
    for (here, there), end in ends.items():
        if here > there or (there, here) not in ends or seen.working_in(end.refuted_by):
            continue
        failing = seen.failing_in(end.refuted_by)
        if failing and not any(explains(flow) for explains in wrong for flow in failing):
            yield delivery(seen, end), delivery(seen, ends[there, here])


def _common(seen: Observation, dead: Sequence[tuple[str, str]]) -> str:
    """The cluster most pairs have in common; the first of several."""
    count = {cluster.position: sum(cluster.position in pair for pair in dead) for cluster in seen.clusters}
    return max(count, key=lambda position: count[position])


def _told(end: CableEnd) -> str:
    sides = (f"{endpoint.private_ip} port {port_of(endpoint)}" for endpoint in (end.own, end.peer))
    return f"the Endpoints say {' and '.join(sides)}, and device and entries of either gateway agree"


def _lost(way: Delivery) -> Iterator[str]:
    if way.lost:
        yield f"{way.words}: cable packets left {way.end.node.name} and did not arrive ({way.lost[0].path_id})"


@cause(
    "CABLE_NATT_PORT_BLOCKED",
    title="NAT discovery gets no answer",
    symptom="None where the settings of the join fit: connections only come up a minute after an Endpoint changed. Where they do not, the "
    "cable is aimed at an address that cannot be reached, and nothing crosses.",
    mechanism="Before a cable is made, gateways ask each other on UDP port 4490 by which address they can be reached. Without an answer "
    "they wait 60 seconds and go by the NAT setting of the join: public address with NAT, private one without.",
    evidence="A gateway logs that the discovery has timed out, or a rule on a gateway drops the port; usingIP is what the setting says.",
    remedy="Allow UDP port 4490 between gateways (`subctl diagnose firewall nat-discovery` checks it), or join with the NAT setting that "
    "fits (`--natt=false` where private addresses are reachable).",
    sources=(
        "submariner issue 3158",
        "submariner issue 2076",
        "subctl issue 80",
        "submariner:pkg/natdiscovery/natdiscovery.go",
    ),
)
def natt_port_blocked(seen: Observation) -> Iterator[Suspicion]:
    left = [found for found in map(_undiscovered, cable_ends(seen)) if found is not None]
    while left:
        at = _common(seen, [found.end.positions for found in left])
        mine = [found for found in left if at in found.end.positions]
        left = [found for found in left if at not in found.end.positions]
        refusals = [refusal for found in mine for refusal in found.refusals]
        own = next((f.end.own if f.end.here.position == at else f.end.peer for f in mine), mine[0].end.own)
        yield Suspicion(
            refusals[0].node if refusals else seen.anchor(at),
            refusals[0].step.place if refusals else f"UDP port {natt_port_of(own)} of {at}'s gateway",
            tuple(dict.fromkeys((*map(str, refusals), *(line for found in mine for line in found.state)))),
            scope.nothing(),
            latent=True,
        )


@dataclass(frozen=True)
class _Undiscovered:
    """A side whose questions were not answered, or will not be."""

    end: CableEnd
    refusals: tuple[Refusal, ...]
    state: tuple[str, ...]


def _undiscovered(end: CableEnd) -> _Undiscovered | None:
    logged = [line for line in end.here.logged("submariner-gateway", _TIMED_OUT.search) if end.peer.cable_name in line]
    refusals = tuple(refused(end, natt_port_of(end.own), natt_port_of(end.peer))) if _discovers(end) else ()
    if not logged and not refusals:
        return None
    fallback = (end.peer.public_ip if end.peer.nat_enabled else end.peer.private_ip) or "no address"
    goes_by = (
        f"without an answer {end.here.position} goes by the setting of the join, {fallback}; it uses {end.using_ip}"
    )
    return _Undiscovered(end, refusals, (*logged[-1:], goes_by))


def _discovers(end: CableEnd) -> bool:
    """Whether both sides take part; a side without the port goes by its settings at once."""
    return natt_port_of(end.own) > 0 and natt_port_of(end.peer) > 0

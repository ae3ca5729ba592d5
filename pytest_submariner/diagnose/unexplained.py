"""What no cause of the catalogue explains: the lost hop, and the object there that differs from what a healthy node shows.

Never a guess: the code is UNEXPLAINED, and the object named is the one whose own counter rose by our probes, or, with less
certainty and said so, what is out of place on the nodes between which the packets were lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.trace import Rung
from pytest_submariner.model.filters import NftRule
from pytest_submariner.model.finding import Evidence, EvidenceKind, Finding
from pytest_submariner.model.nodestate import NodeState, PacketFilterRule
from pytest_submariner.model.topology import Node

CODE = "UNEXPLAINED"
DROPPING = ("DROP", "REJECT", "TARPIT")
REWRITING = ("SNAT", "MASQUERADE", "DNAT", "REDIRECT", "NETMAP")
LOSSES = (
    "TcpExtIPReversePathFilter",
    "IpInAddrErrors",
    "IpInDiscards",
    "IpInHdrErrors",
    "IpInUnknownProtos",
    "IpOutDiscards",
    "IpOutNoRoutes",
    "IpExtInNoRoutes",
    "IpExtInTruncatedPkts",
    "IpFragFails",
    "IpReasmFails",
    "UdpNoPorts",
    "UdpInErrors",
    "UdpInCsumErrors",
)
"""Counters of nstat that rise when the kernel refuses a packet."""
_LINES = 8
_NAMED = 3
_REFUSES = 3


@dataclass(frozen=True)
class Clue:
    """Something on a node that may be responsible. `weight`: 3 its counter rose and it refuses packets, or it contradicts another
    node; 2 a loss counter rose, or it would refuse packets; 1 it is merely out of place."""

    weight: int
    node: Node
    object: str
    text: str
    kind: EvidenceKind


def unexplained(seen: Observation, rest: Sequence[Flow]) -> tuple[Finding, ...]:
    """One finding per node that flows have in common: whatever breaks them is on their way, so most likely they are one problem."""
    merged: dict[tuple[str, str, str], Finding] = {}
    for finding in (_finding(seen, node, group) for node, group in _groups(rest)):
        place = (finding.cluster, finding.node, finding.object)
        known = merged.get(place)
        merged[place] = finding if known is None else replace(known, paths=(*known.paths, *finding.paths))
    return tuple(merged.values())


def _groups(rest: Sequence[Flow]) -> Iterator[tuple[Node, list[Flow]]]:
    """The node most flows have an end on, with these; then the same of the others."""
    left = list(rest)
    while left:
        ends = Counter(node for flow in left for node in dict.fromkeys(flow.nodes))
        common = min(ends, key=lambda node: (-ends[node], node.cluster, node.name))
        yield common, [flow for flow in left if common in flow.nodes]
        left = [flow for flow in left if common not in flow.nodes]


def _around(seen: Observation, flow: Flow, rest: Sequence[Flow]) -> tuple[Node, ...]:
    """The nodes between which its packets are lost: of its own trace, else of a traced flow like it, else its ends."""
    trace = seen.traces.get(flow.id) or next(
        (
            seen.traces[other.id]
            for other in rest
            if other.id in seen.traces and other.nodes == flow.nodes and other.case.source.kind == flow.case.source.kind
        ),
        None,
    )
    if trace is None or trace.last_seen is None:
        return tuple(dict.fromkeys(flow.nodes))
    rungs = [rung for rung in (trace.last_seen, trace.first_lost) if rung is not None]
    named = {(node.cluster, node.name): node for cluster in seen.clusters for node in cluster.nodes}
    return tuple(dict.fromkeys(named[rung.cluster, rung.node] for rung in rungs if (rung.cluster, rung.node) in named))


def _clues(seen: Observation, nodes: Sequence[Node]) -> Iterator[Clue]:
    for node in nodes:
        sight = seen.sight(node)
        if sight is None:
            continue
        yield from _rules(sight)
        yield from _policies(sight)
        yield from _native(sight)
        yield from _losses(sight)
        yield from _queues(sight)
        for difference in sight.differences[:_LINES]:
            text = f"{node.name}: not as Submariner makes it: {difference}"
            yield Clue(1, node, f"{difference.part}", text, EvidenceKind.STATE)
        for rule in sight.before.rules or ():
            if rule.action:
                text = f"{node.name}: ip rule {rule.priority} from {rule.source} to {rule.destination} {rule.action}"
                yield Clue(2, node, f"ip rule {rule.priority}", text, EvidenceKind.STATE)


def _neighbours(seen: Observation, flows: Sequence[Flow]) -> Iterator[Clue]:
    """Of every node on the ways of `flows`: what answers for an address, against the device that has it."""
    ways = {(s.rung.cluster, s.rung.node) for f in flows if f.id in seen.traces for s in seen.traces[f.id].sightings}
    macs = {
        (address.device, address.ip): (sight, link.mac)
        for sight in seen.every()
        for address in sight.addresses
        if (link := sight.link(address.device)) is not None and link.mac
    }
    for sight in (seen.sights[way] for way in sorted(ways) if way in seen.sights):
        for neighbour in sight.before.neighbours or ():
            name = f"neighbour {neighbour.ip}"
            owner, mac = macs.get((neighbour.device, neighbour.ip), (None, ""))
            if neighbour.state in ("FAILED", "INCOMPLETE"):
                text = f"{sight.name}: {name} on {neighbour.device} is {neighbour.state}"
                yield Clue(1, sight.node, name, text, EvidenceKind.STATE)
            elif owner is not None and neighbour.mac and neighbour.mac != mac:
                text = f"{sight.name}: {name} on {neighbour.device} is {neighbour.mac}; {owner.name} has it at {mac}"
                yield Clue(_REFUSES, sight.node, name, text, EvidenceKind.STATE)


def _rules(sight: NodeSight) -> Iterator[Clue]:
    for filters in sight.before.packet_filters or ():
        for rule in filters.rules:
            target, rise = rule.target, sight.rises(rule)
            if rise and target in DROPPING:
                yield _rose(sight, f"{rule.table}/{rule.chain}", f"{_text(rule)} ({filters.backend})", rise, 3)
            elif rise and target in REWRITING and not rule.chain.startswith(("SUBMARINER", "KUBE")):
                yield _rose(sight, f"{rule.table}/{rule.chain}", f"{_text(rule)} ({filters.backend})", rise, 2)


def _policies(sight: NodeSight) -> Iterator[Clue]:
    for filters in sight.before.packet_filters or ():
        for (table, chain), policy in filters.policies.items():
            if policy == "DROP" and (rise := sight.policy_rise(table, chain)):
                yield _rose(
                    sight, f"{table}/{chain}", f"-t {table} -P {chain} DROP ({filters.backend})", rise, _REFUSES
                )


def _native(sight: NodeSight) -> Iterator[Clue]:
    """nftables tables that iptables does not show."""
    after = dict(_native_rules(sight.after)) if sight.after is not None else {}
    for key, rule in _native_rules(sight.before):
        if rule.verdict not in ("drop", "reject"):
            continue
        now = after.get(key)
        rise = (now.packets or 0) - (rule.packets or 0) if now is not None and rule.packets is not None else 0
        if rise:
            yield _rose(sight, f"nft {key[0]}", rule.text, rise, 3)
        elif rule.packets is None:
            text = f"{sight.name}: nftables {key[0]} has `{rule.text}`, which has no counter"
            yield Clue(1, sight.node, f"nft {key[0]}", text, EvidenceKind.STATE)


def _native_rules(state: NodeState | None) -> Iterator[tuple[tuple[str, int], NftRule]]:
    for table in (state.native_tables if state is not None else None) or ():
        for chain in table.chains:
            for number, rule in enumerate(chain.rules):
                yield (f"{table.family} {table.name} {chain.name}", number), rule


def _losses(sight: NodeSight) -> Iterator[Clue]:
    for counter in LOSSES:
        if rise := sight.rise(counter):
            text = f"{sight.name}: {counter} rose by {rise} while probes ran"
            yield Clue(2 if rise > 1 else 1, sight.node, f"kernel counter {counter}", text, EvidenceKind.TRAFFIC)
    before = {link.name: link.stats for link in sight.before.links or ()}
    for link in (sight.after.links if sight.after is not None else None) or ():
        was, now = before.get(link.name), link.stats
        if was is None or now is None:
            continue
        for name in ("rx_dropped", "tx_dropped", "rx_errors", "tx_errors"):
            rise = getattr(now, name) - getattr(was, name)
            if rise > 0:
                text = f"{sight.name}: {name} of {link.name} rose by {rise} while probes ran"
                yield Clue(2, sight.node, f"device {link.name}", text, EvidenceKind.TRAFFIC)


def _queues(sight: NodeSight) -> Iterator[Clue]:
    before = {(q.device, q.kind): q for q in sight.before.qdiscs or ()}
    for now in (sight.after.qdiscs if sight.after is not None else None) or ():
        was = before.get((now.device, now.kind))
        if was is not None and now.dropped > was.dropped:
            text = (
                f"{sight.name}: queue {now.kind} of {now.device} dropped {now.dropped - was.dropped} while probes ran"
            )
            yield Clue(3, sight.node, f"queue {now.kind} of {now.device}", text, EvidenceKind.TRAFFIC)


def _rose(sight: NodeSight, name: str, text: str, rise: int, weight: int) -> Clue:
    said = f"{sight.name}: `{text}` counted {rise} more packet{'' if rise == 1 else 's'} while probes ran"
    return Clue(weight, sight.node, name, said, EvidenceKind.TRAFFIC)


def _text(rule: PacketFilterRule) -> str:
    return f"-t {rule.table} -A {rule.chain} {rule.text}"


def _finding(seen: Observation, common: Node, flows: Sequence[Flow]) -> Finding:
    nodes = dict.fromkeys(node for flow in flows for node in _around(seen, flow, flows))
    found = (*_neighbours(seen, flows), *_clues(seen, tuple(dict.fromkeys((*nodes, common)))))
    clues = sorted(found, key=lambda clue: -clue.weight)
    traces = [seen.traces[flow.id] for flow in flows if flow.id in seen.traces]
    lost = next((trace.first_lost or trace.last_seen for trace in traces if not trace.answered), None)
    sure = clues[0] if clues and clues[0].weight > 1 else None
    if sure is not None:
        place, label = (sure.node.cluster, sure.node.name), sure.object
    elif lost is not None:
        place, label = (lost.cluster, lost.node), f"hop {lost}"
    else:
        place, label = (common.cluster, common.name), clues[0].object if clues else "path"
    traffic = [Evidence(EvidenceKind.TRAFFIC, str(trace)) for trace in traces[:_NAMED]]
    if not traces:
        named = ", ".join(flow.id for flow in flows[:_NAMED])
        traffic = [
            Evidence(EvidenceKind.TRAFFIC, f"{named} failed; no path could be traced, so the lost hop is not known")
        ]
    said = [Evidence(clue.kind, clue.text) for clue in clues[:_LINES]]
    if not clues:
        text = "nothing on the nodes there differs from what Submariner makes, and no counter rose"
        said = [Evidence(EvidenceKind.STATE, text)]
    return Finding(
        CODE, *place, label, (*traffic, *said), _remedy(sure, lost, place[1]), tuple(flow.id for flow in flows)
    )


def _remedy(sure: Clue | None, lost: Rung | None, node: str) -> str:
    if sure is not None and sure.weight == _REFUSES:
        return f"look at {sure.object} on {node}: it takes these packets away; find who made it"
    if sure is not None:
        return f"look at {sure.object} on {node}, which rises when these paths are asked"
    if lost is not None:
        return f"packets do not get to {lost}: look at what stands between that place and the one before it"
    return "give a way to the nodes (--submariner-exec), so that paths can be traced"

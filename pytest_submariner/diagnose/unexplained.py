"""What no cause of the catalogue explains: the lost hop, and the object there that differs from what a healthy node shows.

Never a guess: the code is UNEXPLAINED, and the object named is the one whose own counter rose by our probes, or, with less
certainty and said so, what is out of place on the nodes between which the packets were lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.trace import Trace
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
    "IcmpOutDestUnreachs",
)
"""Counters of nstat that rise when the kernel refuses a packet."""
_LINES = 8
_NAMED = 3


@dataclass(frozen=True)
class Clue:
    """Something on a node that may be responsible. `weight`: 3 its counter rose and it refuses packets, 2 a loss counter rose, 1 it
    is merely out of place."""

    weight: int
    node: Node
    object: str
    text: str
    kind: EvidenceKind


def unexplained(seen: Observation, rest: Sequence[Flow]) -> tuple[Finding, ...]:
    """One finding per lost hop; flows that were not traced join those with which they share both nodes, else an end."""
    groups: dict[tuple[Node, ...], list[Flow]] = defaultdict(list)
    for flow in rest:
        groups[_around(seen, flow, rest)].append(flow)
    merged: dict[tuple[str, str, str], tuple[list[Flow], list[Clue]]] = {}
    for nodes, flows in groups.items():
        found = sorted(_clues(seen, nodes), key=lambda clue: -clue.weight)
        best = found[0] if found else None
        node = best.node if best is not None and best.weight > 1 else nodes[0]
        label = best.object if best is not None else _hop(seen, flows)
        known = merged.setdefault((node.cluster, node.name, label), ([], found))
        known[0].extend(flows)
    return tuple(_finding(seen, place, flows, clues) for place, (flows, clues) in merged.items())


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
        yield from _native(sight)
        yield from _losses(sight)
        yield from _queues(sight)
        for difference in sight.differences[:_LINES]:
            text = f"{node.name}: not as Submariner makes it: {difference}"
            yield Clue(1, node, f"{difference.part}", text, EvidenceKind.STATE)
        for neighbour in sight.before.neighbours or ():
            if neighbour.state in ("FAILED", "INCOMPLETE"):
                text = f"{node.name}: neighbour {neighbour.ip} on {neighbour.device} is {neighbour.state}"
                yield Clue(1, node, f"neighbour {neighbour.ip}", text, EvidenceKind.STATE)


def _rules(sight: NodeSight) -> Iterator[Clue]:
    for filters in sight.before.packet_filters or ():
        for rule in filters.rules:
            target, rise = rule.target, sight.rises(rule)
            if rise and target in DROPPING:
                yield _rose(sight, f"{rule.table}/{rule.chain}", f"{_text(rule)} ({filters.backend})", rise, 3)
            elif rise and target in REWRITING and not rule.chain.startswith(("SUBMARINER", "KUBE")):
                yield _rose(sight, f"{rule.table}/{rule.chain}", f"{_text(rule)} ({filters.backend})", rise, 2)


def _native(sight: NodeSight) -> Iterator[Clue]:
    """nftables tables that iptables does not show."""
    after = {key: rule for key, rule in _native_rules(sight.after)} if sight.after is not None else {}
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


def _hop(seen: Observation, flows: Sequence[Flow]) -> str:
    for flow in flows:
        trace = seen.traces.get(flow.id)
        if trace is not None and trace.first_lost is not None:
            return f"hop {trace.first_lost}"
    return "path"


def _finding(seen: Observation, place: tuple[str, str, str], flows: Sequence[Flow], clues: Sequence[Clue]) -> Finding:
    traces: list[Trace] = [seen.traces[flow.id] for flow in flows if flow.id in seen.traces]
    traffic = [Evidence(EvidenceKind.TRAFFIC, str(trace)) for trace in traces[:_NAMED]]
    if not traces:
        named = ", ".join(flow.id for flow in flows[:_NAMED])
        traffic = [
            Evidence(EvidenceKind.TRAFFIC, f"{named} failed; no path could be traced, so the lost hop is not known")
        ]
    said = [Evidence(clue.kind, clue.text) for clue in clues[:_LINES]]
    if not clues:
        said = [
            Evidence(
                EvidenceKind.STATE, "nothing on the nodes there differs from what Submariner makes, and no counter rose"
            )
        ]
    if not traces:
        remedy = "give the run a way to the nodes (--submariner-exec) so that paths can be traced"
    elif clues and clues[0].weight == 3:
        remedy = f"look at {place[2]} on {place[1]}: it refuses these packets; find who made it"
    else:
        remedy = f"look at what stands between the last hop that saw the packets and the next: {traces[0]}"
    return Finding(CODE, place[0], place[1], place[2], (*traffic, *said), remedy, tuple(flow.id for flow in flows))

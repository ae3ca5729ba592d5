"""Failures by chance: which paths to ask many times, and what the shares of lost probes mean. Pure.

One failure says nothing of a share, so paths are asked `TIMES` times each; a share is told with the interval it lies in with 95 %
confidence (Wilson 1927). Packets inside a cluster between host networks use nothing of Submariner's: what they lose, the underlay loses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.model.path import Kind, PathCase, Protocol, Side
from pytest_submariner.model.topology import Node, Topology

if TYPE_CHECKING:
    from pytest_submariner.diagnose.observation import Observation

TIMES: Final = 30
"""Never classify from fewer than twenty repetitions."""
MOST: Final = 12
"""Paths that are asked so often."""
_Z: Final = 1.96
_LOST: Final = 0.02
"""Shares below are a busy machine's."""


@dataclass(frozen=True)
class Repeat:
    """A path asked `sent` times with one attempt each, of which `lost` were not answered. `source` and `target`: (position,
    name) of its nodes."""

    path_id: str
    source: tuple[str, str]
    target: tuple[str, str]
    sent: int
    lost: int

    @property
    def share(self) -> float:
        return self.lost / self.sent if self.sent else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """In which the true share lies, with 95 % confidence."""
        if not self.sent:
            return 0.0, 1.0
        n, p, z = self.sent, self.share, _Z
        middle, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n))

    @property
    def is_lossy(self) -> bool:
        """Some were lost and some were not, more than by accident."""
        return 0 < self.lost < self.sent and self.interval[0] > _LOST

    @property
    def is_clean(self) -> bool:
        return self.lost == 0

    @property
    def text(self) -> str:
        low, high = self.interval
        return (
            f"{self.path_id}: {self.lost} of {self.sent} probes lost ({self.share:.0%}; with 95 % confidence "
            f"{low:.0%} to {high:.0%})"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Repeat:
        """The inverse of `to_dict`."""
        return cls(data["path_id"], tuple(data["source"]), tuple(data["target"]), data["sent"], data["lost"])


@dataclass(frozen=True)
class ArpAnswers:
    """Hosts that answered when `node` of `cluster` asked by ARP for `ip`."""

    cluster: str
    node: str
    ip: str
    macs: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ArpAnswers:
        """The inverse of `to_dict`."""
        return cls(data["cluster"], data["node"], data["ip"], tuple(data["macs"]))


def contradictory(seen: Observation) -> bool:
    """Whether failures look like chance: a failing path was answered when it was traced, or needed several attempts elsewhere, or
    paths of one pair of ends fail by one protocol and work by another without a size in play."""
    if any((trace := seen.traces.get(flow.id)) is not None and trace.answered for flow in seen.failing):
        return True
    if seen.failing and any(flow.works and flow.result.attempts > 1 for flow in seen.flows):
        return True
    mixed = (Protocol.UDP, Protocol.ICMP)
    failing = {
        (flow.case.source, flow.case.target)
        for flow in seen.failing
        if flow.case.protocol in mixed and not flow.case.tags
    }
    working = {(flow.case.source, flow.case.target) for flow in seen.flows if flow.works and not flow.case.tags}
    return bool(failing & working)


def worth_repeating(seen: Observation) -> tuple[PathCase, ...]:
    """Pings between host networks of the nodes concerned, both ways between each pair of a cluster, then the failing paths themselves by
    UDP and ICMP; at most `MOST`. A path has to be one the prober can ask: nodes by their places."""
    nodes = dict.fromkeys(node for flow in seen.failing for node in flow.nodes)
    positions = dict.fromkeys(node.cluster for node in nodes)
    between = [case for position in positions for case in _between_hosts(seen.topology, position, nodes)]
    failing = [
        flow.case for flow in seen.failing if flow.case.protocol in (Protocol.UDP, Protocol.ICMP) and not flow.is_status
    ]
    room = max(MOST // 3, MOST - len(between))
    chosen = (*between[: MOST - min(room, len(failing))], *failing[:room])
    return tuple(dict.fromkeys(chosen))[:MOST]


def _between_hosts(topology: Topology, position: str, nodes: Iterable[Node]) -> Iterator[PathCase]:
    """Those of nodes concerned with every place of their cluster that a path id can name, the first two of each role."""
    cluster = topology.cluster(position)
    sides = {node: Side(Kind.HOSTPOD, place, position, number) for place, number, node in _places(cluster.nodes)}
    concerned = set(nodes)
    for source, target in permutations(sides, 2):
        if source in concerned or target in concerned:
            yield PathCase(sides[source], sides[target], Protocol.ICMP)


def _places(nodes: Sequence[Node]) -> Iterator[tuple[str, int, Node]]:
    for place in dict.fromkeys(node.role.place for node in nodes):
        there = sorted((node for node in nodes if node.role.place == place), key=lambda node: node.name)
        for number, node in enumerate(there[:2], 1):
            yield place, number, node


@dataclass(frozen=True)
class LossyNode:
    """Every repeated pair with `node` loses probes; pairs without it do not. `inside`: host network to host network of its
    cluster; `others`: further paths with an end there."""

    node: tuple[str, str]
    inside: tuple[Repeat, ...]
    others: tuple[Repeat, ...]
    clean: tuple[Repeat, ...]


def lossy_nodes(repeats: Sequence[Repeat]) -> tuple[LossyNode, ...]:
    """Nodes at whose link packets get lost by chance: told by pairs inside a cluster between host networks, so that nothing of Submariner's
    or the CNI's is on the way. Of the two ends of a pair, the one that most lossy pairs have in common."""
    inside = [repeat for repeat in repeats if _is_between_hosts(repeat)]
    left = [repeat for repeat in inside if repeat.is_lossy]
    found = []
    while left:
        ends = [end for repeat in left for end in (repeat.source, repeat.target)]
        clean_ends = [end for repeat in inside if repeat.is_clean for end in (repeat.source, repeat.target)]
        node = min(
            dict.fromkeys(ends),
            key=lambda end: (-len(_pairs(left, end)), clean_ends.count(end), -_is_worker(repeats, end), end),
        )
        here = tuple(repeat for repeat in left if node in (repeat.source, repeat.target))
        left = [repeat for repeat in left if repeat not in here]
        others = tuple(r for r in repeats if r.is_lossy and not _is_between_hosts(r) and node in (r.source, r.target))
        clean = tuple(r for r in inside if r.is_clean and node not in (r.source, r.target))
        found.append(LossyNode(node, here, others, clean))
    return tuple(found)


def _pairs(repeats: Iterable[Repeat], end: tuple[str, str]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset((r.source, r.target)) for r in repeats if end in (r.source, r.target)}


def _is_between_hosts(repeat: Repeat) -> bool:
    case = PathCase.parse(repeat.path_id)
    return (
        not case.is_cross_cluster and case.source.kind is Kind.HOSTPOD and case.target.kind in (Kind.HOSTPOD, Kind.NODE)
    )


def _is_worker(repeats: Iterable[Repeat], end: tuple[str, str]) -> bool:
    """Whether a path id calls it a non-gateway node."""
    sides = ((PathCase.parse(r.path_id), r) for r in repeats)
    return any(
        (r.source == end and case.source.place == "ngw") or (r.target == end and case.target.place == "ngw")
        for case, r in sides
    )

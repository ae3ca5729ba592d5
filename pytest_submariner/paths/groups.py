"""Paths that depend on which nodes there are: one item stands for many of them, and they are known once the clusters are.

Collection knows clusters by position and nodes by role, not by number. So an item for a group is made from positions alone, and the
group says its cases when the topology is there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from pytest_submariner.errors import RequirementUnmet
from pytest_submariner.model.path import Kind, PathCase, Protocol, Side
from pytest_submariner.model.topology import Cluster, Role, Topology
from pytest_submariner.paths.cases import passive_cases

PLACES = ("gw", "pgw", "ngw")
PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.ICMP)
_WORDS = {"gw": "an active gateway node", "pgw": "a passive gateway node", "ngw": "a non-gateway node"}


@dataclass(frozen=True)
class PathGroup(ABC):
    """Many paths from the cluster at `source` to the cluster at `target`, which may be the same."""

    source: str
    target: str

    @property
    @abstractmethod
    def id(self) -> str:
        """As it stands in an item's name."""

    @abstractmethod
    def cases(self, topology: Topology, sample: int | None = None) -> list[PathCase]:
        """Its paths, in a fixed order; RequirementUnmet says which nodes are missing when there are none."""

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class MeshRow(PathGroup):
    """From every node at `place` to every other node of a cluster, pod to pod, by one protocol.

    With a sample of N each node asks N nodes of the cluster only, spread so that all are asked about equally often.
    """

    place: str
    protocol: Protocol

    @property
    def id(self) -> str:
        return f"pod.{self.place}.{self.source}--pod.{self.target}--{self.protocol.value}"

    def cases(self, topology: Topology, sample: int | None = None) -> list[PathCase]:
        here, there = _sides(topology, self.source), _sides(topology, self.target)
        rows = [(index, side) for index, side in enumerate(here) if side.place == self.place]
        if not rows:
            raise RequirementUnmet(f"needs {_WORDS[self.place]} in {_found(topology.cluster(self.source))}")
        found = [
            PathCase(source, target, self.protocol)
            for index, source in rows
            for target in _some(_others(there, index, inside=self.source == self.target), sample)
        ]
        if not found:
            raise RequirementUnmet(f"needs a second node in {_found(topology.cluster(self.source))}")
        return found


@dataclass(frozen=True)
class PassiveGateways(PathGroup):
    """What the role matrix asks, with a passive gateway node at one end or at both."""

    @property
    def id(self) -> str:
        return f"pgw.{self.source}" if self.source == self.target else f"pgw.{self.source}--pgw.{self.target}"

    def cases(self, topology: Topology, sample: int | None = None) -> list[PathCase]:
        clusters = {position: topology.cluster(position) for position in dict.fromkeys((self.source, self.target))}
        if not any(cluster.nodes_with(Role.PASSIVE) for cluster in clusters.values()):
            have = "; ".join(_found(cluster) for cluster in clusters.values())
            raise RequirementUnmet(f"needs a passive gateway node in {have}")
        return [
            case
            for case in passive_cases(self.source, self.target)
            if all(clusters[side.cluster].node_at(side.place) for side in (case.source, case.target))
        ]


def mesh_rows(positions: Sequence[str]) -> list[MeshRow]:
    """A row for every ordered pair of clusters, and each with itself, for every role and protocol."""
    pairs = sorted(product(positions, positions), key=lambda pair: pair[0] != pair[1])
    return [MeshRow(*pair, place, protocol) for pair, place, protocol in product(pairs, PLACES, PROTOCOLS)]


def mesh_size(topology: Topology) -> int:
    """How many paths the whole mesh has: every ordered pair of nodes, by every protocol."""
    nodes = sum(len(cluster.nodes) for cluster in topology.clusters)
    return nodes * (nodes - 1) * len(PROTOCOLS)


def _sides(topology: Topology, position: str) -> list[Side]:
    """The pods of a cluster's nodes, in the order of places and names. RequirementUnmet when the run has no such cluster."""
    try:
        cluster = topology.cluster(position)
    except KeyError as error:
        raise RequirementUnmet(str(error.args[0])) from None
    return list(_numbered(cluster))


def _numbered(cluster: Cluster) -> Iterator[Side]:
    for place in PLACES:
        count = sum(1 for node in cluster.nodes if node.role.place == place)
        yield from (Side(Kind.POD, place, cluster.position, ordinal) for ordinal in range(1, count + 1))


def _others(targets: Sequence[Side], index: int, *, inside: bool) -> list[Side]:
    """The targets of the node at `index`, beginning with those after it, so that neighbours begin with different ones."""
    if not targets:
        return []
    start = index % len(targets)
    return [*targets[start + inside :], *targets[:start]]


def _some(targets: Sequence[Side], sample: int | None) -> list[Side]:
    if sample is None or sample >= len(targets):
        return list(targets)
    return [targets[number * len(targets) // sample] for number in range(sample)]


def _found(cluster: Cluster) -> str:
    counts = [f"{len(cluster.nodes_with(role))} {role.value}" for role in Role if cluster.nodes_with(role)]
    return f"{cluster.position}, which has {', '.join(counts) or 'no'} nodes"

"""Which parts of the picture a path crosses, on its way there and on its way back.

Submariner builds the way out of a cluster: node, vx-submariner, gateway, cable. The way into a cluster is the CNI's: gateway,
CNI, node (submariner:pkg/routeagent_driver/handlers/kubeproxy). Inside a cluster traffic is the CNI's, both ways; only the
ping of the gateway's vx-submariner address goes there by vx-submariner and comes back by the CNI.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pytest_submariner.model.path import Kind, PathCase, Protocol, Side
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Cluster, Topology
from pytest_submariner.model.verdict import Outcome
from pytest_submariner.report.recorder import NOT_MEASURED
from pytest_submariner.report.text import parse


class Lane(StrEnum):
    """What a hop crosses."""

    VX = "vx-submariner"
    CNI = "CNI"
    CABLE = "cable"


@dataclass(frozen=True, order=True)
class Hop:
    """A node's connection to a lane of its cluster (`near` the position, `far` the node's name), or the cable between two
    clusters (`near` and `far` their positions in order)."""

    lane: Lane
    near: str
    far: str

    @classmethod
    def cable(cls, one: str, other: str) -> Hop:
        return cls(Lane.CABLE, *sorted((one, other), key=lambda position: (len(position), position)))


@dataclass(frozen=True)
class Way:
    """A path on the picture. `ends` are (position, node) of source and target; a way that stays on its node has no hops."""

    ends: tuple[tuple[str, str], tuple[str, str]]
    request: tuple[Hop, ...]
    reply: tuple[Hop, ...]

    @property
    def hops(self) -> frozenset[Hop]:
        return frozenset(self.request + self.reply)


@dataclass
class Tally:
    """How many of the paths over a hop are as expected."""

    good: int = 0
    bad: int = 0

    @property
    def state(self) -> str:
        """`bad` when every path over it fails, `some` when several do, `good` when none; empty when nobody asked."""
        if not self.bad:
            return "good" if self.good else ""
        return "some" if self.good else "bad"

    def add(self, other: Tally) -> None:
        self.good += other.good
        self.bad += other.bad


def way(result: PathResult, topology: Topology) -> Way | None:
    """None for a path whose ends are not in `topology`: of another grammar, or without nodes because nobody asked."""
    case = parse(result.id)
    clusters = {cluster.position: cluster for cluster in topology.clusters}
    if case is None or not {case.source.cluster, case.target.cluster} <= set(clusters):
        return None
    near, far = clusters[case.source.cluster], clusters[case.target.cluster]
    source, target = _node(case.source, result.source_node, near), _node(case.target, result.target_node, far)
    if source is None or target is None:
        return None
    request, reply = _hops(case, near, far, source, target)
    return Way(((near.position, source), (far.position, target)), tuple(request), tuple(reply))


def _hops(case: PathCase, near: Cluster, far: Cluster, source: str, target: str) -> tuple[list[Hop], list[Hop]]:
    if case.is_cross_cluster:
        cable = Hop.cable(near.position, far.position)
        if case.protocol is Protocol.STATUS:
            return [cable], [cable]
        return (
            [*_leave(near, source), cable, *_enter(far, target)],
            [*_leave(far, target), cable, *_enter(near, source)],
        )
    if source == target:
        return [], []
    there = Lane.VX if case.target.kind is Kind.VX else Lane.CNI
    return (
        [Hop(there, near.position, source), Hop(there, near.position, target)],
        [Hop(Lane.CNI, near.position, target), Hop(Lane.CNI, near.position, source)],
    )


def _leave(cluster: Cluster, node: str) -> list[Hop]:
    gateway = _gateway(cluster)
    if node == gateway:
        return []
    return [Hop(Lane.VX, cluster.position, node), Hop(Lane.VX, cluster.position, gateway)]


def _enter(cluster: Cluster, node: str) -> list[Hop]:
    gateway = _gateway(cluster)
    return [] if node == gateway else [Hop(Lane.CNI, cluster.position, gateway), Hop(Lane.CNI, cluster.position, node)]


def _gateway(cluster: Cluster) -> str:
    node = cluster.node_at("gw")
    return node.name if node else ""


def _node(side: Side, name: str, cluster: Cluster) -> str | None:
    """The node that was asked; for a result that names none, the one its id means."""
    if any(node.name == name for node in cluster.nodes):
        return name
    meant = None if name else cluster.node_at(side.place, side.ordinal)
    return meant.name if meant else None


def tallies(results: Iterable[PathResult], topology: Topology) -> dict[Hop, Tally]:
    """How the measured paths over each hop fared, replies included. Paths nobody asked, or could not ask, don't count."""
    found: dict[Hop, Tally] = {}
    for result in results:
        if result.verdict in NOT_MEASURED:
            continue
        taken = way(result, topology)
        bad = result.verdict.outcome in (Outcome.FAILED, Outcome.ERROR)
        for hop in taken.hops if taken else ():
            found.setdefault(hop, Tally()).add(Tally(bad=1) if bad else Tally(good=1))
    return found

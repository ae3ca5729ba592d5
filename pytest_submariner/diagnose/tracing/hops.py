"""Traced hops between two nodes of one cluster, the CNI's part of the way, at which packets were lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.trace import Sighting, Trace
from pytest_submariner.model.topology import Node

LEFT, ARRIVED = 10, 11


@dataclass(frozen=True)
class Hop:
    """Packets of `flow` were seen leaving `sender` and not arriving at `receiver`."""

    flow: Flow
    trace: Trace
    left: Sighting
    sender: Node
    receiver: Node

    @property
    def sources(self) -> tuple[str, ...]:
        return self.left.sources

    @property
    def is_bare(self) -> bool:
        """Not in a tunnel of the CNI."""
        return not self.left.outer_sources

    @property
    def text(self) -> str:
        return f"{self.flow.id}: {self.left}; not seen at {self.receiver.name}"


def between_pods(seen: Observation, sender: Node | None = None) -> Iterator[Hop]:
    """Where a traced, failing flow got lost for good; `sender`: of hops that begin there only."""
    nodes = {(node.cluster, node.name): node for cluster in seen.clusters for node in cluster.nodes}
    for flow in seen.failing:
        trace = seen.traces.get(flow.id)
        lost = trace.first_lost if trace is not None else None
        if trace is None or lost is None:
            continue
        for left, arrived in pairwise(trace.sightings):
            there = (left.rung.number, arrived.rung.number) == (LEFT, ARRIVED) and arrived.rung == lost and left.seen
            origin = nodes.get((left.rung.cluster, left.rung.node))
            goal = nodes.get((arrived.rung.cluster, arrived.rung.node))
            if there and origin is not None and goal is not None and sender in (None, origin):
                yield Hop(flow, trace, left, origin, goal)

"""Where large packets are lost while small ones pass, by traces; and which flows need large packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.scope import Scope, by_protocol, tagged
from pytest_submariner.diagnose.tracing.trace import Sighting, Trace, Way
from pytest_submariner.model.path import Protocol
from pytest_submariner.model.topology import Node, Role
from pytest_submariner.model.verdict import Verdict

PMTU = "pmtu"


def sized() -> Scope:
    """Between two nodes; TCP exchanges more than a full segment on every path, tagged paths ask for sizes."""
    both = by_protocol(Protocol.TCP) | tagged(PMTU)
    return Scope("with full-size packets", lambda flow: flow.source != flow.target and both(flow))


def fails_by_size(flow: Flow) -> bool:
    """Connects and then hangs, or carries something and not what it must."""
    return flow.verdict is Verdict.STALLED or (
        PMTU in flow.case.tags and flow.fails and bool(flow.result.extra.get("mtu"))
    )


@dataclass(frozen=True)
class SizeLoss:
    """Packets of `before.largest` bytes were seen at the one place and none of more than `after.largest` at the next one."""

    trace: Trace
    before: Sighting
    after: Sighting
    sender: Node
    receiver: Node

    @property
    def pair(self) -> frozenset[Node]:
        """One node where both places are on it."""
        return frozenset((self.sender, self.receiver))

    @property
    def crosses(self) -> bool:
        return self.sender.cluster != self.receiver.cluster

    @property
    def text(self) -> str:
        return (
            f"{self.trace.path_id}: packets of {self.before.largest} bytes were seen at {self.before.rung}, and none over "
            f"{self.after.largest} at {self.after.rung}"
        )


def size_losses(seen: Observation) -> Iterator[SizeLoss]:
    """Of the traced flows that fail by their size."""
    nodes = {(node.cluster, node.name): node for cluster in seen.clusters for node in cluster.nodes}
    for flow in seen.failing:
        trace = seen.traces.get(flow.id)
        if trace is None or not fails_by_size(flow):
            continue
        for way in Way:
            found = trace.large_lost(way)
            if found is None:
                continue
            ends = [nodes.get((sighting.rung.cluster, sighting.rung.node)) for sighting in found]
            if ends[0] is not None and ends[1] is not None:
                yield SizeLoss(trace, *found, ends[0], ends[1])
                break


def between_nodes(seen: Observation) -> tuple[SizeLoss, ...]:
    """Those on the network between two nodes."""
    return tuple(loss for loss in size_losses(seen) if loss.sender != loss.receiver)


def common_node(losses: tuple[SizeLoss, ...]) -> Node:
    """The node that most losses have in common: of equals one that is no gateway, then the first by name."""
    nodes = {node for loss in losses for node in loss.pair}
    counts = {node: len({loss.pair for loss in losses if node in loss.pair}) for node in nodes}
    return min(nodes, key=lambda node: (-counts[node], node.role is Role.GATEWAY, node.cluster, node.name))


def reached(seen: Observation, scope: Scope) -> tuple[str, ...]:
    """What size probes of failing flows reached."""
    sizes = sorted({int(flow.result.extra["mtu"]) for flow in seen.failing_in(scope) if flow.result.extra.get("mtu")})
    return (
        (f"the largest unfragmented packets that got through had {' or '.join(map(str, sizes))} bytes",)
        if sizes
        else ()
    )

"""What a diagnosis knows: flows, the clusters' objects, the nodes' states before and after probing, traces. Plain data
apart from what is computed from it; rules read nothing else, so a diagnosis can be repeated offline from a sysdump."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects
from pytest_submariner.diagnose.reasoning.policies import Policies
from pytest_submariner.diagnose.reasoning.repeats import ArpAnswers, Repeat
from pytest_submariner.diagnose.reasoning.ways import Ways
from pytest_submariner.diagnose.reasoning.waysout import WayOut, all_ways_out
from pytest_submariner.diagnose.scope import Scope
from pytest_submariner.diagnose.tracing.trace import Trace
from pytest_submariner.model.topology import Cluster, Node, Role, Topology


@dataclass(frozen=True)
class Observation:
    """`objects` by position, `sights` by (position, node name); a node or cluster that could not be read is absent and
    named in `unread`. `traces` by path id."""

    topology: Topology
    flows: tuple[Flow, ...]
    objects: Mapping[str, ClusterObjects]
    sights: Mapping[tuple[str, str], NodeSight]
    traces: Mapping[str, Trace] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    """Paths that were asked many times, where failures looked like chance."""
    arp_answers: tuple[ArpAnswers, ...] = ()

    @cached_property
    def failing(self) -> tuple[Flow, ...]:
        return tuple(flow for flow in self.flows if flow.fails)

    @cached_property
    def ways(self) -> Ways:
        """The packets of a flow at the hooks of the nodes it passes."""
        return Ways(self.topology, self.sights)

    @cached_property
    def policies(self) -> Mapping[str, Policies]:
        """NetworkPolicies by position."""
        return {position: Policies(objects) for position, objects in self.objects.items()}

    @cached_property
    def ways_out(self) -> tuple[WayOut, ...]:
        """What nodes send to other clusters by another way than Submariner's."""
        return tuple(all_ways_out(self))

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        return self.topology.clusters

    def failing_in(self, scope: Scope) -> tuple[Flow, ...]:
        return tuple(flow for flow in self.failing if scope(flow))

    def working_in(self, scope: Scope) -> tuple[Flow, ...]:
        return tuple(flow for flow in self.flows if flow.works and scope(flow))

    def sight(self, node: Node | None) -> NodeSight | None:
        return self.sights.get((node.cluster, node.name)) if node is not None else None

    def gateway(self, position: str) -> Node | None:
        """The active gateway node of a cluster."""
        return self.topology.cluster(position).node_at(Role.GATEWAY.place)

    def gateways(self) -> Iterator[NodeSight]:
        """Active gateway nodes whose state was read."""
        return (sight for sight in self.sights.values() if sight.node.role is Role.GATEWAY)

    def others(self) -> Iterator[NodeSight]:
        """All other nodes whose state was read: non-gateway nodes, passive gateways."""
        return (sight for sight in self.sights.values() if sight.node.role is not Role.GATEWAY)

    def every(self) -> Iterator[NodeSight]:
        return iter(self.sights.values())

    def anchor(self, position: str) -> Node:
        """The node a finding about a cluster as a whole is told of: its active gateway, else its first node."""
        cluster = self.topology.cluster(position)
        return self.gateway(position) or sorted(cluster.nodes, key=lambda node: node.name)[0]

    def remotes(self, position: str) -> tuple[str, ...]:
        """Positions of the other clusters."""
        return tuple(cluster.position for cluster in self.clusters if cluster.position != position)

    def traced(self, scope: Scope, *, seen: Callable[[Trace], bool] | None = None) -> tuple[Trace, ...]:
        """Traces of failing flows of a scope, for which `seen` holds."""
        found = (self.traces.get(flow.id) for flow in self.failing_in(scope))
        return tuple(trace for trace in found if trace is not None and (seen is None or seen(trace)))

"""One node as it was seen: its state before and after probing, what should be there, and what changed meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from pytest_submariner.dataplane.constants import BROKER_NAMESPACE
from pytest_submariner.dataplane.difference import Difference, Kind, differences
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.facts import cluster_view, node_facts
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects, Object
from pytest_submariner.diagnose.packetfilter.firewall import Firewall
from pytest_submariner.errors import TopologyError
from pytest_submariner.model.nodestate import Address, Link, NodeState, PacketFilterRule, Route
from pytest_submariner.model.topology import Cluster, Node, Topology


@dataclass(frozen=True, eq=False)
class NodeSight:
    """Equal to itself only. `before` and `after`: states read before and after the traced probes (`after` is None when there were
    none). `facts` and `view`: what the model needs; None when the objects or the state do not give them."""

    node: Node
    cluster: Cluster
    before: NodeState
    after: NodeState | None = None
    facts: NodeFacts | None = None
    view: ClusterView | None = None

    @property
    def name(self) -> str:
        return self.node.name

    @cached_property
    def expected(self) -> NodeState | None:
        """What Submariner should have made here; None where the objects do not say (or another driver or CNI does it)."""
        if self.facts is None or self.view is None:
            return None
        try:
            return expected_state(self.facts, self.view)
        except TopologyError:
            return None

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        return () if self.expected is None else differences(self.expected, self.before)

    @cached_property
    def firewall(self) -> Firewall:
        """What its packet filters would do to a packet."""
        return Firewall(self.before)

    def missing(self, part: str) -> tuple[Difference, ...]:
        return tuple(d for d in self.differences if d.part == part and d.kind is Kind.MISSING)

    def unexpected(self, part: str) -> tuple[Difference, ...]:
        return tuple(d for d in self.differences if d.part == part and d.kind is Kind.UNEXPECTED)

    def link(self, name: str) -> Link | None:
        return next((link for link in self.before.links or () if link.name == name), None)

    @property
    def addresses(self) -> tuple[Address, ...]:
        return self.before.addresses or ()

    @property
    def own_ips(self) -> frozenset[str]:
        return frozenset(address.ip for address in self.addresses)

    @property
    def routes(self) -> tuple[Route, ...]:
        return self.before.routes or ()

    def setting(self, key: str) -> str | None:
        """A sysctl, by its dotted name."""
        return (self.before.sysctls or {}).get(key)

    def rule_lists(self, table: str, chain: str) -> tuple[tuple[PacketFilterRule, ...], ...]:
        """A chain's rules in order, once per backend that has it."""
        lists = (state.chain(table, chain) for state in self.before.packet_filters or ())
        return tuple(rules for rules in lists if rules)

    def policy(self, table: str, chain: str) -> str | None:
        """The policy of a built-in chain; DROP of any backend counts."""
        found = [state.policies.get((table, chain)) for state in self.before.packet_filters or ()]
        return "DROP" if "DROP" in found else next((policy for policy in found if policy), None)

    def rise(self, counter: str) -> int | None:
        """By how much a kernel counter (nstat's name) rose while probes ran; None when it was not read."""
        if self.after is None or self.before.counters is None or self.after.counters is None:
            return None
        if counter not in self.after.counters:
            return None
        return self.after.counters[counter] - self.before.counters.get(counter, 0)

    def rises(self, rule: PacketFilterRule) -> int | None:
        """By how many packets a rule's counter rose while probes ran; None when it was not read or is gone. Of equal
        rules in one chain the sum counts."""
        if self.after is None or rule.packets is None:
            return None
        return _packets(self.after, rule) - _packets(self.before, rule)

    def policy_rise(self, table: str, chain: str) -> int | None:
        """By how many packets a built-in chain's policy counted while probes ran, both backends together; None when not read."""
        if self.after is None:
            return None
        counts = [
            sum(filters.policy_packets.get((table, chain), 0) for filters in state.packet_filters or ())
            for state in (self.before, self.after)
        ]
        return counts[1] - counts[0]


def _packets(state: NodeState, wanted: PacketFilterRule) -> int:
    return sum(rule.packets or 0 for filters in state.packet_filters or () for rule in filters.rules if rule == wanted)


def sights(
    topology: Topology,
    before: Mapping[Node, NodeState],
    objects: Mapping[str, ClusterObjects],
    after: Mapping[Node, NodeState] | None = None,
) -> dict[tuple[str, str], NodeSight]:
    """By (position, node name), for the nodes whose state was read."""
    found: dict[tuple[str, str], NodeSight] = {}
    for node, state in before.items():
        cluster = topology.cluster(node.cluster)
        view, facts = _model(node, cluster, state, objects.get(node.cluster))
        found[node.cluster, node.name] = NodeSight(node, cluster, state, (after or {}).get(node), facts, view)
    return found


def _model(
    node: Node, cluster: Cluster, state: NodeState, objects: ClusterObjects | None
) -> tuple[ClusterView | None, NodeFacts | None]:
    """What the model is computed from; None for what objects and state do not give."""
    if objects is None or not objects.knows("endpoints", "clusters", "nodes"):
        return None, None
    try:
        view = cluster_view(
            cluster.cluster_id,
            endpoints=_in_force(objects["endpoints"]),
            clusters=_in_force(objects["clusters"]),
            nodes=objects["nodes"],
            gateways=objects["gateways"],
        )
        named = (n for n in objects["nodes"] if (n.get("metadata") or {}).get("name") == node.name)
        annotations = ((next(named, {}).get("metadata") or {}).get("annotations")) or {}
        facts = node_facts(node, state, cluster.pod_cidrs, remotes=view.remotes, annotations=annotations)
    except TopologyError:
        return None, None
    return view, facts


def _in_force(objects: Iterable[Object]) -> list[Object]:
    """Without the broker's own copies, which a cluster that is the broker holds too."""
    return [found for found in objects if (found.get("metadata") or {}).get("namespace") != BROKER_NAMESPACE]

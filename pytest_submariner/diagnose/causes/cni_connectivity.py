"""Causes: the CNI does not connect nodes of one cluster."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.packet import Hook
from pytest_submariner.diagnose.reasoning.drops import droppers, places
from pytest_submariner.diagnose.reasoning.isolation import is_forbidden
from pytest_submariner.diagnose.reasoning.podroutes import ON_POD_NETWORK, pod_routes
from pytest_submariner.diagnose.reasoning.reversepath import refused
from pytest_submariner.diagnose.reasoning.ways import Layer
from pytest_submariner.diagnose.tracing.hops import Hop, between_pods
from pytest_submariner.model.path import Kind, Protocol
from pytest_submariner.model.topology import Node, Role

_FILTERED = places(Layer.INNER, Hook.INGRESS, Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING, Hook.OUTPUT)


@cause(
    "CNI_INTRA_CLUSTER_BROKEN",
    title="The CNI does not connect a node's pods with those of other nodes",
    symptom="Pods of one node are not reached from other nodes of the same cluster, and neither from other clusters.",
    mechanism="What Submariner brings to the gateway reaches the node by the CNI; with the CNI broken between the two nothing "
    "of Submariner's can "
    "help. Its tunnel, its routes, or the network under it lose the pods' packets.",
    evidence="Paths between pods of the two nodes fail inside the cluster, while their hosts reach each other; packets leave "
    "one node and do not "
    "arrive at the other.",
    remedy="Repair the CNI first (its pod on that node, its tunnel's port, routes to pod subnets), then ask the paths between "
    "clusters again.",
    rank=Rank.CNI,
    sources=("flannel issues 1279, 2388",),
)
def cni_intra_cluster_broken(seen: Observation) -> Iterator[Suspicion]:
    filtered = {drop.flow.id for dropper in droppers(seen, _FILTERED) for drop in dropper.drops}
    for cluster in seen.clusters:
        inside = [flow for flow in seen.failing if _is_between_pods(flow, cluster.position)]
        unexplained = [flow for flow in inside if flow.id not in filtered and not _has_a_reason(seen, flow)]
        broken = [p for p in _pairs(unexplained) if _is_dead(seen, p) and not _is_missed_by_gateway(seen, p)]
        lost = [
            hop
            for hop in between_pods(seen)
            if frozenset((hop.sender, hop.receiver)) in broken and not hop.flow.crosses
        ]
        wrong = _wrong_routes(seen, broken)
        while broken and (lost or wrong):
            node = _common(broken)
            mine = [pair for pair in broken if node in pair]
            broken = [pair for pair in broken if node not in pair]
            told = [hop for hop in lost if node in (hop.sender, hop.receiver)]
            state = [text for pair, text in wrong if pair in mine]
            if told or state:
                yield _suspicion(seen, node, mine, told, state)


def _suspicion(
    seen: Observation, node: Node, pairs: list[frozenset[Node]], lost: list[Hop], state: list[str]
) -> Suspicion:
    others = sorted(other.name for pair in pairs for other in pair if other != node)
    hosts = [flow for flow in seen.flows if flow.works and _is_between_hosts(flow) and frozenset(flow.nodes) in pairs]
    dead = f"{node.name}: no path between its pods and those of {', '.join(others)} works inside {node.cluster}"
    traffic = [dead, *(hop.text for hop in lost[:2])]
    if hosts:
        traffic.append(f"{len(hosts)} paths between the hosts of these nodes work, such as {hosts[0].id}")
    explains = scope.node_cut_off(node) | (scope.inside(node.cluster) & scope.at_node(node))
    return Suspicion(
        node, f"the CNI between {node.name} and {', '.join(others)}", tuple(state[:2]), explains, traffic=tuple(traffic)
    )


def _is_between_pods(flow: Flow, position: str) -> bool:
    ends = (flow.case.source.kind is Kind.POD, flow.case.target.kind in ON_POD_NETWORK)
    return flow.source.cluster == position == flow.target.cluster and flow.source != flow.target and all(ends)


def _is_between_hosts(flow: Flow) -> bool:
    return (
        not flow.crosses
        and flow.case.source.kind is Kind.HOSTPOD
        and flow.case.target.kind in (Kind.HOSTPOD, Kind.NODE)
    )


def _pairs(flows: list[Flow]) -> list[frozenset[Node]]:
    return list(dict.fromkeys(frozenset(flow.nodes) for flow in flows))


def _is_dead(seen: Observation, pair: frozenset[Node]) -> bool:
    """No path between pods of the two works; one that does not even get a ping or a datagram through is among those that fail; their
    hosts' paths do not fail."""
    between = [flow for flow in seen.flows if frozenset(flow.nodes) == pair and not flow.crosses]
    pods = [flow for flow in between if _is_between_pods(flow, flow.source.cluster)]
    hosts = [flow for flow in between if _is_between_hosts(flow)]
    silent = any(flow.fails and flow.case.protocol is not Protocol.TCP for flow in pods) or all(
        flow.fails for flow in pods
    )
    return silent and not any(flow.works for flow in pods) and not any(flow.fails for flow in hosts)


def _has_a_reason(seen: Observation, flow: Flow) -> bool:
    """What other causes name: a policy, a reverse-path check."""
    return is_forbidden(seen, flow) or next(refused(seen, flow), None) is not None


def _is_missed_by_gateway(seen: Observation, pair: frozenset[Node]) -> bool:
    """Whether the gateway has no way to the other node's pods: a cause of its own."""
    for node in pair:
        sight, other = seen.sight(node), next(iter(pair - {node}))
        if node.role is Role.GATEWAY and sight is not None and any(r.is_wrong for r in pod_routes(seen, sight, other)):
            return True
    return False


def _wrong_routes(seen: Observation, pairs: list[frozenset[Node]]) -> list[tuple[frozenset[Node], str]]:
    """Of nodes that are no active gateway: those of the gateway are a cause of their own."""
    found = []
    for pair in pairs:
        for node in pair:
            sight = seen.sight(node)
            other = next(iter(pair - {node}))
            if sight is not None and node.role is not Role.GATEWAY:
                found += [(pair, route.text) for route in pod_routes(seen, sight, other) if route.is_wrong]
    return found


def _common(pairs: list[frozenset[Node]]) -> Node:
    """The node most pairs have in common: of equals one that is no gateway, then the first."""
    nodes = {node for pair in pairs for node in pair}
    return min(nodes, key=lambda node: (-sum(node in pair for pair in pairs), node.role is Role.GATEWAY, node.name))

"""From roles to nodes: which two nodes a path case means in this topology, or why there are none. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_submariner.errors import RequirementUnmet
from pytest_submariner.model.path import Kind, PathCase, Protocol, Side
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.paths.cases import SAME_NODE

PODS_PER_NODE = 3
_WORDS = {"gw": "active gateway node", "pgw": "passive gateway node", "ngw": "non-gateway node"}


@dataclass(frozen=True)
class Placement:
    """The nodes of a path's two ends."""

    source: Node
    target: Node


def place(case: PathCase, topology: Topology, pods_per_node: int = PODS_PER_NODE) -> Placement:
    """RequirementUnmet names what the path needs and what was found instead."""
    here, there = _cluster(case.source, topology), _cluster(case.target, topology)
    if case.protocol is Protocol.STATUS:
        return Placement(_told_by(here), _told_by(there))
    _require_pods(case, pods_per_node)
    _require_carried(case, here, there)
    source = _node(case.source, here)
    if SAME_NODE in case.tags:
        if case.source.place != case.target.place or case.is_cross_cluster:
            raise RequirementUnmet(f"{case.source} and {case.target} can never be on the same node")
        return Placement(source, source)
    if (case.source.cluster, case.source.place, case.source.ordinal) != (
        case.target.cluster,
        case.target.place,
        case.target.ordinal,
    ):
        return Placement(source, _node(case.target, there))
    other = here.node_at(case.target.place, case.target.ordinal + 1)
    if other is None:
        raise RequirementUnmet(f"needs another {_WORDS[case.target.place]} than {source.name} in {_found(here)}")
    return Placement(source, other)


def _cluster(side: Side, topology: Topology) -> Cluster:
    try:
        return topology.cluster(side.cluster)
    except KeyError:
        have = ", ".join(f"{c.position} ({c.context})" for c in topology.clusters)
        raise RequirementUnmet(f"needs a cluster at {side.cluster}; this run has {have}") from None


def _node(side: Side, cluster: Cluster) -> Node:
    node = cluster.node_at(side.place, side.ordinal)
    if node is None:
        count = f"{side.ordinal}" if side.ordinal > 1 else "an" if side.place == "gw" else "a"
        plural = "" if side.ordinal == 1 else "s"
        raise RequirementUnmet(f"needs {count} {_WORDS[side.place]}{plural} in {_found(cluster)}")
    return node


def _told_by(cluster: Cluster) -> Node:
    """The node a gateway status is about. It is read from the API, so it is asked for, and bad, when no gateway is active."""
    found = (cluster.node_at(place) for place in _WORDS)
    node = next((node for node in found if node is not None), None)
    if node is None:
        raise RequirementUnmet(f"needs a node in {_found(cluster)}")
    return node


def _require_pods(case: PathCase, allowed: int) -> None:
    """A node's pods come in a fixed order: one of the pod network, one of the host network, another of the pod network."""
    if Kind.HOSTPOD in (case.source.kind, case.target.kind):
        needed, words = 2, "a probe pod on the host network"
    elif SAME_NODE in case.tags:
        needed, words = 3, "another probe pod on the same node"
    else:
        return
    if needed > allowed:
        raise RequirementUnmet(f"needs {words}; --submariner-pods-per-node allows {allowed}")


def _require_carried(case: PathCase, here: Cluster, there: Cluster) -> None:
    if case.is_cross_cluster and case.source.kind is not Kind.GATEWAY:
        for cluster in (here, there):
            if cluster.globalnet:
                raise RequirementUnmet(
                    f"needs pod and service CIDRs that are routed; {cluster.position} has Globalnet, which routes global IPs"
                )
    if case.target.kind is Kind.VX and here.network_plugin == "OVNKubernetes":
        raise RequirementUnmet(f"needs vx-submariner; {here.position} has OVN-Kubernetes, which does without")


def _found(cluster: Cluster) -> str:
    words = {Role.GATEWAY: "active gateway", Role.PASSIVE: "passive gateway", Role.NON_GATEWAY: "non-gateway"}
    nodes = ", ".join(f"{node.name} ({words[node.role]})" for node in sorted(cluster.nodes, key=lambda n: n.name))
    return f"{cluster.position}; it has {nodes or 'no nodes'}"

"""How nodes of one cluster send packets to each other's pods: the CNI's part, on which the way in from other clusters depends."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_submariner.dataplane.constants import VX_SUBMARINER
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.routelookup import Decision, in_any, lookup
from pytest_submariner.diagnose.reasoning.waysout import leaves
from pytest_submariner.diagnose.scope import Scope, crossing, inside
from pytest_submariner.diagnose.tracing.ladder import is_ovn
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Node

ON_POD_NETWORK = frozenset({Kind.POD, Kind.SVC})


@dataclass(frozen=True)
class PodRoute:
    """From `sight` to `ip`, a pod's or the CNI's on `node`."""

    sight: NodeSight
    node: Node
    ip: str
    decision: Decision | None
    is_wrong: bool

    @property
    def text(self) -> str:
        return f"{self.sight.name}: {self.ip} on {self.node.name} {leaves(self.decision)}"


def pod_routes(seen: Observation, sight: NodeSight, node: Node) -> tuple[PodRoute, ...]:
    """Empty when nothing is known of the node's pods, or routes were not read, or pods are not routed by the kernel (OVN).

    The default route counts as wrong only where the CNI has routes for pods: on some clouds the network itself knows where pods
    are, and every pod of another node is reached by it."""
    if is_ovn(sight.cluster) or sight.before.routes is None or sight.before.rules is None or sight.node == node:
        return ()
    has_routes = _has_pod_routes(seen, sight, node)
    found = []
    for ip in _pod_ips(seen, node):
        decision = lookup(sight.before, ip)
        found.append(PodRoute(sight, node, ip, decision, _is_wrong(seen, sight, node, decision, has_routes)))
    return tuple(found)


def toward_pods(seen: Observation, sender: Node, node: Node) -> Scope:
    """Flows of which packets go from `sender`, the active gateway, to pods or the CNI address of `node`: all between clusters with an end
    there, and those inside the cluster between the two."""

    inner = inside(node.cluster)
    pair = Scope(
        f"inside {node.cluster} between pods of {sender.name} and {node.name}",
        lambda flow: (
            inner(flow)
            and set(flow.nodes) == {sender, node}
            and (
                (flow.target == node and flow.case.target.kind in ON_POD_NETWORK)
                or (flow.source == node and flow.case.source.kind is Kind.POD)
            )
        ),
    )
    crossed = crossing()
    cut = Scope(f"between clusters with an end on {node.name}", lambda flow: crossed(flow) and node in flow.nodes)
    return cut | pair


def _pod_ips(seen: Observation, node: Node) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for flow in seen.flows:
        if flow.source == node and flow.case.source.kind is Kind.POD:
            found[flow.source_ip] = None
        if flow.target == node and flow.case.target.kind is Kind.POD:
            found[flow.target_ip] = None
    sight = seen.sight(node)
    if sight is not None and sight.facts is not None and sight.facts.cni_ip:
        found[sight.facts.cni_ip] = None
    cidrs = seen.topology.cluster(node.cluster).pod_cidrs
    return tuple(ip for ip in found if in_any(ip, cidrs))


def _has_pod_routes(seen: Observation, sight: NodeSight, node: Node) -> bool:
    """Whether the CNI writes routes for pods of other nodes: this node has one for a third node, or the other node has one for this
    node's."""
    others = [n for n in seen.topology.cluster(node.cluster).nodes if n not in (sight.node, node)]
    if any(_is_specific(lookup(sight.before, ip)) for other in others for ip in _pod_ips(seen, other)[:1]):
        return True
    peer = seen.sight(node)
    if peer is None or peer.before.routes is None or peer.before.rules is None:
        return False
    return any(_is_specific(lookup(peer.before, ip)) for ip in _pod_ips(seen, sight.node)[:1])


def _is_specific(decision: Decision | None) -> bool:
    return decision is not None and not decision.refuses and decision.route.destination != "default"


def _is_wrong(seen: Observation, sight: NodeSight, node: Node, decision: Decision | None, has_routes: bool) -> bool:
    if decision is None or decision.refuses:
        return True
    if decision.route.destination == "default":
        return has_routes
    if decision.route.device == VX_SUBMARINER:
        return True
    others = {n.internal_ip for n in seen.topology.cluster(node.cluster).nodes} - {node.internal_ip}
    return all(hop.gateway in others - {sight.node.internal_ip} for hop in decision.routes)

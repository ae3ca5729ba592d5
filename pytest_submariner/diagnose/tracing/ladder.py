"""Which rungs a flow's packets have to pass, and how they look there. Pure.

Submariner carries the way out (node, vx-submariner, gateway, cable); behind the remote gateway, and inside a cluster, the CNI
carries, so requests and replies take different ways through the same nodes. Numbers are those of `trace`; a flow inside a
cluster has 1, 10 (left the node), 11 (arrived), 12."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from pytest_submariner.dataplane.constants import VX_SUBMARINER, VXLAN_TUNNEL
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.tracing.trace import Rung, Way
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Cluster, Node, Role, Topology

Sights = Mapping[tuple[str, str], NodeSight]

WIREGUARD_DEVICE = "submariner"
"""submariner:pkg/cable/wireguard/driver.go"""
OVN_KUBERNETES = "OVNKubernetes"
OVN_DEVICE = "ovn-k8s-mp0"
"""Where OVN-Kubernetes hands packets to the gateway node's kernel (submariner:pkg/routeagent_driver/handlers/ovn/constants.go)."""
CABLE_DEVICES = frozenset({VXLAN_TUNNEL, WIREGUARD_DEVICE, "ipsec0"})
TUNNEL_DEVICES = CABLE_DEVICES | {VX_SUBMARINER}


class Form(StrEnum):
    """How a packet of the flow looks at a rung."""

    BARE = "bare"
    OVERLAY = "overlay"
    """In UDP/4800 between nodes of a cluster."""
    CABLE = "cable"
    """In the cable between gateways."""
    CNI = "CNI"
    """Bare, or in whatever tunnel the CNI has between nodes."""


_FORMS = {3: Form.OVERLAY, 4: Form.OVERLAY, 7: Form.CABLE, 8: Form.CABLE, 10: Form.CNI, 11: Form.CNI}


def form(rung: Rung) -> Form:
    return _FORMS.get(rung.number, Form.BARE)


def ladder(flow: Flow, topology: Topology, sights: Sights) -> tuple[Rung, ...]:
    """Every rung in the order of the way, the request's first. Empty for what is no traffic, or never leaves a host's loopback.

    Where a cluster has no active gateway the way ends there. `sights` give devices their names; a node that was not read has
    rungs without."""
    if flow.is_status or flow.case.target.kind is Kind.VX:
        return ()
    pods = (flow.case.source.kind is Kind.POD, flow.case.target.kind in (Kind.POD, Kind.SVC))
    there = _Climb(Way.REQUEST, topology, sights).rungs(flow.source, flow.target, pods)
    back = _Climb(Way.REPLY, topology, sights).rungs(flow.target, flow.source, (pods[1], pods[0]))
    return (*there, *back)


def underlay(sight: NodeSight | None) -> str:
    """The device of the default route, as agents find it; "" when it is not known."""
    if sight is None:
        return ""
    if sight.facts is not None:
        return sight.facts.underlay_device
    found = (r for r in sight.routes if (r.table, r.destination, r.kind) == ("main", "default", "unicast"))
    return next((route.device for route in found), "")


def cable_device(cluster: Cluster) -> str:
    """ "" for IPsec, which has none."""
    return {"vxlan": VXLAN_TUNNEL, "wireguard": WIREGUARD_DEVICE}.get(cluster.cable_driver, "")


def is_ovn(cluster: Cluster) -> bool:
    return cluster.network_plugin.lower() == OVN_KUBERNETES.lower()


def is_readable(cluster: Cluster) -> bool:
    """Whether what is inside the cable's packets can be seen."""
    return cluster.cable_driver == "vxlan"


class _Climb:
    """One way of a flow."""

    def __init__(self, way: Way, topology: Topology, sights: Sights) -> None:
        self._way = way
        self._topology = topology
        self._sights = sights

    def rungs(self, origin: Node, goal: Node, pods: tuple[bool, bool]) -> Iterator[Rung]:
        """`pods`: whether the ends are on the pod network."""
        if pods[0]:
            yield self._rung(1, origin, "", "in")
        if origin.cluster != goal.cluster:
            yield from self._between_clusters(origin, goal)
        elif origin != goal:
            yield self._rung(10, origin, "", "out")
            yield self._rung(11, goal, "", "in")
        if pods[1]:
            yield self._rung(12, goal, "", "out")

    def _between_clusters(self, origin: Node, goal: Node) -> Iterator[Rung]:
        home, away = self._topology.cluster(origin.cluster), self._topology.cluster(goal.cluster)
        near, far = home.node_at(Role.GATEWAY.place), away.node_at(Role.GATEWAY.place)
        if origin != near:
            yield from self._to_gateway(home, origin, near)
        if near is None:
            return
        if device := cable_device(home):
            yield self._rung(6, near, device, "out")
        yield self._rung(7, near, self._underlay(near), "out")
        if far is None:
            return
        yield self._rung(8, far, self._underlay(far), "in")
        # What IPsec has decrypted enters by the NIC once more.
        yield self._rung(9, far, cable_device(away) or self._underlay(far), "in")
        if goal != far:
            yield self._rung(10, far, OVN_DEVICE if is_ovn(away) else "", "out")
            yield self._rung(11, goal, "", "in")

    def _to_gateway(self, home: Cluster, origin: Node, near: Node | None) -> Iterator[Rung]:
        if is_ovn(home):
            if near is not None:
                yield self._rung(5, near, OVN_DEVICE, "in")
            return
        yield self._rung(2, origin, VX_SUBMARINER, "out")
        yield self._rung(3, origin, self._underlay(origin), "out")
        if near is not None:
            yield self._rung(4, near, self._underlay(near), "in")
            yield self._rung(5, near, VX_SUBMARINER, "in")

    def _rung(self, number: int, node: Node, device: str, direction: str) -> Rung:
        return Rung(self._way, number, node.cluster, node.name, device, direction)

    def _underlay(self, node: Node) -> str:
        return underlay(self._sights.get((node.cluster, node.name)))

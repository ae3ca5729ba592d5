"""Causes: the vx-submariner overlay."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.constants import VX_SUBMARINER, VX_SUBMARINER_PORT
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.model.topology import Node, Role


def carried_by(seen: Observation, node: Node) -> scope.Scope:
    """What needs vx-submariner of `node`: on the active gateway, every flow between clusters with an end on another node
    of the cluster; elsewhere every flow between clusters with an end on the node."""
    if node.role is not Role.GATEWAY:
        return scope.node_cut_off(node)
    others = [other for other in seen.topology.cluster(node.cluster).nodes if other != node]
    return scope.Scope(
        f"between clusters with an end on another node of {node.cluster} than {node.name}",
        lambda flow: flow.crosses and any(other in flow.nodes for other in others),
    )


@cause(
    "OVERLAY_LINK_DOWN",
    title="vx-submariner is there but down",
    symptom="Pods and host network of a non-gateway node reach no other cluster, and are not reached; on a gateway: of all nodes.",
    mechanism="The kernel drops the routes of a device that goes down, so traffic for other clusters leaves by the default route. On "
    "the gateway it closes the VXLAN socket too, and workers get ICMP port unreachable.",
    evidence="Flags of the device without UP; on the gateway UdpNoPorts rises.",
    remedy="`ip link set vx-submariner up`, or delete it and restart the route agent on that node so that it is made again.",
    effects=("ROUTE_REMOTE_CIDR_MISSING", "OVERLAY_NEIGHBOUR_POISONED"),
    sources=("submariner issue 1275",),
)
def overlay_link_down(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        link = sight.link(VX_SUBMARINER)
        if link is None or link.up or _port_taken(sight):
            continue
        rise = sight.rise("UdpNoPorts")
        yield Suspicion(
            sight.node,
            VX_SUBMARINER,
            (f"{sight.name}: device {VX_SUBMARINER} has no flag UP",),
            carried_by(seen, sight.node),
            traffic=(f"{sight.name}: UdpNoPorts rose by {rise} while probes ran",) if rise else (),
        )


def _port_taken(sight: NodeSight) -> bool:
    """Whether somebody else has the UDP port, so that the device cannot come up."""
    foreign = [link for link in sight.before.links or () if link.port == VX_SUBMARINER_PORT and link.up]
    sockets = [s for s in sight.before.sockets or () if s.protocol == "udp" and s.port == VX_SUBMARINER_PORT]
    return bool(foreign or sockets)

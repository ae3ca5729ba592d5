"""The overlay of a cluster as pairs: every node that is not its active gateway, with the gateway its vx-submariner leads to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_submariner.dataplane.addresses import vtep
from pytest_submariner.dataplane.constants import HOST_NETWORK_TABLE, VX_SUBMARINER, VX_SUBMARINER_OCTET
from pytest_submariner.dataplane.links import FLOOD_MAC
from pytest_submariner.dataplane.objects import Endpoint
from pytest_submariner.dataplane.view import ClusterView
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.scope import Scope, node_cut_off
from pytest_submariner.model.nodestate import Link
from pytest_submariner.model.topology import Cluster, Node, Role

if TYPE_CHECKING:
    from pytest_submariner.diagnose.observation import Observation

_NO_OVERLAY = frozenset({"ovnkubernetes"})
"""Network plugins for which another handler does the work (submariner:pkg/routeagent_driver/main.go)."""


@dataclass(frozen=True, eq=False)
class Spoke:
    """`hub` is None when the gateway node was not read; `local` the cluster's own Endpoint, None when it has none."""

    sight: NodeSight
    gateway: Node
    hub: NodeSight | None
    local: Endpoint | None

    @property
    def node(self) -> Node:
        return self.sight.node

    @property
    def device(self) -> Link | None:
        return self.sight.link(VX_SUBMARINER)

    @property
    def hub_device(self) -> Link | None:
        return self.hub.link(VX_SUBMARINER) if self.hub is not None else None

    @property
    def agrees(self) -> bool:
        """Whether both devices have the same VNI and port; where one is missing, or was not read, nothing speaks against it."""
        device, hub = self.device, self.hub_device
        return device is None or hub is None or (device.vni, device.port) == (hub.vni, hub.port)

    @property
    def gateway_ips(self) -> frozenset[str]:
        """Where the gateway node can be reached on the underlay."""
        own = self.hub.own_ips if self.hub is not None else frozenset[str]()
        return own | {self.gateway.internal_ip}

    @property
    def vteps(self) -> frozenset[str]:
        """The gateway's addresses on vx-submariner: those it has, else the one that follows from the Endpoint."""
        found = {a.ip for a in self.hub.addresses if a.device == VX_SUBMARINER} if self.hub is not None else set()
        if not found and self.local is not None:
            found = {vtep(VX_SUBMARINER_OCTET, self.local.private_ip)}
        return frozenset(found)

    @property
    def told_vtep(self) -> str:
        """The next hop that follows from the Endpoint, "" without one."""
        return vtep(VX_SUBMARINER_OCTET, self.local.private_ip) if self.local is not None else ""

    @property
    def destinations(self) -> frozenset[str] | None:
        """Where frames for the gateway go: by an entry for its MAC, else by the default entries. None when not read."""
        if self.sight.before.fdb is None:
            return None
        entries = [entry for entry in self.sight.before.fdb if entry.device == VX_SUBMARINER]
        mac = self.hub_device.mac if self.hub_device is not None else ""
        chosen = [entry for entry in entries if mac and entry.mac == mac]
        chosen = chosen or [entry for entry in entries if entry.mac == FLOOD_MAC]
        return frozenset(entry.dst for entry in chosen)

    @property
    def is_laid_out_as_gateway(self) -> bool:
        """A device without a destination of its own, and the table only active gateways have."""
        state, device = self.sight.before, self.device
        has_table = any(route.table == HOST_NETWORK_TABLE for route in state.routes or ()) or any(
            rule.table == HOST_NETWORK_TABLE for rule in state.rules or ()
        )
        return device is not None and device.remote is None and has_table

    @property
    def is_in_use(self) -> bool:
        """Whether there is a device that could carry packets, laid out for a non-gateway node."""
        return self.device is not None and self.device.up and not self.is_laid_out_as_gateway

    @property
    def unresolved(self) -> tuple[str, ...]:
        """States of the neighbour entries for the gateway's VTEP that say nobody answered: FAILED, INCOMPLETE."""
        entries = [n for n in self.sight.before.neighbours or () if n.device == VX_SUBMARINER and n.ip in self.vteps]
        return tuple(entry.state for entry in entries if entry.state in ("FAILED", "INCOMPLETE"))


def has_overlay(cluster: Cluster) -> bool:
    """Whether Submariner makes vx-submariner on the cluster's nodes."""
    return cluster.network_plugin.lower().replace("-", "") not in _NO_OVERLAY


def view_of(seen: Observation, position: str) -> ClusterView | None:
    """The cluster's objects as the data plane sees them, by any node whose sight has them."""
    found = (sight.view for (cluster, _), sight in seen.sights.items() if cluster == position)
    return next((view for view in found if view is not None), None)


def spokes(seen: Observation) -> Iterator[Spoke]:
    """Of every cluster that has an overlay and an active gateway; only nodes whose devices were read."""
    for sight in seen.others():
        gateway = seen.gateway(sight.node.cluster)
        if gateway is None or sight.before.links is None or not has_overlay(sight.cluster):
            continue
        hub = seen.sight(gateway)
        if hub is not None and hub.before.links is None:
            hub = None
        view = view_of(seen, gateway.cluster)
        yield Spoke(sight, gateway, hub, view.local if view is not None else None)


def carried_by(seen: Observation, node: Node) -> Scope:
    """What needs vx-submariner of `node`: on the active gateway, every flow between clusters with an end on another node
    of the cluster; elsewhere every flow between clusters with an end on the node."""
    if node.role is not Role.GATEWAY:
        return node_cut_off(node)
    others = frozenset(other for other in seen.topology.cluster(node.cluster).nodes if other != node)
    return Scope(
        f"between clusters with an end on another node of {node.cluster} than {node.name}",
        lambda flow: flow.crosses and not others.isdisjoint(flow.nodes),
    )


def restart_route_agent(node: str) -> str:
    """The command that makes a node's route agent program it anew."""
    return (
        "`kubectl -n submariner-operator delete pod -l app=submariner-routeagent "
        f"--field-selector spec.nodeName={node}`"
    )

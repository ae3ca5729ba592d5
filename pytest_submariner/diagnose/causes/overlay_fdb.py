"""Causes: where the vx-submariner overlay sends its frames."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.addresses import vtep
from pytest_submariner.dataplane.constants import VX_SUBMARINER, VX_SUBMARINER_OCTET
from pytest_submariner.dataplane.links import FLOOD_MAC
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.spokes import Spoke, restart_route_agent, spokes
from pytest_submariner.model.topology import Node, Role

_RESTART = restart_route_agent("NODE")


@cause(
    "OVERLAY_FDB_WRONG_GATEWAY_IP",
    title="vx-submariner sends to an address that is not the gateway's",
    symptom="One non-gateway node is cut off from other clusters.",
    mechanism="A non-gateway node's device has one destination, the local Endpoint's private IP. Frames for any other address never reach "
    "the gateway.",
    evidence="Destination of the forwarding entry for the gateway against the addresses of the active gateway node; "
    "the Endpoint says the right one.",
    remedy=f"{_RESTART}; if the entry comes back wrong, correct the private IP of the local Endpoint (the gateway's source address towards "
    "8.8.8.8).",
    effects=("OVERLAY_NEIGHBOUR_POISONED",),
    sources=("submariner issue 668",),
)
def overlay_fdb_wrong_gateway_ip(seen: Observation) -> Iterator[Suspicion]:
    for spoke in _astray(seen):
        if _former_gateway(seen, spoke) is None:
            yield _suspicion(spoke, ", ".join(sorted(spoke.destinations or ())) or "nowhere")


@cause(
    "OVERLAY_FDB_STALE_AFTER_FAILOVER",
    title="vx-submariner still sends to the previous gateway",
    symptom="After the gateway role moved, nodes that did not follow are cut off from other clusters; those that did work.",
    mechanism="When a new Endpoint replaces the old one, route agents make the device again. One that missed the event keeps the old "
    "destination, a node that no longer forwards.",
    evidence="The destination is the address of a node of the cluster that is not the active gateway now.",
    remedy=_RESTART,
    effects=("ROUTE_NEXTHOP_OLD_GATEWAY", "OVERLAY_NEIGHBOUR_POISONED"),
    sources=("submariner issue 346", "submariner issue 131", "submariner issue 2364"),
)
def overlay_fdb_stale_after_failover(seen: Observation) -> Iterator[Suspicion]:
    for spoke in _astray(seen):
        former = _former_gateway(seen, spoke)
        if former is not None:
            role = "a passive gateway" if former.role is Role.PASSIVE else "no gateway"
            yield _suspicion(spoke, f"{former.internal_ip}, which is {former.name}, {role} now")


@cause(
    "OVERLAY_FDB_WORKER_MISSING",
    title="The gateway's vx-submariner does not know one node",
    symptom="One non-gateway node is cut off from other clusters.",
    mechanism="The gateway floods to every node it has a forwarding entry for, learning being off. A node without an entry never "
    "gets the answer to its ARP request for the gateway's 240.x address.",
    evidence="No default forwarding entry of the gateway has an address of the node; on the node that neighbour is FAILED.",
    remedy="Restart the route agent on the gateway, and see that the Node has an IPv4 InternalIP.",
    sources=("submariner:pkg/routeagent_driver/handlers/kubeproxy/node_handler.go",),
)
def overlay_fdb_worker_missing(seen: Observation) -> Iterator[Suspicion]:
    for spoke in spokes(seen):
        hub, device = spoke.hub, spoke.hub_device
        if hub is None or device is None or hub.before.fdb is None or device.learning:
            continue
        if not spoke.is_in_use or spoke.node.internal_ip not in spoke.sight.own_ips:
            continue  # a Node object that does not tell the node's address is HOST_NODE_IP_MISMATCH
        entries = [e for e in hub.before.fdb if e.device == VX_SUBMARINER]
        macs = {FLOOD_MAC, spoke.device.mac if spoke.device is not None else FLOOD_MAC}
        if any(entry.dst in spoke.sight.own_ips for entry in entries if entry.mac in macs):
            continue
        known = ", ".join(sorted({e.dst for e in entries if e.mac == FLOOD_MAC})) or "none"
        state = [
            f"{hub.name}: no forwarding entry of {VX_SUBMARINER} has {spoke.node.internal_ip}, which is {spoke.node.name}; "
            f"there are {known}"
        ]
        if spoke.unresolved:
            state.append(
                f"{spoke.node.name}: the neighbour entry of {hub.name} on {VX_SUBMARINER} is {spoke.unresolved[0]}"
            )
        yield Suspicion(
            hub.node,
            f"fdb {VX_SUBMARINER} {spoke.node.internal_ip}",
            tuple(state),
            scope.node_cut_off(spoke.node),
            remedy=f"{restart_route_agent(hub.name)}; at once: `bridge fdb append {FLOOD_MAC} dev {VX_SUBMARINER} dst "
            f"{spoke.node.internal_ip} self permanent` on {hub.name}.",
        )


def _astray(seen: Observation) -> Iterator[Spoke]:
    """Spokes whose frames go elsewhere than to their gateway, and not because the Endpoint says so."""
    for spoke in spokes(seen):
        destinations = spoke.destinations
        if destinations is None or not spoke.is_in_use or destinations & spoke.gateway_ips:
            continue
        if spoke.local is not None and spoke.local.private_ip in destinations:
            continue
        yield spoke


def _former_gateway(seen: Observation, spoke: Spoke) -> Node | None:
    """The node of the cluster a spoke's frames go to, if it is, or by the spoke's next hops was, a gateway."""
    for node in seen.topology.cluster(spoke.node.cluster).nodes:
        if node.internal_ip not in (spoke.destinations or ()) or node == spoke.gateway:
            continue
        hops = {route.gateway for route in spoke.sight.routes if route.device == VX_SUBMARINER}
        if node.role is Role.PASSIVE or vtep(VX_SUBMARINER_OCTET, node.internal_ip) in hops:
            return node
    return None


def _suspicion(spoke: Spoke, where: str) -> Suspicion:
    told = spoke.local.private_ip if spoke.local is not None else spoke.gateway.internal_ip
    return Suspicion(
        spoke.node,
        f"fdb {VX_SUBMARINER}",
        (f"{spoke.node.name}: {VX_SUBMARINER} sends to {where}; the active gateway {spoke.gateway.name} is at {told}",),
        scope.node_cut_off(spoke.node),
        remedy=f"{restart_route_agent(spoke.node.name)}: it makes the device again, with {told} as its destination.",
    )

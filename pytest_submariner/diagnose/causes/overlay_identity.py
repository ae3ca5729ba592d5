"""Causes: who is who on the vx-submariner overlay: MACs, 240.x addresses, neighbours."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.constants import VX_SUBMARINER
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.spokes import Spoke, carried_by, restart_route_agent, spokes
from pytest_submariner.model.nodestate import Neighbour

_RESTART = restart_route_agent("NODE")
_HAVE_MAC = frozenset({"PERMANENT", "NOARP", "REACHABLE", "STALE", "DELAY", "PROBE"})


@cause(
    "OVERLAY_DUPLICATE_MAC",
    title="vx-submariner has the gateway's MAC on another node",
    symptom="A non-gateway node is cut off from other clusters; with cloned machines all are.",
    mechanism="A VXLAN device drops frames whose source is its own MAC as loops, so the gateway never sees the node's. Clones with one "
    "machine-id get equal MACs where the system derives them from it.",
    evidence="Equal `link/ether` of vx-submariner on both nodes; neither resolves the other.",
    remedy="Give cloned machines machine-ids of their own (or set MACAddressPolicy=none for the device), `ip link del vx-submariner`, then "
    + _RESTART,
    sources=("submariner issue 2934", "flannel issue 1155"),
)
def overlay_duplicate_mac(seen: Observation) -> Iterator[Suspicion]:
    for twins in _by_gateway(spoke for spoke in spokes(seen) if _is_twin(spoke)):
        every = [spoke for spoke in spokes(seen) if spoke.gateway == twins[0].gateway and spoke.device is not None]
        # All alike: the machines are clones, which is one fault and not one per node.
        told = [twins[0].gateway] if len(every) > 1 and len(twins) == len(every) else [spoke.node for spoke in twins]
        for node in told:
            about = [spoke for spoke in twins if node in (spoke.node, spoke.gateway)]
            yield Suspicion(
                node,
                VX_SUBMARINER,
                tuple(
                    f"{spoke.node.name}: {VX_SUBMARINER} has the MAC {spoke.device.mac}, as on the gateway {spoke.gateway.name}"
                    for spoke in about
                    if spoke.device is not None
                ),
                carried_by(seen, node),
            )


@cause(
    "OVERLAY_VTEP_COLLISION",
    title="A node has the gateway's 240.x address",
    symptom="A non-gateway node is cut off from other clusters.",
    mechanism="The address on vx-submariner is the node's with the first octet replaced by 240, so nodes that differ in that octet "
    "alone collide. A node whose next hop is its own address keeps the packets. Two non-gateway nodes with one address harm nothing: "
    "traffic towards them does not use it.",
    evidence="The gateway's address on vx-submariner is one of the node's own; InternalIPs equal in the last three octets.",
    remedy="Renumber one of the nodes, or make another node the gateway.",
    effects=("ROUTE_REMOTE_CIDR_MISSING", "ROUTE_NEXTHOP_OLD_GATEWAY", "OVERLAY_NEIGHBOUR_POISONED"),
    sources=("submariner:pkg/vxlan/vxlan.go, GetVtepIPAddressFrom",),
)
def overlay_vtep_collision(seen: Observation) -> Iterator[Suspicion]:
    for spoke in spokes(seen):
        shared = sorted(spoke.sight.own_ips & spoke.vteps)
        if not shared or spoke.device is None:
            continue
        devices = [address.device for address in spoke.sight.addresses if address.ip in shared]
        yield Suspicion(
            spoke.node,
            f"address {shared[0]}",
            (
                f"{spoke.node.name}: {shared[0]} is an address of {devices[0]}, and of {VX_SUBMARINER} on the gateway "
                f"{spoke.gateway.name}",
                f"node addresses: {spoke.node.name} {spoke.node.internal_ip}, {spoke.gateway.name} {spoke.gateway.internal_ip}",
            ),
            scope.node_cut_off(spoke.node),
        )


@cause(
    "OVERLAY_NEIGHBOUR_POISONED",
    title="A node knows the gateway's 240.x address by a wrong MAC",
    symptom="A non-gateway node is cut off from other clusters although its packets arrive at the gateway's vx-submariner.",
    mechanism="The gateway's kernel drops frames that are not addressed to its device. A permanent neighbour entry is never asked "
    "again; a stale one heals after some seconds.",
    evidence="The entry's MAC against that of the gateway's vx-submariner.",
    remedy="`ip neigh del ADDRESS dev vx-submariner` on that node; a permanent entry was written by somebody: find who.",
    sources=("ip-neighbour(8)",),
)
def overlay_neighbour_poisoned(seen: Observation) -> Iterator[Suspicion]:
    for spoke in spokes(seen):
        for entry in _poisoned(spoke):
            hub = spoke.hub_device
            assert hub is not None
            yield Suspicion(
                spoke.node,
                f"neighbour {entry.ip}",
                (
                    f"{spoke.node.name}: the {entry.state} neighbour entry of {entry.ip} on {VX_SUBMARINER} has the MAC {entry.mac}, "
                    f"the gateway {spoke.gateway.name} has {hub.mac}",
                ),
                scope.node_cut_off(spoke.node),
                remedy=f"On {spoke.node.name}: `ip neigh del {entry.ip} dev {VX_SUBMARINER}`; find who wrote a permanent entry.",
            )


def _is_twin(spoke: Spoke) -> bool:
    device, hub = spoke.device, spoke.hub_device
    return device is not None and hub is not None and bool(device.mac) and device.mac == hub.mac


def _by_gateway(found: Iterator[Spoke]) -> Iterator[list[Spoke]]:
    groups: dict[str, list[Spoke]] = {}
    for spoke in found:
        groups.setdefault(spoke.gateway.cluster, []).append(spoke)
    yield from groups.values()


def _poisoned(spoke: Spoke) -> Iterator[Neighbour]:
    hub = spoke.hub_device
    if hub is None or not hub.mac or not spoke.is_in_use:
        return
    for entry in spoke.sight.before.neighbours or ():
        is_gateway = entry.device == VX_SUBMARINER and entry.ip in spoke.vteps
        if is_gateway and entry.mac and entry.mac != hub.mac and entry.state.split()[-1] in _HAVE_MAC:
            yield entry

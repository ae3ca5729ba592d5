"""Causes: packet sizes on the network between nodes, and MTUs of Submariner's devices."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.constants import VX_SUBMARINER, VXLAN_OVERHEAD
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.fragments import loses_fragments
from pytest_submariner.diagnose.reasoning.sizelosses import SizeLoss, between_nodes, common_node, reached, sized
from pytest_submariner.diagnose.tracing.ladder import underlay
from pytest_submariner.model.topology import Node, Role

_COMMON_MTUS = frozenset({1460, 1500, 8896, 9000, 9001, 9216})
"""Of NICs and clouds: what an MTU may have been before."""


@cause(
    "MTU_CABLE_BLACKHOLE",
    title="The network between gateways carries less than the cable assumes, without a word",
    symptom="Connections between clusters open and then hang; pings and short answers work, on every pair of nodes.",
    mechanism="The cable's device subtracts its own header from the NIC's MTU and believes the rest of the way. A link that "
    "carries less and "
    "sends no ICMP (a tunnel of a provider, a filter) swallows every full-size packet.",
    evidence="Packets of full size leave one gateway and do not reach the other, smaller ones do; the largest size that gets through is "
    "below the cable device's MTU, and no ICMP comes back.",
    remedy="Annotate gateway nodes with `submariner.io/tcp-clamp-mss=<largest size that passes − 40>` and restart the route "
    "agents, or lower the "
    "NICs' MTU and have vx-submariner and the cable device made again.",
    rank=Rank.TRAFFIC,
    effects=("MTU_NODE_UNDERLAY_LOW",),
    sources=("submariner issues 1610, 1641", "https://submariner.io/operations/troubleshooting/"),
)
def mtu_cable_blackhole(seen: Observation) -> Iterator[Suspicion]:
    found = between_nodes(seen)
    crossing = tuple(loss for loss in found if loss.crosses)
    if not crossing or loses_fragments(seen):
        return
    gateways = {node for loss in crossing for node in loss.pair}
    near = [loss for loss in found if loss.pair & gateways]
    node = _gateway(crossing, near)
    explains = scope.crossing(node.cluster) & sized()
    if any(loss.pair for loss in near if not loss.crosses):
        explains = explains | (scope.inside(node.cluster) & scope.at_node(node) & sized())
    others = sorted({n.name for loss in crossing for n in loss.pair if n != node})
    yield Suspicion(
        node,
        f"the network between {node.name} and {', '.join(others)}",
        _assumed(seen, gateways),
        explains,
        traffic=(*(loss.text for loss in crossing[:2]), *reached(seen, explains)),
    )


def _gateway(crossing: tuple[SizeLoss, ...], near: list[SizeLoss]) -> Node:
    """The gateway most losses have in common, those inside its cluster too; of equals the first."""
    gateways = {node for loss in crossing for node in loss.pair}
    pairs = {loss.pair for loss in near}
    return min(gateways, key=lambda node: (-sum(node in pair for pair in pairs), node.cluster, node.name))


def _assumed(seen: Observation, gateways: set[Node]) -> tuple[str, ...]:
    found = []
    for sight in filter(None, map(seen.sight, sorted(gateways, key=lambda node: node.cluster))):
        nic = sight.link(underlay(sight))
        devices = [link for link in sight.before.links or () if link.kind in ("vxlan", "wireguard")]
        told = ", ".join(f"{link.name} {link.mtu}" for link in (*((nic,) if nic else ()), *devices))
        found.append(f"{sight.name}: MTUs {told}")
    return tuple(found)


@cause(
    "MTU_NODE_UNDERLAY_LOW",
    title="One node's link carries less than its interface says",
    symptom="Connections from and to one node open and then hang, between clusters and inside; pings and short answers work.",
    mechanism="The switch port, or the virtual network, behind the node's NIC has a lower MTU than the NIC: full-size frames "
    "vanish there.",
    evidence="Packets of full size leave for the node, or leave it, and do not arrive; smaller ones do; pairs without that node pass.",
    remedy="Give NIC and switch port (or the virtual network) of that node the same MTU; all interfaces of a cluster's network "
    "must agree.",
    rank=Rank.TRAFFIC,
    sources=("submariner issue 2887",),
)
def mtu_node_underlay_low(seen: Observation) -> Iterator[Suspicion]:
    found = between_nodes(seen)
    if loses_fragments(seen):
        return
    at_cable = {node for loss in found if loss.crosses for node in loss.pair}
    left = tuple(loss for loss in found if not loss.pair & at_cable)
    while left:
        node = common_node(left)
        here = tuple(loss for loss in left if node in loss.pair)
        left = tuple(loss for loss in left if node not in loss.pair)
        explains = scope.at_node(node) & sized()
        sight = seen.sight(node)
        nic = sight.link(underlay(sight)) if sight is not None else None
        state = (f"{node.name}: MTU of {nic.name} is {nic.mtu}",) if nic is not None else ()
        traffic = (*(loss.text for loss in here[:2]), *reached(seen, explains))
        yield Suspicion(node, f"the link of {node.name}", state, explains, traffic=traffic)


@cause(
    "MTU_VX_TOO_LARGE",
    title="vx-submariner's MTU leaves no room for its own header",
    symptom="None as long as the network carries fragments; where it does not, connections hang.",
    mechanism="A packet that fills vx-submariner does not fit the NIC with 50 bytes of VXLAN header around it, so the node "
    "sends fragments of the "
    "outer packet and the gateway puts them together.",
    evidence="MTU of vx-submariner above the NIC's less 50; IpFragCreates rises on the node, IpReasmOKs on the gateway.",
    remedy="`ip link set vx-submariner mtu <NIC − 50>`, or delete the device and restart the route agent of that node.",
    effects=("MTU_NODE_UNDERLAY_LOW",),
    sources=("submariner issue 301", "submariner:pkg/vxlan/vxlan.go"),
)
def mtu_vx_too_large(seen: Observation) -> Iterator[Suspicion]:
    if loses_fragments(seen):
        return
    for sight, vx, nic in _devices(seen):
        if vx > nic - VXLAN_OVERHEAD and not _was_right(seen, vx):
            yield _arithmetic(sight, vx, nic)


@cause(
    "MTU_STALE_AFTER_CHANGE",
    title="The NIC's MTU changed after vx-submariner was made",
    symptom="None as long as the network carries fragments; where it does not, connections of that node hang.",
    mechanism="The agent sets the device's MTU when it makes it, and does not compare MTUs when it finds one there: an agent "
    "restart keeps the "
    "old value.",
    evidence="MTU of vx-submariner is not the NIC's less 50, but that of the MTU other nodes' NICs have.",
    remedy="Give the NIC the MTU of the others again, or delete vx-submariner and restart the route agent of that node.",
    effects=("MTU_NODE_UNDERLAY_LOW",),
    sources=("submariner:pkg/vxlan/vxlan.go",),
)
def mtu_stale_after_change(seen: Observation) -> Iterator[Suspicion]:
    if loses_fragments(seen):
        return
    for sight, vx, nic in _devices(seen):
        if vx > nic - VXLAN_OVERHEAD and _was_right(seen, vx):
            yield _arithmetic(sight, vx, nic)


def _devices(seen: Observation) -> Iterator[tuple[NodeSight, int, int]]:
    """(node, MTU of vx-submariner, MTU of the NIC). A device with a lower MTU than it could have breaks nothing."""
    for sight in seen.every():
        vx, nic = sight.link(VX_SUBMARINER), sight.link(underlay(sight))
        if vx is not None and nic is not None:
            yield sight, vx.mtu, nic.mtu


def _was_right(seen: Observation, vx: int) -> bool:
    """Whether the MTU fits a NIC as others are, or are elsewhere."""
    before = vx + VXLAN_OVERHEAD
    return before in _COMMON_MTUS or any(nic == before for _, _, nic in _devices(seen))


def _arithmetic(sight: NodeSight, vx: int, nic: int) -> Suspicion:
    device = underlay(sight)
    said = f"{sight.name}: MTU of {VX_SUBMARINER} is {vx}, of {device} {nic}: {nic - VXLAN_OVERHEAD} would leave room for the header"
    rise = sight.rise("IpFragCreates")
    traffic = (f"{sight.name}: IpFragCreates rose by {rise} while probes ran",) if rise else ()
    others = (
        scope.crossing(sight.node.cluster)
        if sight.node.role is Role.GATEWAY
        else scope.crossing() & scope.at_node(sight.node)
    )
    return Suspicion(
        sight.node,
        VX_SUBMARINER,
        (said,),
        (others | scope.inside(sight.node.cluster) & scope.at_node(sight.node)) & sized(),
        traffic=traffic,
        latent=True,
        remedy=f"`ip link set {VX_SUBMARINER} mtu {nic - VXLAN_OVERHEAD}` on {sight.name}; or give {device} MTU "
        f"{vx + VXLAN_OVERHEAD}, if "
        f"its network carries that",
    )

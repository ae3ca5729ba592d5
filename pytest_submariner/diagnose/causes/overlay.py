"""Causes: the devices of the vx-submariner overlay."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.constants import (
    OWN_CHAINS,
    VX_SUBMARINER,
    VX_SUBMARINER_PORT,
    VX_SUBMARINER_VNI,
)
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.spokes import carried_by, has_overlay, restart_route_agent, spokes, view_of
from pytest_submariner.model.nodestate import Link

_RESTART = restart_route_agent("NODE")


@cause(
    "OVERLAY_LINK_DOWN",
    title="vx-submariner is there but down",
    symptom="Pods and host network of a non-gateway node reach no other cluster, and are not reached; on a gateway: of all nodes.",
    mechanism="The kernel drops the routes of a device that goes down, so traffic for other clusters leaves by the default route. On "
    "the gateway it closes the VXLAN socket too, and workers get ICMP port unreachable.",
    evidence="Flags of the device without UP; on the gateway UdpNoPorts rises.",
    remedy="`ip link set vx-submariner up`, or delete it and restart the route agent on that node so that it is made again: "
    + _RESTART,
    effects=("ROUTE_REMOTE_CIDR_MISSING", "OVERLAY_NEIGHBOUR_POISONED"),
    sources=("submariner issue 1275",),
)
def overlay_link_down(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        link = sight.link(VX_SUBMARINER)
        if link is None or link.up or _port_users(sight):
            continue
        yield Suspicion(
            sight.node,
            VX_SUBMARINER,
            (f"{sight.name}: device {VX_SUBMARINER} has no flag UP",),
            carried_by(seen, sight.node),
            traffic=_port_unreachable(sight),
        )


@cause(
    "OVERLAY_DEVICE_MISSING",
    title="vx-submariner is gone",
    symptom="As with a device that is down: a non-gateway node is cut off from other clusters, or behind a gateway all of them.",
    mechanism="The route agent makes the device when the local Endpoint appears and does not watch it. A network restart, a container "
    "that was resumed and not restarted after a reboot, or a clean-up script removes it.",
    evidence="No device of that name, while the agent's packet-filter chains are there, so the agent did run.",
    remedy=f"{_RESTART}; make sure that network managers leave the device alone (NetworkManager: unmanaged-devices).",
    effects=("ROUTE_REMOTE_CIDR_MISSING",),
    sources=("submariner issue 3188", "submariner issue 1118"),
)
def overlay_device_missing(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        view = view_of(seen, sight.node.cluster)
        if view is None or view.local is None or not has_overlay(sight.cluster):
            continue
        if sight.before.links is None or sight.link(VX_SUBMARINER) is not None or not _agent_was_here(sight):
            continue
        other = [f"{x.name} (VNI {x.vni}, port {x.port})" for x in sight.before.links if x.port == VX_SUBMARINER_PORT]
        found = f"; other devices on its port: {', '.join(other)}" if other else ""
        yield Suspicion(
            sight.node,
            VX_SUBMARINER,
            (
                f"{sight.name}: there is no device {VX_SUBMARINER}{found}",
                f"{sight.name}: the route agent's chains are there, so it ran on this node",
            ),
            carried_by(seen, sight.node),
            traffic=_port_unreachable(sight),
            remedy=f"{restart_route_agent(sight.name)}: it makes the device again; then find what removed it.",
        )


@cause(
    "OVERLAY_VNI_OR_PORT_MISMATCH",
    title="vx-submariner has another VNI or UDP port on two nodes",
    symptom="A non-gateway node is cut off from other clusters; if the gateway's device differs, all are.",
    mechanism="The kernel drops VXLAN packets whose VNI no device has, without counting, and answers a wrong port with ICMP port "
    "unreachable.",
    evidence="VNI and port of the node's device against the gateway's; upstream's are 100 and 4800. UdpNoPorts rises for a wrong port.",
    remedy=f"`ip link del vx-submariner` on the node whose device deviates, then {_RESTART}; look for another program that makes it.",
    sources=("submariner:pkg/routeagent_driver/handlers/kubeproxy/vxlan.go",),
)
def overlay_vni_or_port_mismatch(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.gateways():
        link = sight.link(VX_SUBMARINER)
        if link is not None and link.vni is not None and not _is_standard(link):
            pairs = [spoke for spoke in spokes(seen) if spoke.hub is sight and spoke.device is not None]
            if any(not spoke.agrees for spoke in pairs):
                yield _mismatch(seen, sight, link)
    for spoke in spokes(seen):
        device = spoke.device
        if device is None or device.vni is None or _is_standard(device):
            continue
        if not spoke.agrees or spoke.hub_device is None:
            yield _mismatch(seen, spoke.sight, device)


@cause(
    "OVERLAY_PORT_TAKEN",
    title="Something else has UDP port 4800",
    symptom="A node is cut off from other clusters; vx-submariner does not come up.",
    mechanism="The kernel opens the VXLAN socket when the device goes up. A process bound to the port, or a VXLAN device of another kind "
    "(other flags), makes that fail with `Address already in use`.",
    evidence="vx-submariner is down, and a process or another VXLAN device has UDP/4800.",
    remedy=f"Move the other user to another port, then {_RESTART}.",
    effects=("OVERLAY_LINK_DOWN", "ROUTE_REMOTE_CIDR_MISSING"),
    sources=("Linux: drivers/net/vxlan, vxlan_open",),
)
def overlay_port_taken(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        link = sight.link(VX_SUBMARINER)
        users = _port_users(sight)
        if link is None or link.up or not users:
            continue
        yield Suspicion(
            sight.node,
            f"UDP port {VX_SUBMARINER_PORT}",
            (f"{sight.name}: {VX_SUBMARINER} is down", *(f"{sight.name}: {user}" for user in users)),
            carried_by(seen, sight.node),
            traffic=_port_unreachable(sight),
        )


def _mismatch(seen: Observation, sight: NodeSight, link: Link) -> Suspicion:
    return Suspicion(
        sight.node,
        VX_SUBMARINER,
        (
            f"{sight.name}: {VX_SUBMARINER} has VNI {link.vni} and UDP port {link.port}; the cluster's other nodes, and Submariner, "
            f"use {VX_SUBMARINER_VNI} and {VX_SUBMARINER_PORT}",
        ),
        carried_by(seen, sight.node),
        traffic=_port_unreachable(sight),
        remedy=f"On {sight.name}: `ip link del {VX_SUBMARINER}`, then {restart_route_agent(sight.name)}.",
    )


def _is_standard(link: Link) -> bool:
    return (link.vni, link.port) == (VX_SUBMARINER_VNI, VX_SUBMARINER_PORT)


def _agent_was_here(sight: NodeSight) -> bool:
    """By its chains, in iptables or in a table of nftables; where filters were not read, nothing speaks against it."""
    filters = sight.before.packet_filters
    if filters is None or any(chain in state.policies for state in filters for chain in OWN_CHAINS):
        return True
    return any(table.name == "submariner" for table in sight.before.native_tables or ())


def _port_unreachable(sight: NodeSight) -> tuple[str, ...]:
    rise = sight.rise("UdpNoPorts")
    return (f"{sight.name}: UdpNoPorts rose by {rise} while probes ran",) if rise else ()


def _port_users(sight: NodeSight) -> tuple[str, ...]:
    """Who has vx-submariner's UDP port, so that the device cannot come up."""
    links = [link for link in sight.before.links or () if link.name != VX_SUBMARINER]
    foreign = [
        f"VXLAN device {x.name} (VNI {x.vni}) has UDP/{x.port}" for x in links if x.port == VX_SUBMARINER_PORT and x.up
    ]
    sockets = [s for s in sight.before.sockets or () if s.protocol == "udp" and s.port == VX_SUBMARINER_PORT]
    foreign += [f"{s.process or 'a process'} has UDP/{s.port} on {s.ip}" for s in sockets if not (foreign and s.kernel)]
    return tuple(foreign)

"""Causes: nodes that are not who they say: hostnames, addresses."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.constants import HOST_NETWORK_TABLE, VX_SUBMARINER
from pytest_submariner.dataplane.links import FLOOD_MAC
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.spokes import restart_route_agent, spokes
from pytest_submariner.model.path import Kind


@cause(
    "HOST_DUPLICATE_HOSTNAME",
    title="A node that is not the gateway set itself up as gateway",
    symptom="One non-gateway node is cut off from other clusters.",
    mechanism="A route agent takes its node for the active gateway when the OS hostname equals that in the local Endpoint. A second node "
    "with the gateway's hostname makes a device without destination and no routes to the gateway.",
    evidence="The gateway's layout (vx-submariner without destination, table 150) on a node without the Endpoint's private IP; equal "
    "hostnames.",
    remedy="Give every node a hostname of its own, then " + restart_route_agent("NODE"),
    effects=("ROUTE_REMOTE_CIDR_MISSING", "ROUTE_TABLE220_LEFTOVER", "OVERLAY_FDB_WRONG_GATEWAY_IP"),
    sources=("submariner:pkg/event/controller/endpoint_created.go",),
)
def host_duplicate_hostname(seen: Observation) -> Iterator[Suspicion]:
    for spoke in spokes(seen):
        local, device = spoke.local, spoke.device
        if local is None or device is None or local.private_ip in spoke.sight.own_ips:
            continue
        routes = [r for r in spoke.sight.routes if r.table == "main" and r.device == VX_SUBMARINER and r.gateway]
        if not spoke.is_laid_out_as_gateway or routes:
            continue
        name, hub_name = spoke.sight.before.hostname, spoke.hub.before.hostname if spoke.hub is not None else None
        entries = [e.dst for e in spoke.sight.before.fdb or () if e.device == VX_SUBMARINER and e.mac == FLOOD_MAC]
        same = name is not None and name in (hub_name, local.hostname)
        yield Suspicion(
            spoke.node,
            f"hostname {name}" if same else VX_SUBMARINER,
            (
                f"{spoke.node.name}: {VX_SUBMARINER} has no destination of its own, but forwarding entries for "
                f"{', '.join(sorted(entries)) or 'nobody'}, and there is table {HOST_NETWORK_TABLE}: as on an active gateway",
                f"{spoke.node.name}: its addresses do not include {local.private_ip}, the Endpoint's; the active gateway is "
                f"{spoke.gateway.name}",
                f"hostnames: {spoke.node.name} {name or 'not read'}, {spoke.gateway.name} {hub_name or 'not read'}, Endpoint "
                f"{local.hostname}",
            ),
            scope.node_cut_off(spoke.node),
        )


@cause(
    "HOST_NODE_IP_MISMATCH",
    title="A Node's InternalIP is not the address the node sends from",
    symptom="One non-gateway node is cut off from other clusters.",
    mechanism="The gateway's vx-submariner sends to each Node's InternalIP, the node sends from the device of its default route. Where the "
    "InternalIP is of another NIC, or of none, the gateway's frames do not arrive.",
    evidence="InternalIP against the addresses of the default route's device; the gateway's forwarding entries have the InternalIP.",
    remedy="Set kubelet's `--node-ip` to the address of the default route's NIC, then restart kubelet and the route agent on the gateway.",
    effects=("OVERLAY_UDP4800_BLOCKED",),
    sources=(
        "submariner:pkg/routeagent_driver/handlers/kubeproxy/node_handler.go",
        "submariner:pkg/netlink/netlink.go",
    ),
)
def host_node_ip_mismatch(seen: Observation) -> Iterator[Suspicion]:
    for spoke in spokes(seen):
        facts, told = spoke.sight.facts, spoke.node.internal_ip
        if facts is None or not spoke.is_in_use or spoke.sight.before.addresses is None:
            continue
        own = {a.ip for a in spoke.sight.addresses if a.device == facts.underlay_device}
        # An address of a second NIC works where the network carries it: only the unanswered ARP tells.
        if told in own or (told in spoke.sight.own_ips and not spoke.unresolved):
            continue
        entries = spoke.hub.before.fdb if spoke.hub is not None else None
        listed = {e.dst for e in entries or () if e.device == VX_SUBMARINER and e.mac == FLOOD_MAC}
        if entries is not None and listed & own:
            continue
        where = next((a.device for a in spoke.sight.addresses if a.ip == told), "none of its devices")
        state = [
            f"{spoke.node.name}: its Node object says {told}, an address of {where}; the device of its default route, "
            f"{facts.underlay_device}, has {', '.join(sorted(own))}"
        ]
        if told in listed:
            state.append(f"{spoke.gateway.name}: {VX_SUBMARINER} sends to {told} for this node")
        yield Suspicion(
            spoke.node,
            f"Node {spoke.node.name}",
            tuple(state),
            scope.node_cut_off(spoke.node) | (scope.to_node(spoke.node) & scope.to_kind(Kind.NODE)),
        )

"""VXLAN devices with their addresses and forwarding entries."""

from __future__ import annotations

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.addresses import vtep
from pytest_submariner.dataplane.objects import Endpoint
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.model.nodestate import Address, FdbEntry, Link

FLOOD_MAC = "00:00:00:00:00:00"
"""The default forwarding entry of a VXLAN device; with learning off all frames follow it."""


def links(node: NodeFacts, view: ClusterView) -> tuple[Link, ...]:
    """vx-submariner wherever a local Endpoint exists, pointing to the gateway from other nodes; vxlan-tunnel on an
    active gateway with the vxlan cable. (submariner:pkg/routeagent_driver/handlers/kubeproxy/vxlan.go,
    submariner:pkg/cable/vxlan/vxlan.go)"""
    if view.local is None:
        return ()
    is_gateway = view.is_active_gateway(node)
    mtu = node.underlay_mtu - c.VXLAN_OVERHEAD
    found = [
        Link(
            name=c.VX_SUBMARINER,
            kind="vxlan",
            mtu=mtu,
            vni=c.VX_SUBMARINER_VNI,
            port=c.VX_SUBMARINER_PORT,
            remote=None if is_gateway else view.local.private_ip,
            learning=False,
        )
    ]
    if has_vxlan_cable(node, view):
        port = cable_port(view.local)
        found.append(
            Link(name=c.VXLAN_TUNNEL, kind="vxlan", mtu=mtu, vni=c.VXLAN_TUNNEL_VNI, port=port, learning=False)
        )
    return tuple(found)


def addresses(node: NodeFacts, view: ClusterView) -> tuple[Address, ...]:
    """240.x from the default device's first address; 241.x from the Endpoint's private IP: two sources that agree on
    a healthy node."""
    found: list[Address] = []
    if view.local is not None:
        found.append(Address(c.VX_SUBMARINER, vtep(c.VX_SUBMARINER_OCTET, node.underlay_ip), c.VTEP_PREFIX_LENGTH))
        if has_vxlan_cable(node, view):
            found.append(
                Address(c.VXLAN_TUNNEL, vtep(c.VXLAN_TUNNEL_OCTET, view.local.private_ip), c.VTEP_PREFIX_LENGTH)
            )
    return tuple(found)


def fdb(node: NodeFacts, view: ClusterView) -> tuple[FdbEntry, ...]:
    """Elsewhere than on the gateway the entry `remote` implies; on the gateway one per Node, its own included, and
    on the cable one per remote gateway. (submariner:pkg/routeagent_driver/handlers/kubeproxy/node_handler.go)"""
    if view.local is None:
        return ()
    if not view.is_active_gateway(node):
        return (FdbEntry(c.VX_SUBMARINER, FLOOD_MAC, view.local.private_ip),)
    found = [FdbEntry(c.VX_SUBMARINER, FLOOD_MAC, ip) for ip in dict.fromkeys(view.node_ips)]
    if has_vxlan_cable(node, view):
        found += (
            FdbEntry(c.VXLAN_TUNNEL, FLOOD_MAC, using_ip) for using_ip in dict.fromkeys(ip for _, ip in view.cables)
        )
    return tuple(found)


def has_vxlan_cable(node: NodeFacts, view: ClusterView) -> bool:
    return view.local is not None and view.local.backend == "vxlan" and view.is_active_gateway(node)


def cable_port(endpoint: Endpoint) -> int:
    """The UDP port this Endpoint's cable listens on."""
    return int(endpoint.backend_config.get("udp-port") or c.CABLE_PORT)

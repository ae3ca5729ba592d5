"""Kernel settings Submariner writes, by dotted name. What it does not write (ip_forward, rp_filter of the underlay)
is not here."""

from __future__ import annotations

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.links import has_vxlan_cable
from pytest_submariner.dataplane.view import ClusterView, NodeFacts

LOOSE = "2"
"""rp_filter: a source is valid if any device reaches it (kernel: Documentation/networking/ip-sysctl.rst)."""


def sysctls(node: NodeFacts, view: ClusterView) -> dict[str, str]:
    """Loose reverse path on the CNI device everywhere, on the VXLAN devices of the active gateway only."""
    values: dict[str, str] = {}
    if node.cni_device is not None:
        values[conf(node.cni_device, "rp_filter")] = LOOSE
    if node.gateway_pod:
        values[conf("all", "send_redirects")] = "0"  # the container's entrypoint: submariner:package/submariner.sh
    if view.local is None:
        return values
    values[conf(c.VX_SUBMARINER, "forwarding")] = "1"
    if view.is_active_gateway(node):
        values[conf(c.VX_SUBMARINER, "rp_filter")] = LOOSE
    if has_vxlan_cable(node, view):
        values[conf(c.VXLAN_TUNNEL, "rp_filter")] = LOOSE
        values[conf(c.VXLAN_TUNNEL, "forwarding")] = "1"
    return values


def conf(device: str, key: str) -> str:
    """`net.ipv4.conf.DEVICE.KEY`; a dot inside a device's name is written as a slash (sysctl(8): `flannel/1`)."""
    return f"net.ipv4.conf.{device.replace('.', '/')}.{key}"

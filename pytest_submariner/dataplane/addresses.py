"""Addresses Submariner derives from others, and CIDRs in the spelling each tool prints. IPv4 only, as upstream's
data plane is."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from pytest_submariner.dataplane.constants import VTEP_PREFIX_LENGTH


def vtep(octet: int, node_ip: str) -> str:
    """`vtep(240, "172.18.0.3")` -> `240.18.0.3`: a VTEP keeps the node's last three octets
    (submariner:pkg/vxlan/vxlan.go).

    ValueError when `node_ip` is not IPv4.
    """
    return f"{octet}.{str(ipaddress.IPv4Address(node_ip)).split('.', 1)[1]}"


def vtep_network(octet: int) -> str:
    """`240.0.0.0/8`."""
    return f"{octet}.0.0.0/{VTEP_PREFIX_LENGTH}"


def ipv4_cidrs(cidrs: Iterable[str]) -> tuple[str, ...]:
    """The IPv4 networks among `cidrs` in canonical form, in order, each once."""
    networks = (ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
    return tuple(dict.fromkeys(str(network) for network in networks if network.version == 4))


def overlap(left: Iterable[str], right: Iterable[str]) -> bool:
    """Whether any network on the left shares an address with any on the right."""
    others = [ipaddress.IPv4Network(cidr) for cidr in ipv4_cidrs(right)]
    return any(ipaddress.IPv4Network(cidr).overlaps(other) for cidr in ipv4_cidrs(left) for other in others)


def contains(cidr: str, ip: str) -> bool:
    return ipaddress.IPv4Address(ip) in ipaddress.IPv4Network(cidr)


def without_host_mask(cidr: str) -> str:
    """`10.1.2.3/32` as `10.1.2.3`: iproute2 and ipset print single hosts without a mask, iptables prints it."""
    return cidr.removesuffix("/32")

"""What a process finds out about its own node, the ways Submariner does."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Final

_SIOCGIFADDR: Final = 0x8915
"""linux/sockios.h: an interface's first IPv4 address."""


def private_ip() -> str:
    """The source address the kernel picks towards 8.8.8.8; nothing is sent (submariner:pkg/endpoint/local_ip.go).
    OSError without a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("8.8.8.8", 53))
        address: str = probe.getsockname()[0]
        return address


def cni_ip(pod_cidrs: Iterable[str]) -> str | None:
    """The first interface address inside a pod CIDR, in the order of CIDRs and then of interface indexes
    (submariner:pkg/cni/cni_iface.go)."""
    addresses = [ip for _, ip in interface_addresses()]
    for cidr in pod_cidrs:
        network = ipaddress.ip_network(cidr)
        for ip in addresses:
            if ipaddress.ip_address(ip) in network:
                return ip
    return None


def interface_addresses() -> Iterator[tuple[str, str]]:
    """(name, first IPv4 address) of every interface that has one, by index."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in sorted(socket.if_nameindex()):
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # no IPv4 address
            yield name, socket.inet_ntoa(answer[20:24])

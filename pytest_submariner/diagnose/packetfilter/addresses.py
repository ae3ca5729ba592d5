"""Sets of IPv4 addresses as rules write them, and what a node's rules ask of addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from pytest_submariner.diagnose.packetfilter.packet import Answer
from pytest_submariner.model.filters import IpSet

ONE_ADDRESS = frozenset({"hash:ip", "hash:net", "bitmap:ip"})
"""Types of ipsets whose members are addresses or networks alone; the others also ask for ports, marks or devices."""


@lru_cache(maxsize=65536)
def number(ip: str) -> int:
    """ValueError when it is no IPv4 address."""
    try:
        return int(IPv4Address(ip))
    except AddressValueError as error:
        raise ValueError(str(error)) from error


@lru_cache(maxsize=65536)
def span(text: str) -> tuple[int, int] | None:
    """First and last address of `10.8.0.0/16`, `10.8.0.0/255.255.0.0`, `10.8.0.1` or `10.8.0.1-10.8.0.9`; None for what is none of
    these (IPv6, a set's name)."""
    try:
        if "-" in text:
            first, last = text.split("-", 1)
            return number(first), number(last)
        network = IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        return None
    return int(network.network_address), int(network.broadcast_address)


def within(ip: str, text: str) -> Answer:
    found = span(text)
    if found is None:
        return Answer.NO if ":" in text else Answer.MAY
    try:
        return Answer.of(found[0] <= number(ip) <= found[1])
    except ValueError:
        return Answer.MAY


@dataclass(frozen=True)
class Known:
    """What matches need to know of the node: its ipsets by name, and its own addresses (None: not read)."""

    sets: Mapping[str, IpSet] = field(default_factory=dict, hash=False)
    own_ips: frozenset[str] | None = None

    def is_member(self, name: str, ip: str) -> Answer:
        found = self.sets.get(name)
        if found is None or found.type not in ONE_ADDRESS:
            return Answer.MAY
        return Answer.of(any(within(ip, member) is Answer.YES for member in found.members))

    def is_local(self, ip: str) -> Answer:
        if self.own_ips is None:
            return Answer.MAY
        return Answer.of(ip in self.own_ips or ip.startswith("127."))

    def members(self) -> Iterable[str]:
        return (member for found in self.sets.values() for member in found.members)

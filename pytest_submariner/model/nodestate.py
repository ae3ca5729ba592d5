"""Network state of a node, as plain data: what the model computes, what the lab applies and what readers find on a node.

Values that differ on every boot (MACs, interface indexes, counters, handles) are left out or do not take part in comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Link:
    """A network device. The vxlan fields are None for every other kind (`ip -d -j link`)."""

    name: str
    kind: str
    mtu: int
    up: bool = True
    vni: int | None = None
    port: int | None = None
    remote: str | None = None
    learning: bool | None = None


@dataclass(frozen=True, order=True)
class Address:
    """An IPv4 address on a device."""

    device: str
    ip: str
    prefix_length: int


@dataclass(frozen=True, order=True)
class FdbEntry:
    """A forwarding entry of a VXLAN device: frames for `mac` go to the VTEP `dst`."""

    device: str
    mac: str
    dst: str
    state: str = "permanent"


@dataclass(frozen=True, order=True)
class Neighbour:
    """An entry of the neighbour table; `state` as `ip neigh` spells it (REACHABLE, FAILED, …)."""

    device: str
    ip: str
    mac: str | None
    state: str


@dataclass(frozen=True, order=True)
class Route:
    """An IPv4 unicast route. `table` is the number as text or a name (main, local); `protocol` as iproute2 spells it (boot, static)."""

    destination: str
    device: str
    table: str = "main"
    gateway: str | None = None
    source: str | None = None
    metric: int = 0
    protocol: str = "boot"
    scope: str = "global"


@dataclass(frozen=True, order=True)
class Rule:
    """A policy routing rule (`ip rule`)."""

    priority: int
    table: str
    source: str = "all"
    destination: str = "all"


@dataclass(frozen=True)
class PacketFilterRule:
    """A rule of iptables-save: `text` is all after `-A CHAIN `. Counters are None where they were not read and never compared."""

    table: str
    chain: str
    text: str
    packets: int | None = field(default=None, compare=False)
    octets: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class PacketFilter:
    """The rules of one backend (`legacy` or `nft`) in order, and chain policies by (table, chain); a user chain's policy is `-`."""

    rules: tuple[PacketFilterRule, ...]
    policies: dict[tuple[str, str], str] = field(default_factory=dict)
    backend: str = "nft"

    def chain(self, table: str, chain: str) -> tuple[PacketFilterRule, ...]:
        """Rules of a chain in order; empty when the chain is absent."""
        return tuple(r for r in self.rules if (r.table, r.chain) == (table, chain))


@dataclass(frozen=True)
class IpSet:
    """An ipset and its members."""

    name: str
    type: str
    members: frozenset[str]


@dataclass(frozen=True)
class NodeState:
    """Everything read from, or meant for, one node. A None part could not be read: the reason is in `unread`."""

    node: str
    links: tuple[Link, ...] | None = ()
    addresses: tuple[Address, ...] | None = ()
    fdb: tuple[FdbEntry, ...] | None = ()
    neighbours: tuple[Neighbour, ...] | None = ()
    routes: tuple[Route, ...] | None = ()
    rules: tuple[Rule, ...] | None = ()
    packet_filters: tuple[PacketFilter, ...] | None = ()
    ipsets: tuple[IpSet, ...] | None = ()
    sysctls: dict[str, str] | None = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

"""Network state of a node, as plain data: what the model computes, what the lab applies and what readers find on a node.

Values that differ on every boot (MACs, interface indexes, counters, handles) are left out or do not take part in comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pytest_submariner.model.codec import from_data, to_data
from pytest_submariner.model.filters import IpSet, NftChain, NftRule, NftTable, PacketFilter, PacketFilterRule
from pytest_submariner.model.tunnels import WireGuardDevice, WireGuardPeer, XfrmPolicy, XfrmState, XfrmTemplate

__all__ = [
    "Address",
    "FdbEntry",
    "IpSet",
    "Link",
    "LinkStats",
    "Neighbour",
    "NftChain",
    "NftRule",
    "NftTable",
    "NodeState",
    "PacketFilter",
    "PacketFilterRule",
    "Qdisc",
    "Route",
    "Rule",
    "Socket",
    "Unanswered",
    "WireGuardDevice",
    "WireGuardPeer",
    "XfrmPolicy",
    "XfrmState",
    "XfrmTemplate",
]


@dataclass(frozen=True)
class LinkStats:
    """What a device counted since it was made (`ip -s link`)."""

    rx_packets: int = 0
    tx_packets: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0
    rx_errors: int = 0
    tx_errors: int = 0


@dataclass(frozen=True, order=True)
class Link:
    """A network device (`ip -d -s link`). `vni`, `port`, `remote`, `local` and `learning` are of VXLAN devices, None for every
    other kind; `master` is the bridge or bond it is part of."""

    name: str
    kind: str
    mtu: int
    up: bool = True
    vni: int | None = None
    port: int | None = None
    remote: str | None = None
    learning: bool | None = None
    mac: str = field(default="", compare=False)
    index: int = field(default=0, compare=False)
    master: str | None = field(default=None, compare=False)
    local: str | None = field(default=None, compare=False)
    gso_max_segments: int | None = field(default=None, compare=False)
    stats: LinkStats | None = field(default=None, compare=False)


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
    """An IPv4 route. `table` is the number as text or a name (main, local); `protocol` as iproute2 spells it (boot, static).

    `kind` is unicast, or what refuses packets: blackhole, unreachable, prohibit, throw; those have no device (empty).
    """

    destination: str
    device: str
    table: str = "main"
    gateway: str | None = None
    source: str | None = None
    metric: int = 0
    protocol: str = "boot"
    scope: str = "global"
    kind: str = "unicast"


@dataclass(frozen=True, order=True)
class Rule:
    """A policy routing rule (`ip rule`). `selector` is what else it asks for, in iproute2's words (`fwmark 0x200`, `iif eth0`).
    `action` is "" when it leads to a table, else what it does with packets: blackhole, unreachable, prohibit; then `table` is ""."""

    priority: int
    table: str
    source: str = "all"
    destination: str = "all"
    selector: str = ""
    action: str = ""


@dataclass(frozen=True)
class Socket:
    """A listening TCP or bound UDP socket. `process` is the program's name, empty when none is seen.

    `kernel`: no process holds it. That is how the kernel's own sockets look (VXLAN, WireGuard), and also those of processes
    in a PID namespace the reader cannot see into.
    """

    protocol: str
    ip: str
    port: int
    process: str = ""
    kernel: bool = False


@dataclass(frozen=True)
class Qdisc:
    """A queueing discipline (`tc -s qdisc`). `text` is its options as JSON prints them; `dropped` and `overlimits` in packets."""

    device: str
    kind: str
    text: str = ""
    dropped: int = field(default=0, compare=False)
    overlimits: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Unanswered:
    """A tracked connection whose packets nobody answered yet. An answer would have to come to `answers_to`: the source, or what it was
    translated to when the connection began. `left_s`: seconds until it is forgotten, unless another packet comes."""

    protocol: str
    source: str
    destination: str
    source_port: int | None
    destination_port: int | None
    answers_to: str
    left_s: int = field(default=0, compare=False)


@dataclass(frozen=True)
class NodeState:
    """Everything read from, or meant for, one node. A None part could not be read: the reason is in `unread`.

    `counters` are the kernel's by nstat's names (`IpInAddrErrors`, `TcpExtIPReversePathFilter`); `conntrack_stats` has `count` and
    `max` (entries) and sums over all processors (`drop`, `early_drop`, `insert_failed`, `invalid`, …); `unanswered` are
    connections with a 240.x or 241.x address, at most 200; `clock_s` is the node's clock in Unix seconds when it was read. The parts
    from `hostname` on are never part of an expected state.
    """

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
    hostname: str | None = None
    clock_s: float | None = None
    counters: dict[str, int] | None = None
    sockets: tuple[Socket, ...] | None = None
    qdiscs: tuple[Qdisc, ...] | None = None
    native_tables: tuple[NftTable, ...] | None = None
    xfrm_states: tuple[XfrmState, ...] | None = None
    xfrm_policies: tuple[XfrmPolicy, ...] | None = None
    wireguard: tuple[WireGuardDevice, ...] | None = None
    conntrack_stats: dict[str, int] | None = None
    unanswered: tuple[Unanswered, ...] | None = None
    unread: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold."""
        data: dict[str, Any] = to_data(self)
        return data

    @classmethod
    def from_dict(cls, data: object) -> NodeState:
        """What `to_dict` made, also of another version: absent parts were not read (None), unknown ones are left out.

        ValueError names the place that is not as it should be.
        """
        if isinstance(data, dict):
            parts = (part.name for part in fields(cls) if part.name not in ("node", "unread"))
            data = {**dict.fromkeys(parts), **data}
        return from_data(cls, data)

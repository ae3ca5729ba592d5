"""Packets as small records; what is inside VXLAN (RFC 7348), and what an ICMP error quotes, as well."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field, replace

ETH_IPV4, ETH_ARP, ETH_VLAN = 0x0800, 0x0806, 0x8100
PROTOCOLS = {1: "icmp", 4: "ipip", 6: "tcp", 17: "udp", 50: "esp"}
_MAX_DEPTH = 2
_ICMP_ERRORS = frozenset({3, 5, 11, 12})
_SYN, _ACK = 2, 16
_TCP_LETTERS = ((2, "S"), (1, "F"), (8, "P"), (4, "R"), (16, "."))
"""As tcpdump writes them."""
_ERRORS = {
    (3, 0): "net unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "net prohibited",
    (3, 10): "host prohibited",
    (3, 13): "administratively prohibited",
    (5, 0): "redirect for the net",
    (5, 1): "redirect for the host",
    (11, 0): "time exceeded",
}
"""RFC 792, RFC 1812 5.2.7.1, by type and code."""


@dataclass(frozen=True)
class Packet:
    """One packet as it passed a device. `time_s` is seconds since 1970; `direction` is in, out, or None where the
    capture cannot tell; fields that a protocol lacks are None. `payload` is what follows the transport header, as far
    as it was captured.

    `length`: of the whole IP packet, in bytes, which may be more than was captured, and more than an MTU where the
    kernel segments later. `for_other`: an incoming frame for another device's MAC; the kernel drops it unless the device
    is part of a bridge. `mac` is that of the sender for ARP, and of the frame's destination for what is inside VXLAN.
    """

    time_s: float
    device: str
    direction: str | None
    protocol: str
    source: str
    destination: str
    ttl: int | None = None
    icmp_type: int | None = None
    icmp_id: int | None = None
    icmp_sequence: int | None = None
    source_port: int | None = None
    destination_port: int | None = None
    payload: bytes = field(default=b"", repr=False)
    vni: int | None = None
    inner: Packet | None = None
    """The packet inside, when this one is VXLAN."""
    icmp_code: int | None = field(default=None, compare=False)
    tcp_flags: int | None = field(default=None, compare=False)
    tcp_sequence: int | None = field(default=None, compare=False)
    length: int = field(default=0, compare=False)
    for_other: bool = field(default=False, compare=False)
    mac: str = field(default="", compare=False)
    arp_operation: int | None = field(default=None, compare=False)
    """1 for who-has, 2 for the answer."""
    quoted: Packet | None = field(default=None, compare=False)
    """The packet an ICMP error is about, as far as it quotes it."""

    @property
    def is_echo_request(self) -> bool:
        return self.protocol == "icmp" and self.icmp_type == 8

    @property
    def is_echo_reply(self) -> bool:
        return self.protocol == "icmp" and self.icmp_type == 0

    @property
    def is_syn(self) -> bool:
        """The first packet of a TCP connection, or its answer."""
        return self.tcp_flags is not None and bool(self.tcp_flags & _SYN)

    @property
    def is_answer(self) -> bool:
        """Of TCP: it acknowledges something, as all but the first packet of a connection do."""
        return self.tcp_flags is not None and bool(self.tcp_flags & _ACK)

    @property
    def is_icmp_error(self) -> bool:
        return self.quoted is not None

    def __str__(self) -> str:
        if self.protocol == "arp":
            return f"{self.device}{f' {self.direction}' if self.direction else ''}: {self._arp_words}"
        port = f":{self.source_port}" if self.source_port is not None else ""
        to = f":{self.destination_port}" if self.destination_port is not None else ""
        detail = f" {self._icmp_words}" if self.protocol == "icmp" else ""
        if self.tcp_flags is not None:
            detail = f" [{''.join(letter for bit, letter in _TCP_LETTERS if self.tcp_flags & bit)}]"
        inside = f" [VNI {self.vni}: {self.inner}]" if self.inner else ""
        way = f" {self.direction}" if self.direction else ""
        return f"{self.device}{way}: {self.protocol} {self.source}{port} > {self.destination}{to}{detail}{inside}"

    @property
    def _icmp_words(self) -> str:
        if self.quoted is not None:
            error = (self.icmp_type or 0, self.icmp_code or 0)
            words = _ERRORS.get(error, f"error {error[0]}/{error[1]}")
            about = self.quoted
            port = f" port {about.destination_port}" if about.destination_port is not None else ""
            return f"{words}, about {about.protocol} {about.source} > {about.destination}{port}"
        kind = {8: "echo request", 0: "echo reply"}.get(self.icmp_type or 0, f"type {self.icmp_type}")
        return f"{kind} seq {self.icmp_sequence}"

    @property
    def _arp_words(self) -> str:
        if self.arp_operation == 2:
            return f"arp {self.source} is at {self.mac}"
        return f"arp who has {self.destination}, tell {self.source}"


def decode(
    ether_type: int, body: bytes, time_s: float, device: str, direction: str | None, *, for_other: bool = False
) -> Packet | None:
    """The IPv4 or ARP packet that is a frame's body; None for everything else."""
    if ether_type == ETH_ARP:
        found = _arp(body, time_s, device, direction)
    else:
        found = _ipv4(body, time_s, device, direction) if ether_type == ETH_IPV4 else None
    return replace(found, for_other=True) if found is not None and for_other else found


def ether_type(frame: bytes) -> tuple[int, int]:
    """The type of an Ethernet frame behind any VLAN tags, and where its payload begins."""
    offset = 12
    while int.from_bytes(frame[offset : offset + 2]) == ETH_VLAN:
        offset += 4
    return int.from_bytes(frame[offset : offset + 2]), offset + 2


def _arp(body: bytes, time_s: float, device: str, direction: str | None) -> Packet | None:
    """RFC 826; sender and target addresses are source and destination."""
    if len(body) < 28:
        return None
    ends = (_ip(body[14:18]), _ip(body[24:28]))
    return Packet(
        time_s, device, direction, "arp", *ends, mac=body[8:14].hex(":"), arp_operation=int.from_bytes(body[6:8])
    )


def _ipv4(body: bytes, time_s: float, device: str, direction: str | None, depth: int = 0) -> Packet | None:
    if len(body) < 20 or body[0] >> 4 != 4:
        return None
    header = (body[0] & 15) * 4
    length = int.from_bytes(body[2:4])
    number, rest = body[9], body[header : length or None]
    protocol = PROTOCOLS.get(number, str(number))
    base = (time_s, device, direction, protocol, _ip(body[12:16]), _ip(body[16:20]), body[8])
    if int.from_bytes(body[6:8]) & 0x1FFF:  # a later fragment has no transport header
        return Packet(*base, payload=rest, length=length)
    if protocol == "icmp" and len(rest) >= 8:
        about = _ipv4(rest[8:], time_s, device, direction, _MAX_DEPTH) if rest[0] in _ICMP_ERRORS else None
        return Packet(
            *base,
            icmp_type=rest[0],
            icmp_id=int.from_bytes(rest[4:6]),
            icmp_sequence=int.from_bytes(rest[6:8]),
            payload=rest[8:],
            icmp_code=rest[1],
            length=length,
            quoted=about,
        )
    if protocol in {"tcp", "udp"} and len(rest) >= 8:
        source, destination = struct.unpack_from(">HH", rest)
        start = 8 if protocol == "udp" else (rest[12] >> 4) * 4 if len(rest) > 12 else len(rest)
        payload = rest[start:]
        vni, inner = None, None
        if protocol == "udp" and depth < _MAX_DEPTH:
            vni, inner = _vxlan(payload, time_s, device, direction, depth)
        has_flags = protocol == "tcp" and len(rest) >= 14
        return Packet(
            *base,
            source_port=source,
            destination_port=destination,
            payload=payload,
            vni=vni,
            inner=inner,
            tcp_flags=rest[13] if has_flags else None,
            tcp_sequence=int.from_bytes(rest[4:8]) if has_flags else None,
            length=length,
        )
    return Packet(*base, payload=rest, length=length)


def _vxlan(
    body: bytes, time_s: float, device: str, direction: str | None, depth: int
) -> tuple[int | None, Packet | None]:
    """RFC 7348 section 5: flags with only the I bit, 24 reserved bits, VNI, 8 reserved bits. Judged by that and by what is inside
    rather than by the port, which anybody may choose, and which a cable shares with ESP and IKE (4500)."""
    if len(body) < 22 or body[0] != 0x08 or any(body[1:4]) or body[7]:
        return None, None
    frame = body[8:]
    kind, offset = ether_type(frame)
    if kind == ETH_ARP:
        inner = _arp(frame[offset:], time_s, device, direction)
    else:
        inner = _ipv4(frame[offset:], time_s, device, direction, depth + 1) if kind == ETH_IPV4 else None
    if inner is not None and inner.protocol != "arp":
        inner = replace(inner, mac=frame[:6].hex(":"))
    return (int.from_bytes(body[4:7]), inner) if inner is not None else (None, None)


def _ip(octets: bytes) -> str:
    return str(ipaddress.IPv4Address(octets))

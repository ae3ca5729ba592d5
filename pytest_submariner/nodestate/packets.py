"""Packets as small records, from a pcap file; what is inside VXLAN as well.

Formats: pcap (draft-ietf-opsawg-pcap), Ethernet (1), raw IP (12, 101), Linux cooked v1 (113) and v2 (276), VXLAN (RFC
7348).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

ETHERNET, LINUX_SLL, LINUX_SLL2 = 1, 113, 276
RAW_IP = frozenset({12, 14, 101, 228})
ETH_IPV4, ETH_ARP, ETH_VLAN = 0x0800, 0x0806, 0x8100
VXLAN_PORTS = frozenset({4800, 4500, 4789, 8472})
"""vx-submariner, the vxlan cable, IANA's port, the kernel's old default (flannel)."""
PROTOCOLS = {1: "icmp", 4: "ipip", 6: "tcp", 17: "udp", 50: "esp"}
_OUTGOING = 4  # linux/if_packet.h
_MAX_DEPTH = 2


@dataclass(frozen=True)
class Packet:
    """One packet as it passed a device. `time_s` is seconds since 1970; `direction` is in, out, or None where the
    capture cannot tell; fields that a protocol lacks are None. `payload` is what follows the transport header, as far
    as it was captured.
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

    @property
    def is_echo_request(self) -> bool:
        return self.protocol == "icmp" and self.icmp_type == 8

    @property
    def is_echo_reply(self) -> bool:
        return self.protocol == "icmp" and self.icmp_type == 0

    def __str__(self) -> str:
        port = f":{self.source_port}" if self.source_port is not None else ""
        to = f":{self.destination_port}" if self.destination_port is not None else ""
        kind = {8: "echo request", 0: "echo reply"}.get(self.icmp_type or 0, "") if self.protocol == "icmp" else ""
        detail = f" {kind or f'type {self.icmp_type}'} seq {self.icmp_sequence}" if self.protocol == "icmp" else ""
        inside = f" [VNI {self.vni}: {self.inner}]" if self.inner else ""
        way = f" {self.direction}" if self.direction else ""
        return f"{self.device}{way}: {self.protocol} {self.source}{port} > {self.destination}{to}{detail}{inside}"


def read_pcap(
    data: bytes, device: str, *, devices: Mapping[int, str] | None = None, own_mac: str | None = None
) -> tuple[Packet, ...]:
    """The IPv4 and ARP packets of a pcap file, which may end in the middle of a packet.

    `devices` names interface indexes where the capture has them; `own_mac` is the captured device's address: frames
    that carry it as their source are outgoing. ValueError when `data` is no pcap file.
    """
    if len(data) < 24:
        raise ValueError(f"{len(data)} bytes are no pcap file")
    order, ticks = _byte_order(data[:4])
    (link_type,) = struct.unpack_from(f"{order}I", data, 20)
    mac = bytes.fromhex(own_mac.replace(":", "")) if own_mac else None
    found = []
    for time_s, frame in _records(data, order, ticks):
        packet = _frame(frame, link_type & 0xFFFF, time_s, device, devices or {}, mac)
        if packet is not None:
            found.append(packet)
    return tuple(found)


def _byte_order(magic: bytes) -> tuple[str, float]:
    orders = {
        b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
        b"\xa1\xb2\xc3\xd4": (">", 1e-6),
        b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
        b"\xa1\xb2\x3c\x4d": (">", 1e-9),
    }
    if magic not in orders:
        raise ValueError(f"no pcap file: it begins with {magic.hex()}")
    return orders[magic]


def _records(data: bytes, order: str, ticks: float) -> Iterator[tuple[float, bytes]]:
    offset = 24
    while offset + 16 <= len(data):
        seconds, fraction, kept, _ = struct.unpack_from(f"{order}4I", data, offset)
        offset += 16
        if offset + kept > len(data):
            return  # the writer was stopped in the middle of this one
        yield seconds + fraction * ticks, data[offset : offset + kept]
        offset += kept


def _frame(
    frame: bytes, link_type: int, time_s: float, device: str, devices: Mapping[int, str], mac: bytes | None
) -> Packet | None:
    direction: str | None = None
    if link_type == ETHERNET and len(frame) >= 14:
        direction = None if mac is None else "out" if frame[6:12] == mac else "in"
        ether_type, offset = _ether_type(frame)
    elif link_type == LINUX_SLL and len(frame) >= 16:
        kind, ether_type, offset = frame[1], int.from_bytes(frame[14:16]), 16
        direction = "out" if kind == _OUTGOING else "in"
    elif link_type == LINUX_SLL2 and len(frame) >= 20:
        ether_type, index, kind, offset = int.from_bytes(frame[:2]), int.from_bytes(frame[4:8]), frame[10], 20
        direction = "out" if kind == _OUTGOING else "in"
        device = devices.get(index, device)
    elif link_type in RAW_IP:
        ether_type, offset = ETH_IPV4, 0
    else:
        return None
    body = frame[offset:]
    if ether_type == ETH_ARP:
        return _arp(body, time_s, device, direction)
    return _ipv4(body, time_s, device, direction) if ether_type == ETH_IPV4 else None


def _ether_type(frame: bytes) -> tuple[int, int]:
    """The type behind any VLAN tags, and where its payload begins."""
    offset = 12
    while int.from_bytes(frame[offset : offset + 2]) == ETH_VLAN:
        offset += 4
    return int.from_bytes(frame[offset : offset + 2]), offset + 2


def _arp(body: bytes, time_s: float, device: str, direction: str | None) -> Packet | None:
    """RFC 826; `icmp_type` stays None, sender and target addresses are source and destination."""
    if len(body) < 28:
        return None
    return Packet(time_s, device, direction, "arp", _ip(body[14:18]), _ip(body[24:28]))


def _ipv4(body: bytes, time_s: float, device: str, direction: str | None, depth: int = 0) -> Packet | None:
    if len(body) < 20 or body[0] >> 4 != 4:
        return None
    header = (body[0] & 15) * 4
    number, rest = body[9], body[header : int.from_bytes(body[2:4]) or None]
    protocol = PROTOCOLS.get(number, str(number))
    base = (time_s, device, direction, protocol, _ip(body[12:16]), _ip(body[16:20]), body[8])
    if int.from_bytes(body[6:8]) & 0x1FFF:  # a later fragment has no transport header
        return Packet(*base, payload=rest)
    if protocol == "icmp" and len(rest) >= 8:
        return Packet(
            *base,
            icmp_type=rest[0],
            icmp_id=int.from_bytes(rest[4:6]),
            icmp_sequence=int.from_bytes(rest[6:8]),
            payload=rest[8:],
        )
    if protocol in {"tcp", "udp"} and len(rest) >= 8:
        source, destination = struct.unpack_from(">HH", rest)
        start = 8 if protocol == "udp" else (rest[12] >> 4) * 4 if len(rest) > 12 else len(rest)
        payload = rest[start:]
        vni, inner = None, None
        if protocol == "udp" and destination in VXLAN_PORTS and depth < _MAX_DEPTH:
            vni, inner = _vxlan(payload, time_s, device, direction, depth)
        return Packet(*base, source_port=source, destination_port=destination, payload=payload, vni=vni, inner=inner)
    return Packet(*base, payload=rest)


def _vxlan(
    body: bytes, time_s: float, device: str, direction: str | None, depth: int
) -> tuple[int | None, Packet | None]:
    """RFC 7348 section 5: flags with only the I bit, 24 reserved bits, VNI, 8 reserved bits. ESP and IKE share port
    4500."""
    if len(body) < 22 or body[0] != 0x08 or any(body[1:4]) or body[7]:
        return None, None
    frame = body[8:]
    ether_type, offset = _ether_type(frame)
    if ether_type == ETH_ARP:
        inner = _arp(frame[offset:], time_s, device, direction)
    else:
        inner = _ipv4(frame[offset:], time_s, device, direction, depth + 1) if ether_type == ETH_IPV4 else None
    return int.from_bytes(body[4:7]), inner


def _ip(octets: bytes) -> str:
    return str(ipaddress.IPv4Address(octets))

"""Packets of a capture file.

Formats: pcap (draft-ietf-opsawg-pcap), Ethernet (1), raw IP (12, 101), Linux cooked v1 (113) and v2 (276).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from pytest_submariner.nodestate.packets import ETH_IPV4, Packet, decode, ether_type

ETHERNET, LINUX_SLL, LINUX_SLL2 = 1, 113, 276
RAW_IP = frozenset({12, 14, 101, 228})
_OTHER_HOST, _OUTGOING = 3, 4  # linux/if_packet.h


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
    kind = 0
    if link_type == ETHERNET and len(frame) >= 14:
        direction = None if mac is None else "out" if frame[6:12] == mac else "in"
        carried, offset = ether_type(frame)
    elif link_type == LINUX_SLL and len(frame) >= 16:
        kind, carried, offset = frame[1], int.from_bytes(frame[14:16]), 16
        direction = "out" if kind == _OUTGOING else "in"
    elif link_type == LINUX_SLL2 and len(frame) >= 20:
        carried, index, kind, offset = int.from_bytes(frame[:2]), int.from_bytes(frame[4:8]), frame[10], 20
        direction = "out" if kind == _OUTGOING else "in"
        device = devices.get(index, device)
    elif link_type in RAW_IP:
        carried, offset = ETH_IPV4, 0
    else:
        return None
    return decode(carried, frame[offset:], time_s, device, direction, for_other=kind == _OTHER_HOST)

"""ICMP echo on one socket: raw where allowed, else the kernel's ping socket."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

_ECHO_REQUEST: Final = 8
_ECHO_REPLY: Final = 0
_PAYLOAD: Final = 56
"""Bytes after the ICMP header, as ping sends."""


class IcmpSocket:
    """Sends echo requests and recognises its own replies by a cookie in the payload, whatever NAT did to the
    identifier."""

    def __init__(self) -> None:
        """OSError when this process may open neither kind of socket."""
        self._cookie = os.urandom(8)
        self._identifier = int.from_bytes(self._cookie[:2])
        try:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMP)
            self._is_raw = True
        except PermissionError:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMP)
            self._is_raw = False
        self.socket.setblocking(False)

    def send(self, ip: str, sequence: int) -> None:
        """One request; an address without a route counts as a lost one."""
        payload = (self._cookie + struct.pack("!I", sequence)).ljust(_PAYLOAD, b"\0")
        header = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, self._identifier, sequence & 0xFFFF)
        packet = header[:2] + struct.pack("!H", checksum(header + payload)) + header[4:] + payload
        try:
            self.socket.sendto(packet, (ip, 0))
        except OSError:
            return

    def receive(self) -> tuple[str, int] | None:
        """(source, sequence) of the next own reply in the queue; None when the queue is empty."""
        while True:
            try:
                packet, (source, _) = self.socket.recvfrom(2048)
            except BlockingIOError:
                return None
            except OSError:
                continue  # an ICMP error queued for this socket
            sequence = self._sequence_of(packet)
            if sequence is not None:
                return source, sequence

    def _sequence_of(self, packet: bytes) -> int | None:
        if self._is_raw:
            packet = packet[(packet[0] & 0x0F) * 4 :]  # raw sockets deliver the IP header too
        if len(packet) < 20 or packet[0] != _ECHO_REPLY or packet[8:16] != self._cookie:
            return None
        return int.from_bytes(packet[16:20])


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

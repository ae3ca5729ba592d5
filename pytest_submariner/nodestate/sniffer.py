"""Capture without tcpdump: one self-contained file for the node's python3 (3.6 or newer), standard library only.

Arguments: device (or `any`), packets, bytes to keep of each, and what is wanted, `name=value,value;name=…`: any of
`protocol` (number), `address`, `port`, which must all hold; or the lists of a Selection, of which one must. Empty: everything.
Writes a pcap file of Linux cooked v2 frames to stdout, and to stderr `listening on DEVICE` once the kernel queues packets
for us, and at the end how many were captured, and dropped by the kernel, in tcpdump's words.
"""

import signal
import socket
import struct
import sys
import time

ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 3, 0x0800, 0x0806
SOL_PACKET, PACKET_STATISTICS = 263, 6  # linux/socket.h, linux/if_packet.h
BUFFER = 2 << 20  # as libpcap's
ICMP, TCP, UDP = 1, 6, 17
ECHOES, ERRORS = (0, 8), (3, 5, 11)
VXLAN = 16  # bytes from the UDP header to the frame inside


class Wanted:
    def __init__(self, words: str) -> None:
        given = dict(part.split("=", 1) for part in words.split(";") if part)
        lists = {name: [value for value in text.split(",") if value] for name, text in given.items()}
        self.all = not any(lists.values())
        self.protocol = int(next(iter(lists.get("protocol", [])), 0))
        self.one = {socket.inet_aton(address) for address in lists.get("address", [])}
        self.port = int(next(iter(lists.get("port", [])), 0))
        self.addresses = {socket.inet_aton(address) for address in lists.get("addresses", [])}
        self.hosts = {socket.inet_aton(address) for address in lists.get("hosts", [])}
        self.ports = {int(port) for port in lists.get("ports", [])}
        self.tunnels = {int(port) for port in lists.get("tunnels", [])}
        self.vteps = {int(octet) for octet in lists.get("vteps", [])}

    def takes(self, ether_type: int, body: bytes) -> bool:
        if self.all:
            return True
        if ether_type == ETH_P_ARP:
            return len(body) >= 28 and self._arp(body)
        if ether_type != ETH_P_IP or len(body) < 20:
            return False
        if self.protocol or self.one or self.port:
            return self._simple(body)
        return self._ip(body)

    def _simple(self, body: bytes) -> bool:
        if self.protocol and body[9] != self.protocol:
            return False
        if self.one and not self.one & {body[12:16], body[16:20]}:
            return False
        return not self.port or self.port in ports(body)

    def _arp(self, body: bytes) -> bool:
        ends = {body[14:18], body[24:28]}
        return bool(ends & self.addresses) or bool({end[0] for end in ends} & self.vteps)

    def _ip(self, body: bytes) -> bool:
        ends, protocol, rest = {body[12:16], body[16:20]}, body[9], body[(body[0] & 15) * 4 :]
        if ends & self.addresses:
            return True
        if int.from_bytes(body[6:8], "big") & 0x1FFF or len(rest) < 8:
            return False
        if protocol == ICMP and rest[0] in ERRORS:
            return self._quoted(rest[8:])
        if ends & self.hosts and ((protocol == ICMP and rest[0] in ECHOES) or self.ports.intersection(ports(body))):
            return True
        return protocol == UDP and ports(body)[1] in self.tunnels and self._frame(rest[VXLAN:])

    def _frame(self, frame: bytes) -> bool:
        inner = frame[14:]
        if frame[12:14] == b"\x08\x06" and len(inner) >= 28:
            return bool({inner[14], inner[24]} & self.vteps)
        return len(inner) >= 20 and bool({inner[12:16], inner[16:20]} & (self.addresses | self.hosts))

    def _quoted(self, about: bytes) -> bool:
        if len(about) < 24:
            return False
        return bool({about[12:16], about[16:20]} & self.addresses) or ports(about)[1] in self.tunnels | self.ports


def ports(body: bytes) -> "tuple[int, int]":
    """Source and destination, of a packet that has them; 0 where it does not."""
    if body[9] not in (TCP, UDP):
        return 0, 0
    start = (body[0] & 15) * 4
    source, destination = struct.unpack(">HH", body[start : start + 4].ljust(4, b"\0"))
    return source, destination


def stop(*_: object) -> None:
    raise SystemExit(0)


def main(device: str, limit: int, keep: int, words: str) -> None:
    wanted = Wanted(words)
    # With a protocol a socket gets the packets of all devices at once, without one those of the device it is bound to.
    protocol = socket.htons(ETH_P_ALL) if device == "any" else 0
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    if device != "any":
        sock.bind((device, ETH_P_ALL))
    signal.signal(signal.SIGTERM, stop)
    out = sys.stdout.buffer
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 276))
    out.flush()
    sys.stderr.write(f"listening on {device}\n")
    sys.stderr.flush()
    written = 0
    try:
        while written < limit:
            packet, (name, ether_type, kind, hardware, mac) = sock.recvfrom(65535)
            if not wanted.takes(ether_type, packet):
                continue
            now = time.time()
            index = socket.if_nametoindex(name)
            head = struct.pack(">HHIHBB8s", ether_type, 0, index, hardware, kind, len(mac), mac[:8])
            body = head + packet[:keep]
            out.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(body), len(head) + len(packet)) + body)
            out.flush()
            written += 1
    finally:
        _, dropped = struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        sys.stderr.write(f"{written} packets captured\n{dropped} packets dropped by kernel\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

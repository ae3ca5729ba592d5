"""Capture without tcpdump: one self-contained file for the node's python3 (3.6 or newer), standard library only.

Arguments: device (or `any`), packets, protocol number (0: all), address and port (`-` and 0: all). Writes a pcap file
of Linux cooked v2 frames to stdout, and `listening on DEVICE` to stderr once the kernel queues packets for us.
"""

import socket
import struct
import sys
import time

ETH_P_ALL, ETH_P_IP = 3, 0x0800


def matches(packet: bytes, protocol: int, address: bytes, port: int) -> bool:
    if not (protocol or address or port):
        return True
    if len(packet) < 20 or (protocol and packet[9] != protocol):
        return False
    if address and address not in (packet[12:16], packet[16:20]):
        return False
    start = (packet[0] & 15) * 4
    return not port or port in struct.unpack(">HH", packet[start : start + 4].ljust(4, b"\0"))


def main(device: str, limit: int, protocol: int, address: bytes, port: int) -> None:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)  # nothing is queued before bind
    sock.bind(("" if device == "any" else device, ETH_P_ALL))
    out = sys.stdout.buffer
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 276))
    out.flush()
    sys.stderr.write(f"listening on {device}\n")
    sys.stderr.flush()
    written = 0
    while written < limit:
        packet, (name, ether_type, kind, hardware, mac) = sock.recvfrom(65535)
        if ((protocol or address or port) and ether_type != ETH_P_IP) or not matches(packet, protocol, address, port):
            continue
        now = time.time()
        head = struct.pack(">HHIHBB8s", ether_type, 0, socket.if_nametoindex(name), hardware, kind, len(mac), mac[:8])
        body = head + packet[:512]
        out.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(body), len(head) + len(packet)) + body)
        out.flush()
        written += 1


if __name__ == "__main__":
    where = b"" if sys.argv[4] == "-" else socket.inet_aton(sys.argv[4])
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), where, int(sys.argv[5]))

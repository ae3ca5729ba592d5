"""Who answers for an address on the node's network: an ARP request, and every answer to it, not the first one only.

The neighbour table keeps the answer that came first. By python3 (a raw socket), else by arping of iputils; asking changes
nothing on the node."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_submariner.nodestate.section import Unreadable
from pytest_submariner.transport.node import NodeExec

_PROGRAM = """
import socket, struct, sys, time
device, addresses = sys.argv[1], sys.argv[2:]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
raw.bind((device, 0x0806))
mac = raw.getsockname()[4]
for _ in range(2):
    for address in addresses:
        question = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, bytes(4), bytes(6), socket.inet_aton(address))
        raw.send(b"\\xff" * 6 + mac + struct.pack("!H", 0x0806) + question)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        raw.settimeout(max(0.01, end - time.monotonic()))
        try:
            frame = raw.recv(256)
        except socket.timeout:
            break
        if len(frame) >= 42 and frame[20:22] == b"\\x00\\x02":
            print(socket.inet_ntoa(frame[28:32]), ":".join("%02x" % octet for octet in frame[22:28]))
"""
"""The sender's address is 0.0.0.0, as in a probe for duplicates (RFC 5227), so that nobody learns anything from the question."""
_SCRIPT = """
device=$1; shift
if command -v python3 > /dev/null 2>&1; then exec python3 -c "$PROGRAM" "$device" "$@"; fi
command -v arping > /dev/null 2>&1 || { echo "neither python3 nor arping is installed" >&2; exit 8; }
for ip in "$@"; do
  arping -c 2 -w 1 -I "$device" "$ip" | sed -n 's/.*reply from \\([0-9.]*\\) \\[\\([0-9A-Fa-f:]*\\)\\].*/\\1 \\2/p'
done
exit 0
"""
_LINE = re.compile(r"(?P<ip>[0-9.]+) (?P<mac>[0-9a-fA-F:]{17})")
TIMEOUT_S = 10.0


def arp_answers(node: NodeExec, device: str, ips: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Address -> MACs that answered for it, in lower case, sorted; none for addresses nobody answered for.

    Unreadable when the node has no tool for it, or may not use it."""
    command = ["env", f"PROGRAM={_PROGRAM}", "sh", "-c", _SCRIPT, "sh", device, *ips]
    result = node.run(command, timeout=TIMEOUT_S)
    if result.exit_status:
        raise Unreadable(
            result.error_text.strip().splitlines()[-1]
            if result.error_text.strip()
            else f"exit status {result.exit_status}"
        )
    found: dict[str, set[str]] = {ip: set() for ip in ips}
    for match in map(_LINE.fullmatch, result.text.splitlines()):
        if match is not None and match["ip"] in found:
            found[match["ip"]].add(match["mac"].lower())
    return {ip: tuple(sorted(macs)) for ip, macs in found.items()}

"""Listening TCP and bound UDP sockets, from `ss`, else from /proc/net.

The kernel's own sockets (VXLAN 4500 and 4800, WireGuard) are in both; `ss` names no process for them.
"""

from __future__ import annotations

import re
import socket
import struct

from pytest_submariner.model.nodestate import Socket
from pytest_submariner.nodestate.section import Section, Unreadable

PROGRAM = "ss -H -lntup"
FILES = "sh -c 'cd /proc/net || exit 1; for f in udp tcp udp6 tcp6; do [ -r $f ] && echo $f && cat $f; done; :'"
_PROCESS = re.compile(r'users:\(\("(?P<name>[^"]*)"')
_LISTEN, _UNCONNECTED = "0A", "07"


def sockets(program: Section, files: Section) -> tuple[Socket, ...]:
    """By protocol and port. From files no process is known, so none is said to be the kernel's; Unreadable when neither
    can be read."""
    if not program.error:
        found = map(_of_line, program.text.splitlines())
    elif not files.error:
        found = map(_of_entry, _entries(files.text))
    else:
        raise Unreadable(f"{program.error}; {files.error}")
    return tuple(sorted({s for s in found if s is not None}, key=lambda s: (s.protocol, s.port, s.ip)))


def _of_line(line: str) -> Socket | None:
    words = line.split()
    if len(words) < 6 or words[0] not in ("tcp", "udp"):
        return None
    ip, _, port = words[4].rpartition(":")
    process = _PROCESS.search(line)
    name = process["name"] if process is not None else ""
    return Socket(words[0], ip.strip("[]").partition("%")[0], int(port), name, kernel=process is None)


def _entries(text: str) -> list[tuple[str, list[str]]]:
    protocol, found = "", []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 1:
            protocol = words[0]
        elif len(words) > 4 and words[0].endswith(":"):
            found.append((protocol, words))
    return found


def _of_entry(entry: tuple[str, list[str]]) -> Socket | None:
    protocol, words = entry
    if words[3] != (_LISTEN if protocol.startswith("tcp") else _UNCONNECTED):
        return None
    address, _, port = words[1].partition(":")
    return Socket(protocol[:3], _address(address), int(port, 16))


def _address(text: str) -> str:
    """`0100007F` -> `127.0.0.1`: words of 32 bits, each printed in the byte order of the machine (little-endian on all
    that Kubernetes runs on but s390x)."""
    packed = b"".join(struct.pack("<I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)

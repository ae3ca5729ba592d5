"""Echo requests that tell where they came from, and a capture of them: one self-contained file, Python 3.8 or newer.

For host-network probe pods with NET_RAW; it travels in an environment variable like `agent.py`. No tcpdump is needed: Route Agent and
Python images have none. Reads one JSON line from stdin, here folded:

    {"version": 1, "nonce": "…", "token": "<16 hex digits>", "seconds": 10.0, "quiet_s": 1.0,
     "echo": null or {"address": "240.18.0.2", "count": 3, "interval_s": 0.2, "wait_s": 1.5}}

and writes the greeting of `agent.py`, a line once the capture runs, then what happens, and the trailer of `agent.py`:

    {"ready": true}
    {"frame": {"device": "vx-submariner", "direction": "out", "kind": "request", "source": "10.8.1.1",
               "destination": "240.18.0.2", "index": 0, "told": "240.18.0.3"}}
    {"echo": {"index": 0, "local": "240.18.0.3", "answered": true, "rtt_ms": 0.4, "delivered": "240.18.0.3", "error": ""}}

Every request carries in its payload the source address its socket had (`told`), so one captured packet shows the address
before and after a rewrite. Each has an identifier of its own, so each is a connection of its own to connection tracking,
and is counted by nat rules. The capture ends by itself: `quiet_s` after the last packet of ours, at the latest after `seconds`.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time

TYPE_CHECKING = False  # what typing calls so; importing it would cost start-up time
if TYPE_CHECKING:
    from typing import Any

    Fields = dict[str, Any]

VERSION = 1
MAGIC = b"SMVX"
PAYLOAD = struct.Struct("!4s8sI4s36x")  # magic, token, index, source address: 56 bytes
KINDS = {8: "request", 0: "reply"}
ETH_P_ALL = 0x0003
OTHER_HOST, OUTGOING = 3, 4  # linux/if_packet.h
SO_ATTACH_FILTER = 26
ICMP_ONLY = (  # linux/filter.h: load byte 9 (the protocol), keep the packet when it is 1
    (0x30, 0, 0, 9),
    (0x15, 0, 1, 1),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


class Output:
    """Lines of JSON on stdout, counted and hashed, from any thread; as in `agent.py`."""

    def __init__(self) -> None:
        self._answers = 0
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()

    def say(self, document: Fields) -> None:
        line = json.dumps(document, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._digest.update(line)
            self._answers += "hello" not in document
            self._write(line)

    def close(self, nonce: str) -> None:
        with self._lock:
            trailer = {"nonce": nonce, "answers": self._answers, "digest": self._digest.hexdigest()}
            self._write(json.dumps({"trailer": trailer}, separators=(",", ":")).encode() + b"\n")

    @staticmethod
    def _write(line: bytes) -> None:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def open_capture() -> socket.socket:
    """Every device of the namespace, both directions, from the IP header on; the kernel drops what is not ICMP."""
    capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in ICMP_ONLY)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HP", len(ICMP_ONLY), ctypes.addressof(buffer))
    capture.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    return capture


def dissect(packet: bytes, token: bytes) -> Fields | None:
    """An IPv4 packet with one of our echoes in it as a frame's fields; None for any other."""
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_ICMP:
        return None
    start = (packet[0] & 15) * 4
    body = packet[start + 8 :]
    if len(body) < PAYLOAD.size or packet[start] not in KINDS:
        return None
    magic, found, index, told = PAYLOAD.unpack_from(body)
    if (magic, found) != (MAGIC, token):
        return None
    return {
        "kind": KINDS[packet[start]],
        "source": socket.inet_ntoa(packet[12:16]),
        "destination": socket.inet_ntoa(packet[16:20]),
        "index": index,
        "told": socket.inet_ntoa(told),
    }


def watch(capture: socket.socket, token: bytes, output: Output, seconds: float, quiet: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([capture], [], [], max(0.0, end - time.monotonic()))[0]:
            return
        packet, (device, _, packet_type, *_) = capture.recvfrom(65535)
        found = None if packet_type == OTHER_HOST else dissect(packet, token)
        if found is not None:
            output.say({"frame": {"device": device, "direction": "out" if packet_type == OUTGOING else "in", **found}})
            end = min(end, time.monotonic() + quiet)


def send_echoes(address: str, token: bytes, count: int, interval: float) -> list[tuple[socket.socket, Fields, float]]:
    sent = []
    base = struct.unpack("!H", os.urandom(2))[0]
    for index in range(count):
        connection = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        echo: Fields = {"index": index, "local": "", "answered": False, "rtt_ms": None, "delivered": "", "error": ""}
        started = time.monotonic()
        try:
            connection.connect((address, 0))
            echo["local"] = connection.getsockname()[0]
            payload = PAYLOAD.pack(MAGIC, token, index, socket.inet_aton(echo["local"]))
            identifier = (base + index) & 0xFFFF
            unsummed = struct.pack("!BBHHH", 8, 0, 0, identifier, 1) + payload
            connection.send(struct.pack("!BBHHH", 8, 0, checksum(unsummed), identifier, 1) + payload)
        except OSError as error:
            echo["error"] = str(error)
        sent.append((connection, echo, started))
        time.sleep(interval)
    return sent


def await_reply(connection: socket.socket, echo: Fields, started: float, token: bytes, end: float) -> None:
    """Fill in what came back on the socket of an echo: to which address the kernel delivered it."""
    while not echo["error"] and select.select([connection], [], [], max(0.0, end - time.monotonic()))[0]:
        try:
            found = dissect(connection.recv(65535), token)
        except OSError as error:
            echo["error"] = str(error)
            return
        if found is not None and (found["kind"], found["index"]) == ("reply", echo["index"]):
            rtt = round((time.monotonic() - started) * 1000, 3)
            echo.update(answered=True, rtt_ms=rtt, delivered=found["destination"])
            return


def own_addresses() -> list[str]:
    """Every IPv4 address of this network namespace; as in `agent.py`."""
    found = set()
    address = ""
    with open("/proc/net/fib_trie") as trie:  # noqa: PTH123 - pathlib would cost start-up time
        for line in trie:
            words = line.split()
            if words[:1] == ["|--"]:
                address = words[1]
            elif words[:3] == ["/32", "host", "LOCAL"]:
                found.add(address)
    return sorted(found)


def main() -> int:
    try:
        request = json.loads(sys.stdin.readline())
        if request["version"] != VERSION:
            raise ValueError(f"version {request['version']}; this watcher speaks {VERSION}")
        nonce, token = str(request["nonce"]), bytes.fromhex(request["token"])
        seconds, quiet, echo = float(request["seconds"]), float(request["quiet_s"]), request["echo"]
    except (ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"not a request: {type(error).__name__}: {error}\n")
        return 2
    output = Output()
    try:
        capture = open_capture()
        addresses = own_addresses()
    except OSError as error:
        sys.stderr.write(f"cannot capture (NET_RAW is needed): {error}\n")
        return 1
    name = os.environ.get("SUBMARINER_PROBE_NAME", "")
    python = ".".join(str(part) for part in sys.version_info[:3])
    output.say({"hello": {"version": VERSION, "name": name, "python": python, "addresses": addresses}})
    watching = threading.Thread(target=watch, args=(capture, token, output, seconds, quiet))
    watching.start()
    output.say({"ready": True})
    if echo is not None:
        sent = send_echoes(echo["address"], token, int(echo["count"]), float(echo["interval_s"]))
        end = time.monotonic() + float(echo["wait_s"])
        for connection, fields, started in sent:
            await_reply(connection, fields, started, token, end)
            output.say({"echo": fields})
    watching.join()
    output.close(nonce)
    return 0


if __name__ == "__main__":
    sys.exit(main())

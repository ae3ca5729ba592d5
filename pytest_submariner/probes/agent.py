"""Listener and connector of probe pods: one self-contained file, standard library only, Python 3.8 or newer.

It travels in an environment variable of the pod (`pods.py`) and runs as `python3 -u -c "$SUBMARINER_PROBE_AGENT" MODE`:

    listen PORT                          answer TCP and UDP on PORT until SIGTERM
    connect                              read one JSON line from stdin, run all its probes, stream a JSON line for each
    ask PROTOCOL ADDRESS [PORT [SIZE]]   one probe by hand; exit status 0 when it was answered, else 1

`connect` reads one line, here folded:

    {"version": 1, "nonce": "…", "cap": 32, "settle_s": 5.0, "timeout_s": 5.0, "attempts": 2,
     "probes": [{"id": "…", "protocol": "tcp|udp|icmp", "address": "10.9.1.5", "port": 29240, "size": 3000}, …]}

and writes a line of greeting, one for each probe as it ends, and a trailer which proves that nothing is missing:

    {"hello": {"version": 1, "name": "…", "hostname": "…", "python": "3.13.1", "addresses": ["10.8.1.5", …]}}
    {"id": "…", "outcome": "answered", "attempts": 1, "rtt_ms": 0.4, "local": "10.8.1.5", "seen": "10.8.1.5", …}
    {"trailer": {"nonce": "…", "answers": 1, "digest": "<SHA-256 of all lines above>"}}

Outcomes: `answered`; `refused` (RST, or ICMP port unreachable); `timeout` (no sign of life); `unreachable` (an ICMP
error, or no route); `stalled` (handshake done, then silence); `reset` (handshake done, then closed); `mismatch` (not
the listener's answer to what was sent); `unable` (this pod could not ask).

A frame, both ways: 4 bytes `SMP1`, 4 bytes length of the rest (big endian), the rest. The listener's rest is a JSON
report, padded with blanks to the length it received: {"name": its own, "seen": peer address, "port": peer port,
"sha256": of what it received}.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
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
HEADER = struct.Struct("!4sI")
MAGIC = b"SMP1"
LARGEST = 4 << 20
SIZES = {"tcp": 3000, "udp": 512, "icmp": 56}
SETTLE_PAUSE_S = 0.2
ATTEMPT_PAUSE_S = 0.25
SERVE_TIMEOUT_S = 30.0
IP_RECVERR = 11  # linux/in.h; not in Python's socket module
IP_PKTINFO = 8  # linux/in.h; in Python's socket module from 3.14
PKTINFO = struct.Struct("@i4s4s")  # struct in_pktinfo: interface index, address to send from, address it was sent to
REPLY_TIMEOUT = (socket.timeout, TimeoutError)  # two different classes before Python 3.10
OUR_FAULT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EINVAL}


class UnableError(Exception):
    """This pod cannot ask: no permission, no resources."""


class StalledError(Exception):
    """Silence after the handshake."""


class Output:
    """Lines of JSON on stdout, counted and hashed, from any thread."""

    def __init__(self) -> None:
        self.answers = 0
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()

    def say(self, document: Fields, answer: bool = False) -> None:
        line = json.dumps(document, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._digest.update(line)
            self.answers += answer
            self._write(line)

    def close(self, nonce: str) -> None:
        with self._lock:
            trailer = {"nonce": nonce, "answers": self.answers, "digest": self._digest.hexdigest()}
            self._write(json.dumps({"trailer": trailer}, separators=(",", ":")).encode() + b"\n")

    @staticmethod
    def _write(line: bytes) -> None:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


# The listener


def report(peer: tuple[str, int], payload: bytes) -> bytes:
    """What the listener knows about a frame it received; as long as that frame when it fits."""
    facts = {
        "name": os.environ.get("SUBMARINER_PROBE_NAME", ""),
        "seen": peer[0],
        "port": peer[1],
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    body = json.dumps(facts, separators=(",", ":")).encode().ljust(len(payload))
    return HEADER.pack(MAGIC, len(body)) + body


def serve_connection(connection: socket.socket, peer: tuple[str, int]) -> None:
    with connection:
        try:
            connection.settimeout(SERVE_TIMEOUT_S)
            payload = read_frame(connection, time.monotonic() + SERVE_TIMEOUT_S)
            connection.sendall(report(peer, payload))
            connection.recv(1)  # the connector closes first, so that no port here stays in TIME_WAIT
        except (OSError, ValueError, EOFError):
            return  # the connector tells its own side of it


def serve_tcp(listener: socket.socket) -> None:
    while True:
        connection, peer = listener.accept()
        threading.Thread(target=serve_connection, args=(connection, peer), daemon=True).start()


def serve_udp(listener: socket.socket) -> None:
    """Answers from the very address that was asked: a host has several, and its routing would pick another."""
    listener.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    while True:
        try:
            datagram, ancillary, _, peer = listener.recvmsg(65535, socket.CMSG_SPACE(PKTINFO.size))
            magic, length = HEADER.unpack_from(datagram)
            payload = datagram[HEADER.size :]
            if magic != MAGIC or length != len(payload):
                continue
            asked = PKTINFO.unpack(ancillary[0][2])[2]
            source = (socket.IPPROTO_IP, IP_PKTINFO, PKTINFO.pack(0, asked, b"\0" * 4))
            listener.sendmsg([report(peer, payload)], [source], 0, peer)
        except (OSError, struct.error, IndexError):
            continue  # an ICMP error of an earlier answer, or a datagram that is not ours


def listen(port: int) -> int:
    """Blocks until SIGTERM. PID 1 of a pod has no default signal handlers, so this one is needed for a quick end."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        tcp = socket.create_server(("0.0.0.0", port), backlog=512)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", port))
    except OSError as error:
        return give_up(f"cannot listen on port {port}: {explain(error)}")
    threading.Thread(target=serve_udp, args=(udp,), daemon=True).start()
    sys.stdout.write(f"listening on TCP and UDP port {port}\n")
    sys.stdout.flush()
    serve_tcp(tcp)
    return 0


def give_up(message: str) -> int:
    sys.stderr.write(message + "\n")
    try:
        with open("/dev/termination-log", "w") as log:  # noqa: PTH123 - pathlib would cost start-up time
            log.write(message)
    except OSError:
        pass
    return 1


# The connector


def read_exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    """EOFError carries how much came before the end; StalledError likewise before the deadline."""
    data = bytearray()
    while len(data) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise StalledError(len(data))
        connection.settimeout(left)
        try:
            chunk = connection.recv(min(65536, size - len(data)))
        except REPLY_TIMEOUT:
            raise StalledError(len(data)) from None
        if not chunk:
            raise EOFError(len(data))
        data += chunk
    return bytes(data)


def read_frame(connection: socket.socket, deadline: float) -> bytes:
    """ValueError when it is not one of our frames."""
    magic, length = HEADER.unpack(read_exactly(connection, HEADER.size, deadline))
    if magic != MAGIC or length > LARGEST:
        raise ValueError("not a frame of this protocol")
    return read_exactly(connection, length, deadline)


def understand(body: bytes, sent: bytes) -> Fields:
    """The listener's report as fields of an answer; `mismatch` unless it is about exactly what we sent."""
    try:
        facts = json.loads(body)
        told = {"seen": str(facts["seen"]), "listener": str(facts["name"])}
        digest = facts["sha256"]
    except (ValueError, KeyError, TypeError):
        return {"outcome": "mismatch", "error": "the answer is not a listener's report"}
    if digest != hashlib.sha256(sent).hexdigest():
        return {"outcome": "mismatch", "error": "the listener received other bytes than were sent", **told}
    return {"outcome": "answered", **told}


def explain(error: OSError) -> str:
    return f"{errno.errorcode.get(error.errno or 0, 'error')}: {error.strerror or error}"


def from_error(error: OSError) -> Fields:
    """How a failed connect or send reads; ICMP errors arrive as errnos (ip(7), IP_RECVERR)."""
    if error.errno in OUR_FAULT:
        raise UnableError(explain(error)) from None
    if error.errno == errno.ECONNREFUSED:
        return {"outcome": "refused", "error": explain(error)}
    if error.errno == errno.ETIMEDOUT or isinstance(error, REPLY_TIMEOUT):
        return {"outcome": "timeout", "error": "no answer"}
    return {"outcome": "unreachable", "error": explain(error)}


def milliseconds(since: float) -> float:
    return round((time.monotonic() - since) * 1000, 3)


def ask_tcp(probe: Fields, timeout: float) -> Fields:
    """Round trip of the handshake; then `size` bytes each way within another `timeout`."""
    payload = os.urandom(probe["size"])
    with open_socket(socket.SOCK_STREAM) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST: no TIME_WAIT
        connection.settimeout(timeout)
        start = time.monotonic()
        try:
            connection.connect((probe["address"], probe["port"]))
        except OSError as error:
            return from_error(error)
        facts = {"rtt_ms": milliseconds(start), "local": connection.getsockname()[0], "sent": len(payload)}
        deadline = time.monotonic() + timeout
        received = 0
        try:
            connection.settimeout(timeout)
            connection.sendall(HEADER.pack(MAGIC, len(payload)) + payload)
            body = read_frame(connection, deadline)
        except (StalledError, EOFError) as stop:
            received = stop.args[0]
            silent = isinstance(stop, StalledError)
            text = f"{'silence' if silent else 'closed'} after the handshake and {received} bytes of the answer"
            return {"outcome": "stalled" if silent else "reset", "error": text, "received": received, **facts}
        except REPLY_TIMEOUT:
            text = "the peer stopped taking data after the handshake"
            return {"outcome": "stalled", "error": text, "received": 0, **facts}
        except ValueError as error:
            return {"outcome": "mismatch", "error": str(error), **facts}
        except OSError as error:
            return {"outcome": "reset", "error": explain(error), "received": 0, **facts}
        return {**understand(body, payload), "received": len(body), **facts}


def ask_udp(probe: Fields, timeout: float) -> Fields:
    """One datagram of `size` bytes, and one back."""
    payload = os.urandom(max(0, probe["size"] - HEADER.size))
    with open_socket(socket.SOCK_DGRAM) as connection:
        connection.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)  # so that ICMP errors are told at once
        connection.settimeout(timeout)
        start = time.monotonic()
        facts: Fields = {"sent": probe["size"]}
        try:
            connection.connect((probe["address"], probe["port"]))
            facts["local"] = connection.getsockname()[0]
            connection.send(HEADER.pack(MAGIC, len(payload)) + payload)
            datagram = connection.recv(65535)
        except OSError as error:
            return {**from_error(error), **facts}
        facts.update(rtt_ms=milliseconds(start), received=len(datagram))
        return {**understand(datagram[HEADER.size :], payload), **facts}


def checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(identifier: int, sequence: int, payload: bytes) -> bytes:
    padded = payload + b"\0" * (len(payload) % 2)
    unsummed = struct.pack("!BBHHH", 8, 0, 0, identifier, sequence) + padded
    return struct.pack("!BBHHH", 8, 0, checksum(unsummed), identifier, sequence) + payload


def ask_icmp(probe: Fields, timeout: float) -> Fields:
    """An echo request with `size` random bytes; the reply must have the same ones, sequence and identifier."""
    payload = os.urandom(probe["size"])
    identifier, sequence = struct.unpack("!HH", os.urandom(4))
    connection, is_raw = open_icmp()
    with connection:
        connection.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        start = time.monotonic()
        facts: Fields = {"sent": len(payload)}
        try:
            connection.connect((probe["address"], 0))
            facts["local"] = connection.getsockname()[0]
            connection.send(echo_request(identifier, sequence, payload))
            while True:
                left = start + timeout - time.monotonic()
                if left <= 0:
                    return {"outcome": "timeout", "error": "no reply", **facts}
                connection.settimeout(left)
                packet = connection.recv(65535)
                if is_raw:
                    packet = packet[(packet[0] & 15) * 4 :]
                kind, _, _, ident, seq = struct.unpack_from("!BBHHH", packet)
                # A ping socket replaces the identifier by its own number, and gets only its own replies.
                if kind == 0 and seq == sequence and packet[8:] == payload and (not is_raw or ident == identifier):
                    return {"outcome": "answered", "rtt_ms": milliseconds(start), "received": len(packet) - 8, **facts}
        except OSError as error:
            return {**from_error(error), **facts}


def open_socket(kind: int, protocol: int = 0) -> socket.socket:
    try:
        return socket.socket(socket.AF_INET, kind, protocol)
    except OSError as error:
        raise UnableError(f"cannot open a socket: {explain(error)}") from None


def open_icmp() -> tuple[socket.socket, bool]:
    """A ping socket where net.ipv4.ping_group_range allows it, else a raw one (NET_RAW), and whether it is raw."""
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP), False
    except OSError:
        pass
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), True
    except OSError as error:
        why = f"no ICMP socket ({explain(error)}): net.ipv4.ping_group_range excludes this group and NET_RAW is missing"
        raise UnableError(why) from None


ASK = {"tcp": ask_tcp, "udp": ask_udp, "icmp": ask_icmp}


def ask(probe: Fields, timeout: float, attempts: int, settle_until: float) -> Fields:
    """One probe with its attempts. Until `settle_until` a refusal does not count: the listener may be coming up."""
    start = time.monotonic()
    history: list[str] = []
    settling = 0
    while True:
        try:
            answer = ASK[probe["protocol"]](probe, timeout)
        except UnableError as error:
            answer = {"outcome": "unable", "error": str(error)}
        if answer["outcome"] == "refused" and time.monotonic() < settle_until:
            settling += 1
            time.sleep(SETTLE_PAUSE_S)
            continue
        history.append(answer["outcome"])
        if answer["outcome"] in ("answered", "unable") or len(history) >= attempts:
            break
        time.sleep(ATTEMPT_PAUSE_S)
    took = {"history": history, "settling": settling, "duration_s": round(time.monotonic() - start, 4)}
    return {"id": probe["id"], **answer, "attempts": len(history), **took}


def own_addresses() -> list[str]:
    """Every IPv4 address of this network namespace; /proc because it needs neither a program nor a privilege."""
    found = set()
    address = ""
    try:
        with open("/proc/net/fib_trie") as trie:  # noqa: PTH123 - pathlib would cost start-up time
            for line in trie:
                words = line.split()
                if words[:1] == ["|--"]:
                    address = words[1]
                elif words[:3] == ["/32", "host", "LOCAL"]:
                    found.add(address)
    except OSError:
        pass
    return sorted(found)


def hello() -> Fields:
    return {
        "version": VERSION,
        "name": os.environ.get("SUBMARINER_PROBE_NAME", ""),
        "hostname": socket.gethostname(),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "addresses": own_addresses(),
    }


def connect() -> int:
    """The conversation. A few threads walk the probes: more would only queue inside the probes' own time-outs."""
    try:
        request = json.loads(sys.stdin.readline())
        if request["version"] != VERSION:
            raise ValueError(f"version {request['version']}; this agent speaks {VERSION}")
        probes, nonce = list(request["probes"]), str(request["nonce"])
        cap, attempts = int(request["cap"]), int(request["attempts"])
        timeout, settle = max(1.0, float(request["timeout_s"])), float(request["settle_s"])
    except (ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"not a request: {type(error).__name__}: {error}\n")
        return 2
    output = Output()
    output.say({"hello": hello()})
    settle_until = time.monotonic() + settle
    waiting, lock = iter(probes), threading.Lock()

    def pump() -> None:
        while True:
            with lock:
                probe = next(waiting, None)
            if probe is None:
                return
            output.say(ask(probe, timeout, attempts, settle_until), answer=True)

    pumps = [threading.Thread(target=pump) for _ in range(max(1, min(cap, len(probes))))]
    for thread in pumps:
        thread.start()
    for thread in pumps:
        thread.join()
    output.close(nonce)
    return 0


def main(argv: list[str]) -> int:
    if argv[:1] == ["listen"] and len(argv) == 2 and argv[1].isdigit():
        return listen(int(argv[1]))
    if argv == ["connect"]:
        return connect()
    if argv[:1] == ["ask"] and 3 <= len(argv) <= 5 and argv[1] in ASK:
        port, size = [int(word) if word.isdigit() else 0 for word in [*argv[3:], "0", "0"][:2]]
        probe = {"id": "ask", "protocol": argv[1], "address": argv[2], "port": port, "size": size or SIZES[argv[1]]}
        answer = ask(probe, 5.0, 1, 0.0)
        sys.stdout.write(json.dumps(answer) + "\n")
        return 0 if answer["outcome"] == "answered" else 1
    sys.stderr.write("usage: listen PORT | connect | ask tcp|udp|icmp ADDRESS [PORT [SIZE]]\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

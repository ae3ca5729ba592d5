"""Listener and connector of probe pods: one self-contained file, standard library only, Python 3.8 or newer.

It travels in an environment variable of the pod (`pods.py`) and runs as `python3 -u -c "$SUBMARINER_PROBE_AGENT" MODE`:

    listen PORT                          answer TCP and UDP on PORT until SIGTERM, and hold conversations by named pipes
    connect                              read one JSON line from stdin, run all its probes, stream a JSON line for each
    ask PROTOCOL ADDRESS [PORT [SIZE]]   one probe by hand; exit status 0 when it was answered, 1 when not, 2 for bad arguments

`connect` reads one line, here folded:

    {"version": 1, "nonce": "…", "cap": 32, "rate": null, "settle_s": 5.0, "timeout_s": 5.0, "attempts": 2,
     "probes": [{"id": "…", "protocol": "tcp|udp|icmp|mtu", "address": "10.9.1.5", "port": 29240, "size": 3000}, …]}

`size` is in bytes, each way. `mtu` sends echo requests that must not be fragmented, and has `reached` in its answer: the
length of the largest IP packet that got through.

and writes a line of greeting, one for each probe as it ends, and a trailer which proves that nothing is missing:

    {"hello": {"version": 1, "name": "…", "hostname": "…", "python": "3.13.1", "addresses": ["10.8.1.5", …],
               "mtu": 1500}}
    {"id": "…", "outcome": "answered", "attempts": 1, "rtt_ms": 0.4, "local": "10.8.1.5", "seen": "10.8.1.5", …}
    {"trailer": {"nonce": "…", "answers": 1, "digest": "<SHA-256 of all lines above>"}}

Outcomes: `answered`; `refused` (RST, or ICMP port unreachable); `timeout` (no sign of life); `unreachable` (an ICMP
error, or no route); `stalled` (handshake done, then silence); `reset` (handshake done, then closed); `mismatch` (not
the listener's answer to what was sent); `unable` (this pod could not ask).

A listener holds the same conversation without another Python being started, which costs more than the probes of a source: in the
first of ROOMS that can be written, `submariner-probe-PORT-NAME/ask` is a named pipe that takes a word per line, and for each word W
the request is in the file `W.request` beside it, and the answer goes into the named pipe `W.answer`; both are removed then.

A frame, both ways: 4 bytes `SMP1`, 4 bytes length of the rest (big endian), the rest. The listener's rest is a JSON
report, padded with blanks to the length it received: {"name": its own, "seen": peer address, "port": peer port,
"sha256": of what it received}.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections import deque

TYPE_CHECKING = False  # what typing calls so; importing it would cost start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Fields = dict[str, Any]
    Heard = Callable[[], None]

VERSION = 1
NAME = os.environ.get("SUBMARINER_PROBE_NAME", "")
HEADER = struct.Struct("!4sI")
MAGIC = b"SMP1"
LARGEST = 4 << 20
SIZES = {"tcp": 3000, "udp": 512, "icmp": 56, "mtu": 56}
LIMITS = {"tcp": LARGEST, "udp": 65507, "icmp": 65507, "mtu": 65507}  # the last three: what an IP packet can hold
SLOWEST = 65536  # bytes per second; data that trickles slower than this has stalled
SETTLE_PAUSE_S = 0.2
GATHER_S = 0.05
PUMPS = 8
ATTEMPT_PAUSE_S = 0.25
OVERLAP_S = 0.4
SLOWNESS, LONGEST = 10, 4
SERVE_TIMEOUT_S = 30.0
SPARE = 4
ROOMS = ("/dev/shm", "/tmp", "/run")
IP_RECVERR = 11  # linux/in.h; not in Python's socket module
IP_PKTINFO = 8  # linux/in.h; in Python's socket module from 3.14
IP_MTU_DISCOVER, IP_PMTUDISC_PROBE = 10, 3  # linux/in.h; sets DF, and asks again what the kernel thinks it knows
SIOCGIFMTU, TIOCOUTQ = 0x8921, 0x5411  # linux/sockios.h; asm-generic/ioctls.h, in tcp(7) as SIOCOUTQ
MSG_ERRQUEUE = 0x2000  # linux/socket.h
SOCK_EXTENDED_ERR = struct.Struct("@IBBBBII")  # errno, origin, type, code, padding, info (a next hop's MTU), data
IP_ICMP_HEADERS = 28
MTU_TRIES = 2
MTU_PATIENCE_S = 1.0
PKTINFO = struct.Struct("@i4s4s")  # struct in_pktinfo: interface index, address to send from, address it was sent to
REPLY_TIMEOUT = (socket.timeout, TimeoutError)  # two different classes before Python 3.10
OUR_FAULT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EINVAL}


class UnableError(Exception):
    """This pod cannot ask: no permission, no resources."""


class StalledError(Exception):
    """Silence after the handshake."""


class Output:
    """Lines of JSON on a stream, counted and hashed, from any thread. Lines gather for a moment: each piece that is written passes half a
    dozen processes on its way, at a higher price than a probe."""

    def __init__(self, stream: Any) -> None:
        self.answers = 0
        self._stream = stream
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._gathered: list[bytes] = []

    def say(self, document: Fields, answer: bool = False) -> int:
        """How many answers were said so far."""
        line = json.dumps(document, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._digest.update(line)
            self.answers += answer
            self._gathered.append(line)
            return self.answers

    def flush(self) -> None:
        with self._lock:
            lines, self._gathered = self._gathered, []
            if lines:
                self._stream.write(b"".join(lines))
                self._stream.flush()

    def close(self, nonce: str) -> None:
        trailer = {"nonce": nonce, "answers": self.answers, "digest": self._digest.hexdigest()}
        self._gathered.append(json.dumps({"trailer": trailer}, separators=(",", ":")).encode() + b"\n")
        self.flush()


# The listener


def report(peer: tuple[str, int], payload: bytes) -> bytes:
    """What the listener knows about a frame it received; as long as that frame when it fits."""
    facts = {
        "name": NAME,
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
            payload = read_frame(connection, time.monotonic() + SERVE_TIMEOUT_S, SERVE_TIMEOUT_S, lambda: None)
            connection.sendall(report(peer, payload))
            connection.recv(1)  # the connector closes first, so that no port here stays in TIME_WAIT
        except (OSError, ValueError, EOFError):
            return  # the connector tells its own side of it


class Acceptor:
    """Threads that serve connections, as many as are busy at once and one that waits: starting one costs as much as serving a peer."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._waiting = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        while True:
            with self._lock:
                if self._waiting >= SPARE:
                    return
                self._waiting += 1
            try:
                connection, peer = self._listener.accept()
            except OSError:  # of that one peer, or too many of them for this process
                time.sleep(0.05)
                continue
            finally:
                with self._lock:
                    self._waiting -= 1
                    is_last = not self._waiting
            if is_last:
                threading.Thread(target=self.run, daemon=True).start()
            serve_connection(connection, peer)


def serve_tcp(listener: socket.socket) -> None:
    Acceptor(listener).run()


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
    """Blocks until SIGTERM. It is waited for, not handled: between two system calls of a busy thread a handler would come too late.
    PID 1 of a pod has no default handlers, and the kernel drops what it does not handle."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        tcp = socket.create_server(("0.0.0.0", port), backlog=512)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", port))
    except OSError as error:
        return give_up(f"cannot listen on port {port}: {explain(error)}")
    room = open_room(f"submariner-probe-{port}-{NAME}")
    for serve, argument in ((serve_tcp, tcp), (serve_udp, udp), (serve_requests, room)):
        threading.Thread(target=serve, args=(argument,), daemon=True).start()
    sys.stdout.write(f"listening on TCP and UDP port {port}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM})
    leave(room)
    return 0


def open_room(name: str) -> str:
    """A folder of that name with the pipe `ask` in it; empty where nothing can be written: then each conversation is a `connect`."""
    for folder in ROOMS:
        room = f"{folder}/{name}"
        try:
            os.makedirs(room, 0o700, exist_ok=True)
            for left in os.listdir(room):
                os.unlink(f"{room}/{left}")
            os.mkfifo(f"{room}/ask", 0o600)
        except OSError:
            continue
        return room
    return ""


def leave(room: str) -> None:
    try:
        for name in os.listdir(room) if room else ():
            os.unlink(f"{room}/{name}")
        if room:
            os.rmdir(room)
    finally:
        os._exit(0)


def serve_requests(room: str) -> None:
    """One thread for each conversation; none without a room. Opened for both ways, the pipe has no end, and no writer has to wait."""
    if not room:
        return
    with open(os.open(f"{room}/ask", os.O_RDWR), encoding="ascii", errors="replace") as words:
        for line in words:
            word = line.strip()
            if word.isdigit():
                threading.Thread(target=serve_request, args=(f"{room}/{word}",), daemon=True).start()


def serve_request(place: str) -> None:
    """Opening the answer waits for its reader; when that one goes, so does the conversation."""
    try:
        with open(f"{place}.request", encoding="utf-8") as file:
            request = file.readline()
        with open(f"{place}.answer", "wb") as answer:
            for suffix in ("request", "answer"):
                os.unlink(f"{place}.{suffix}")
            try:
                converse(request, answer)
            except ValueError as error:
                answer.write(f"{error}\n".encode())
    except OSError as error:
        sys.stderr.write(f"a conversation ended early: {explain(error)}\n")


def give_up(message: str) -> int:
    sys.stderr.write(message + "\n")
    try:
        with open("/dev/termination-log", "w") as log:
            log.write(message)
    except OSError:
        pass
    return 1


# The connector


def read_frame(connection: socket.socket, deadline: float, patience: float, heard: Heard) -> bytes:
    """What follows the header of one frame; `heard` is called as data come.

    ValueError when it is none of ours. EOFError carries how many bytes came before the end, those of the header left out when it was
    whole; StalledError likewise before `patience` seconds of silence, or before the deadline.
    """
    data = bytearray()
    missing, length = HEADER.size, -1
    while missing > 0:
        came = len(data) - (0 if length < 0 else HEADER.size)
        left = deadline - time.monotonic()
        if left <= 0:
            raise StalledError(came)
        if left < patience or not data:
            connection.settimeout(min(left, patience))
        try:
            chunk = connection.recv(65536)
        except REPLY_TIMEOUT:
            raise StalledError(came) from None
        if not chunk:
            raise EOFError(came)
        data += chunk
        heard()
        if length < 0 and len(data) >= HEADER.size:
            magic, length = HEADER.unpack_from(data)
            if magic != MAGIC or length > LARGEST:
                raise ValueError("not a frame of this protocol")
        missing = HEADER.size + max(0, length) - len(data)
    return bytes(data[HEADER.size : HEADER.size + length])


def send_frame(connection: socket.socket, payload: bytes, deadline: float, patience: float, heard: Heard) -> None:
    """StalledError when the peer takes nothing for `patience` seconds, or not all of it before the deadline."""
    left = memoryview(HEADER.pack(MAGIC, len(payload)) + payload)
    while left:
        connection.settimeout(max(0.001, min(deadline - time.monotonic(), patience)))
        try:
            left = left[connection.send(left) :]
            heard()
        except REPLY_TIMEOUT:
            raise StalledError(0) from None


def unacknowledged(connection: socket.socket) -> int:
    """Bytes that were handed to the kernel and which the peer's kernel has not acknowledged."""
    try:
        return int(struct.unpack("@i", fcntl.ioctl(connection, TIOCOUTQ, b"\0" * 4))[0])
    except OSError:
        return 0


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


def ask_tcp(probe: Fields, timeout: float, heard: Heard) -> Fields:
    """Round trip of the handshake; then `size` bytes each way, without `timeout` seconds of silence in between."""
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
        deadline = time.monotonic() + timeout + 2 * len(payload) / SLOWEST
        try:
            send_frame(connection, payload, deadline, timeout, heard)
            body = read_frame(connection, deadline, timeout, heard)
        except (StalledError, EOFError) as stop:
            silent = isinstance(stop, StalledError)
            text = (
                f"{'silence' if silent else 'closed'} after the handshake: {unacknowledged(connection)} of {len(payload)} "
                f"bytes were not acknowledged, and {stop.args[0]} bytes of the answer came"
            )
            return {"outcome": "stalled" if silent else "reset", "error": text, "received": stop.args[0], **facts}
        except ValueError as error:
            return {"outcome": "mismatch", "error": str(error), **facts}
        except OSError as error:
            return {"outcome": "reset", "error": explain(error), "received": 0, **facts}
        return {**understand(body, payload), "received": len(body), **facts}


def ask_udp(probe: Fields, timeout: float, heard: Heard) -> Fields:
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


def ask_icmp(probe: Fields, timeout: float, heard: Heard) -> Fields:
    """An echo request with `size` random bytes; the reply must have the same ones, sequence and identifier."""
    connection, is_raw = open_icmp()
    with connection:
        facts: Fields = {"sent": probe["size"]}
        try:
            connection.connect((probe["address"], 0))
            facts["local"] = connection.getsockname()[0]
            return {**echo(connection, is_raw, probe["size"], timeout), **facts}
        except OSError as error:
            return {**from_error(error), **facts}


def echo(connection: socket.socket, is_raw: bool, size: int, timeout: float) -> Fields:
    """One echo request and its reply; OSError is an ICMP error that came instead, or what the kernel says to the request."""
    payload = os.urandom(size)
    identifier, sequence = struct.unpack("!HH", os.urandom(4))
    start = time.monotonic()
    connection.send(echo_request(identifier, sequence, payload))
    while True:
        left = start + timeout - time.monotonic()
        if left <= 0:
            return {"outcome": "timeout", "error": "no reply"}
        connection.settimeout(left)
        packet = connection.recv(65535)
        if is_raw:
            packet = packet[(packet[0] & 15) * 4 :]
        kind, _, _, ident, seq = struct.unpack_from("!BBHHH", packet)
        # A ping socket replaces the identifier by its own number, and gets only its own replies.
        if kind == 0 and seq == sequence and packet[8:] == payload and (not is_raw or ident == identifier):
            return {"outcome": "answered", "rtt_ms": milliseconds(start), "received": len(packet) - 8}


def ask_mtu(probe: Fields, timeout: float, heard: Heard) -> Fields:
    """The largest IP packet that gets through with DF, `reached`, found by bisection; `stopped` says what becomes of larger ones.

    First a small one: when that is not answered, the size is not what is wrong. The reply is as long, but may be fragmented
    (Linux sets no DF on it), so a router that is lower on the way back does not count, and a silent hole there does.
    """
    connection, is_raw = open_icmp()
    with connection:
        connection.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        facts: Fields = {"sent": probe["size"]}
        try:
            connection.connect((probe["address"], 0))
            facts["local"] = connection.getsockname()[0]
            answer = echo(connection, is_raw, probe["size"], timeout)
        except OSError as error:
            return {**from_error(error), **facts}
        if answer["outcome"] != "answered":
            return {**answer, **facts}
        patience = min(timeout, MTU_PATIENCE_S, max(0.2, answer["rtt_ms"] / 100))
        low, top = probe["size"] + IP_ICMP_HEADERS, min(65535, max(device_mtus().values(), default=1500))
        high, size, stopped = top + 1, top, ""
        while high - low > 1:
            passed, hint, why = packet_passes(connection, is_raw, size, patience)
            heard()
            if passed:
                low = size
            else:
                high, stopped = size, why
            if hint is not None and low <= hint < high:
                high = hint + 1
            size = high - 1 if hint is not None and low < high - 1 else (low + high) // 2
        return {**answer, **facts, "reached": low, "stopped": stopped}


def packet_passes(connection: socket.socket, is_raw: bool, size: int, patience: float) -> tuple[bool, int | None, str]:
    """Whether an IP packet of `size` bytes comes back; else the MTU that a router, or this kernel, names, and words for it."""
    for _ in range(MTU_TRIES):
        try:
            if echo(connection, is_raw, size - IP_ICMP_HEADERS, patience)["outcome"] == "answered":
                return True, None, ""
        except REPLY_TIMEOUT:
            continue
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                return False, None, explain(error)
            hint = named_mtu(connection)
            if hint is None or hint < size:  # else it is the late answer to a larger packet
                return False, hint, f"fragmentation needed, next MTU {hint}" if hint else "fragmentation needed"
    return False, None, "silence"


def named_mtu(connection: socket.socket) -> int | None:
    """The smallest MTU in the socket's queue of errors (ip(7), IP_RECVERR), which is empty then."""
    found = None
    connection.settimeout(0)
    while True:
        try:
            _, ancillary, _, _ = connection.recvmsg(1, 512, MSG_ERRQUEUE)
        except OSError:
            return found
        for level, kind, data in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, IP_RECVERR) and len(data) >= SOCK_EXTENDED_ERR.size:
                code, _, _, _, _, info, _ = SOCK_EXTENDED_ERR.unpack_from(data)
                if code == errno.EMSGSIZE and info:
                    found = min(info, found or info)


def open_socket(kind: int, protocol: int = 0) -> socket.socket:
    try:
        return socket.socket(socket.AF_INET, kind, protocol)
    except OSError as error:
        raise UnableError(f"cannot open a socket: {explain(error)}") from None


def open_icmp() -> tuple[socket.socket, bool]:
    """A ping socket where net.ipv4.ping_group_range allows it, else a raw one (NET_RAW), and whether it is raw."""
    for kind, is_raw in ((socket.SOCK_DGRAM, False), (socket.SOCK_RAW, True)):
        try:
            connection = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        except OSError as error:
            why = explain(error)
        else:
            connection.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)  # so that ICMP errors are told at once
            return connection, is_raw
    raise UnableError(f"no ICMP socket ({why}): net.ipv4.ping_group_range excludes this group and NET_RAW is missing")


ASK = {"tcp": ask_tcp, "udp": ask_udp, "icmp": ask_icmp, "mtu": ask_mtu}


def check_size(protocol: str, size: int) -> None:
    if not 0 <= size <= LIMITS[protocol]:
        raise UnableError(f"{size} bytes cannot be asked by {protocol}: allowed are 0 to {LIMITS[protocol]}")


class Pace:
    """What the probes of a conversation share: when to ask again, and how slow the world is at the moment.

    A time-out is the least an attempt waits. Where answers that did come took long (a busy node, a slow way), it waits SLOWNESS times
    as long as the slowest of them, up to LONGEST time-outs: silence counts against what is usual here and now.
    """

    def __init__(self, timeout: float, attempts: int, settle_until: float, more: Callable[[], None]) -> None:
        """`more` is called for every probe that hears nothing, once: it need not hold up the others."""
        self.attempts = attempts
        self._more = more
        self.settle_until = settle_until
        self._timeout = timeout
        self._slowest_s = 0.0
        self._due: deque[tuple[float, Asking]] = deque()
        self._over = False
        threading.Thread(target=self._overlap, daemon=True).start()

    @property
    def timeout(self) -> float:
        return max(self._timeout, min(SLOWNESS * self._slowest_s, LONGEST * self._timeout))

    def answered(self, rtt_ms: float) -> None:
        self._slowest_s = max(self._slowest_s, rtt_ms / 1000)

    def watch(self, asking: Asking) -> None:
        """Look after it OVERLAP_S from now, and so on."""
        self._due.append((time.monotonic() + OVERLAP_S, asking))

    def close(self) -> None:
        self._over = True

    def _overlap(self) -> None:
        while not self._over:
            if not self._due:
                time.sleep(OVERLAP_S / 4)
                continue
            due, asking = self._due.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            if asking.is_told:
                continue
            if asking.is_silent():
                if not asking.is_known:
                    asking.is_known = True
                    self._more()
                if asking.is_open():
                    threading.Thread(target=asking.attempt, daemon=True).start()
            self.watch(asking)


class Asking:
    """One probe with its attempts. They overlap: when one hears nothing the next begins, with a port or identifier of its own, and each
    has the whole time-out. So a silent path takes one time-out and a little more, and as many packets as attempts in turn.

    Until the pace's `settle_until` a refusal does not count: the listener may be coming up. `tell` gets the answer of the first attempt
    that was answered, else that of the last; `history` has the outcomes of those before it too, silent ones as `timeout`.
    """

    def __init__(self, probe: Fields, pace: Pace, tell: Callable[[Fields], None]) -> None:
        self._probe = probe
        self._pace = pace
        self._tell = tell
        self._start = self._latest = time.monotonic()
        self._answers: list[Fields | None] = []
        self._settling = 0
        self.is_told = self.is_known = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Attempts in turn, beside those that begin while one of these is silent. Returns when none is left to begin."""
        self._pace.watch(self)
        while self.is_open():
            self.attempt()
            if self.is_open():
                time.sleep(ATTEMPT_PAUSE_S)

    def is_open(self) -> bool:
        """Whether there is a next attempt."""
        return not self.is_told and len(self._answers) < self._pace.attempts

    def is_silent(self) -> bool:
        """Whether an attempt is under way, and nothing was heard for a while."""
        return None in self._answers and time.monotonic() - self._latest > OVERLAP_S / 2

    def attempt(self) -> None:
        with self._lock:
            if not self.is_open():
                return
            number = len(self._answers)
            self._answers.append(None)
        answer = self._settled()
        with self._lock:
            self._answers[number] = answer
            is_last = not self.is_open() and None not in self._answers
            if self.is_told or not (is_last or answer["outcome"] in ("answered", "unable")):
                return
            self.is_told = True
            if answer["outcome"] not in ("answered", "unable"):
                answer, number = self._answers[-1] or answer, len(self._answers) - 1
            history = [one["outcome"] if one else "timeout" for one in self._answers[: number + 1]]
        took = {"history": history, "settling": self._settling, "duration_s": round(time.monotonic() - self._start, 4)}
        self._tell({"id": self._probe["id"], **answer, "attempts": len(history), **took})

    def _heard(self) -> None:
        self._latest = time.monotonic()

    def _settled(self) -> Fields:
        while True:
            self._heard()
            try:
                check_size(self._probe["protocol"], self._probe["size"])
                answer = ASK[self._probe["protocol"]](self._probe, self._pace.timeout, self._heard)
            except UnableError as error:
                return {"outcome": "unable", "error": str(error)}
            except Exception as error:  # whatever it is: who asked waits for an answer
                return {"outcome": "unable", "error": f"{type(error).__name__}: {error}"}
            if answer["outcome"] == "answered":
                self._pace.answered(answer["rtt_ms"])
            if answer["outcome"] != "refused" or time.monotonic() >= self._pace.settle_until:
                return answer
            self._settling += 1
            time.sleep(SETTLE_PAUSE_S)


def own_addresses() -> list[str]:
    """Every IPv4 address of this network namespace; /proc because it needs neither a program nor a privilege."""
    found = set()
    address = ""
    try:
        with open("/proc/net/fib_trie") as trie:
            for line in trie:
                words = line.split()
                if words[:1] == ["|--"]:
                    address = words[1]
                elif words[:3] == ["/32", "host", "LOCAL"]:
                    found.add(address)
    except OSError:
        pass
    return sorted(found)


def device_mtus() -> dict[str, int]:
    """MTU by device of this network namespace, without loopback; by ioctl because /sys may show another namespace's."""
    found = {}
    with open_socket(socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, SIOCGIFMTU, struct.pack("@16s16x8x", name.encode()))
            except OSError:
                continue  # it has gone since
            if name != "lo":
                found[name] = int(struct.unpack_from("@i", answer, 16)[0])
    return found


def underlay_mtu() -> int | None:
    """MTU of the device with the default route, which is where Submariner's VXLAN devices take theirs from."""
    try:
        with open("/proc/net/route") as routes:
            for line in routes:
                words = line.split()
                if len(words) > 7 and words[1] == words[7] == "00000000":
                    return device_mtus().get(words[0])
    except (OSError, UnableError):
        pass
    return None


def hello() -> Fields:
    return {
        "version": VERSION,
        "name": NAME,
        "hostname": socket.gethostname(),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "addresses": own_addresses(),
        "mtu": underlay_mtu(),
    }


def connect() -> int:
    try:
        converse(sys.stdin.readline(), sys.stdout.buffer)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def converse(line: str, stream: Any) -> None:
    """The conversation. A few threads walk the probes, which is quickest while answers come, and one more for each probe that waits in
    vain, up to `cap`.

    ValueError when `line` is not a request. When nobody reads the stream any more, OSError: what was not asked is not asked then.
    """
    try:
        request = json.loads(line)
        if request["version"] != VERSION:
            raise ValueError(f"version {request['version']}; this agent speaks {VERSION}")
        probes, nonce = list(request["probes"]), str(request["nonce"])
        cap, attempts = int(request["cap"]), int(request["attempts"])
        rate = float(request.get("rate") or 0.0)
        timeout, settle = max(1.0, float(request["timeout_s"])), float(request["settle_s"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not a request: {type(error).__name__}: {error}") from None
    output = Output(stream)
    output.say({"hello": hello()})
    output.flush()
    waiting, lock = iter(probes), threading.Lock()
    starts = time.monotonic()
    ended, is_over = threading.Event(), not probes

    def tell(answer: Fields) -> None:
        if output.say(answer, answer=True) == len(probes):
            ended.set()  # not sooner: to wake the thread that waits costs as much as a probe

    def pump() -> None:
        nonlocal starts
        while not is_over:
            with lock:
                probe = next(waiting, None)
                pause = starts - time.monotonic()
                starts = max(starts, time.monotonic()) + (1 / rate if rate else 0.0)
            if probe is None:
                return
            if rate and pause > 0:
                time.sleep(pause)
            Asking(probe, pace, tell).run()

    started = 0

    def start_pump() -> None:
        nonlocal started
        if started < min(cap, len(probes)):
            started += 1
            threading.Thread(target=pump, daemon=True).start()

    pace = Pace(timeout, attempts, time.monotonic() + settle, start_pump)
    for _ in range(PUMPS):
        start_pump()
    try:
        while not is_over and not ended.wait(GATHER_S):
            output.flush()
    finally:
        is_over = True
        pace.close()
    output.close(nonce)


def main(argv: list[str]) -> int:
    if argv[:1] == ["listen"] and len(argv) == 2 and argv[1].isdigit():
        return listen(int(argv[1]))
    if argv == ["connect"]:
        return connect()
    if argv[:1] == ["ask"] and 3 <= len(argv) <= 5 and argv[1] in ASK:
        port, size = [int(word) if word.isdigit() else 0 for word in [*argv[3:], "0", "0"][:2]]
        size = size or SIZES[argv[1]]
        probe = {"id": "ask", "protocol": argv[1], "address": argv[2], "port": port, "size": size}
        try:
            check_size(argv[1], size)
        except UnableError as error:
            sys.stderr.write(f"ask: {error}\n")
            return 2
        answers: list[Fields] = []
        Asking(probe, Pace(5.0, 1, 0.0, lambda: None), answers.append).run()
        answer = answers[0]
        sys.stdout.write(json.dumps(answer) + "\n")
        return 0 if answer["outcome"] == "answered" else 1
    sys.stderr.write("usage: listen PORT | connect | ask tcp|udp|icmp|mtu ADDRESS [PORT [SIZE]]\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

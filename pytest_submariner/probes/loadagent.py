"""Puts load on a path and measures it from inside probe pods: one self-contained file, standard library only, Python 3.8 or newer.

It travels in the first line of a conversation (`throughput.py`), so that only runs which load clusters carry it. That line is
JSON with `source` (this file), `nonce`, `mode`, and what the mode needs:

    serve        timeout_s                                       a server on a free TCP port, until stdin ends or time is up
    throughput   address, port, streams, omit_s, seconds         TCP streams to a server; the server counts what arrives
    tcp          address, port, seconds, samples                 round trips of 64 bytes over one connection to a server
    icmp         address, seconds, samples, pause_s              echo requests, one after another

Each writes a line `{"hello": …}`, all but `serve` one `{"answer": …}` and the trailer that proves both are whole:

    {"answer": {"mbit_s": 941.2, "bytes": 117650000, "seconds": 1.0, "streams": 1, "retransmits": 0, "segment_bytes": 1360}}
    {"answer": {"rtt_ms": {"min": 0.1, "mean": 0.2, "p50": 0.2, "p90": 0.3, "p99": 0.4, "max": 0.9}, "samples": 5000, "lost": 0}}
    {"answer": {"failed": "connect", "error": "ETIMEDOUT: timed out"}}
    {"trailer": {"nonce": "…", "digest": "<SHA-256 of all lines above>"}}

`failed` is `connect` (no connection came about), `broken` (it ended, or nothing more came over it) or `unable` (this pod cannot ask).
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import socket
import struct
import sys
import threading
import time

TYPE_CHECKING = False  # what typing calls so; importing it would cost start-up time
if TYPE_CHECKING:
    from typing import Any

    Fields = dict[str, Any]

CONTROL, DATA, ECHO = b"C", b"D", b"E"
CHUNK = 256 * 1024
ROUND_TRIP_BYTES = 64
ECHO_BYTES = 56  # what ping sends
WARM_UP = 10  # round trips that do not count: caches, neighbour entries and slow start
CONNECT_S = 5.0
SILENCE_S = 5.0
RETRANSMITS, SEGMENT = 100, 16  # offsets of tcpi_total_retrans and tcpi_snd_mss in struct tcp_info (linux/tcp.h)
SILENT = (socket.timeout, TimeoutError)  # two different classes before Python 3.10


class FailedError(Exception):
    """Nothing to measure; the arguments are `failed` and `error` of the answer."""


def explain(error: OSError) -> str:
    return f"{errno.errorcode.get(error.errno or 0, 'error')}: {error.strerror or error}"


# The server


class Server:
    """Serves the one client that knows the nonce. A counter for each stream, written by its thread alone."""

    def __init__(self, nonce: str) -> None:
        self.token = token(nonce)
        self.received: list[int] = []
        self.joining = threading.Lock()
        self.listening = socket.create_server(("0.0.0.0", 0), backlog=64)

    def accept(self) -> None:
        while True:
            connection, _ = self.listening.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(SILENCE_S)
                if read_exactly(connection, len(self.token)) != self.token:
                    return
                kind = read_exactly(connection, 1)
                if kind == DATA:
                    self.count(connection)
                elif kind == ECHO:
                    echo(connection)
                elif kind == CONTROL:
                    wanted = json.loads(connection.makefile("r").readline())
                    connection.sendall(json.dumps(self.measure(wanted)).encode() + b"\n")
            except (OSError, ValueError, FailedError):
                return  # the client tells its own side of it

    def count(self, connection: socket.socket) -> None:
        with self.joining:
            slot = len(self.received)
            self.received.append(0)
        buffer = bytearray(CHUNK)
        while True:
            size = connection.recv_into(buffer)
            if not size:
                return
            self.received[slot] += size

    def measure(self, wanted: Fields) -> Fields:
        """What arrives in `seconds`, once every stream has brought data and `omit_s` of slow start are over."""
        patience = time.monotonic() + CONNECT_S
        while len(self.received) < wanted["streams"] or not all(self.received):
            if time.monotonic() > patience:
                arrived = sum(1 for size in self.received if size)
                return {"failed": "connect", "error": f"data came over {arrived} of {wanted['streams']} streams"}
            time.sleep(0.002)
        time.sleep(wanted["omit_s"])
        start, before = time.monotonic(), sum(self.received)
        time.sleep(wanted["seconds"])
        took, size = time.monotonic() - start, sum(self.received) - before
        if not size:
            return {"failed": "broken", "error": f"the streams stood still for {took:.1f} s"}
        return {"mbit_s": round(size * 8 / took / 1e6, 3), "bytes": size, "seconds": round(took, 4)}


def echo(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        data = connection.recv(ROUND_TRIP_BYTES)
        if not data:
            return
        connection.sendall(data)


def serve(request: Fields, output: Output) -> None:
    """Until whoever started us closes stdin, which a broken conversation does as well."""
    server = Server(request["nonce"])
    threading.Thread(target=server.accept, daemon=True).start()
    threading.Timer(request["timeout_s"], os._exit, (0,)).start()
    output.say({"hello": {"port": server.listening.getsockname()[1]}})
    sys.stdin.read()
    os._exit(0)


# The client


def token(nonce: str) -> bytes:
    return hashlib.sha256(nonce.encode()).digest()[:16]


def read_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            chunk = connection.recv(size - len(data))
        except SILENT:
            raise FailedError("broken", f"nothing came for {SILENCE_S:g} s") from None
        except OSError as error:
            raise FailedError("broken", explain(error)) from None
        if not chunk:
            raise FailedError("broken", "the other end closed the connection")
        data += chunk
    return data


def connect(request: Fields, kind: bytes) -> socket.socket:
    try:
        connection = socket.create_connection((request["address"], request["port"]), timeout=CONNECT_S)
    except SILENT:
        raise FailedError("connect", f"no answer within {CONNECT_S:g} s") from None
    except OSError as error:
        raise FailedError("connect", explain(error)) from None
    connection.settimeout(SILENCE_S)
    connection.sendall(token(request["nonce"]) + kind)
    return connection


def throughput(request: Fields) -> Fields:
    streams = [connect(request, DATA) for _ in range(request["streams"])]
    ended = threading.Event()
    senders = [threading.Thread(target=send, args=(stream, ended), daemon=True) for stream in streams]
    try:
        with connect(request, CONTROL) as control:
            wanted = {name: request[name] for name in ("streams", "omit_s", "seconds")}
            control.sendall(json.dumps(wanted).encode() + b"\n")
            for sender in senders:
                sender.start()
            control.settimeout(CONNECT_S + request["omit_s"] + request["seconds"] + SILENCE_S)
            line = control.makefile("r").readline()
        counted: Fields = json.loads(line) if line else {"failed": "broken", "error": "the server ended"}
    except (OSError, ValueError) as error:
        raise FailedError("broken", str(error)) from None
    finally:
        ended.set()
        for sender in senders:
            if sender.ident is not None:
                sender.join(SILENCE_S)
    facts = [tcp_facts(stream) for stream in streams]
    for stream in streams:
        stream.close()
    segment = min(segment for _, segment in facts)
    return {**counted, "streams": len(streams), "retransmits": sum(r for r, _ in facts), "segment_bytes": segment}


def send(stream: socket.socket, ended: threading.Event) -> None:
    data = os.urandom(CHUNK)  # so that nothing between the pods can make it smaller
    stream.settimeout(0.2)
    while not ended.is_set():
        try:
            stream.send(data)
        except SILENT:
            continue
        except OSError:
            return  # the server sees fewer bytes, or stands still, and says so


def tcp_facts(stream: socket.socket) -> tuple[int, int]:
    """Segments sent again, and bytes of a full segment."""
    info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    return struct.unpack_from("@I", info, RETRANSMITS)[0], struct.unpack_from("@I", info, SEGMENT)[0]


def tcp_round_trips(request: Fields) -> Fields:
    data = os.urandom(ROUND_TRIP_BYTES)
    times: list[float] = []
    with connect(request, ECHO) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + request["seconds"]
        while len(times) < request["samples"] + WARM_UP and time.monotonic() < end:
            start = time.perf_counter()
            try:
                connection.sendall(data)
            except OSError as error:
                raise FailedError("broken", explain(error)) from None
            if read_exactly(connection, ROUND_TRIP_BYTES) != data:
                raise FailedError("broken", "other bytes came back than were sent")
            times.append(time.perf_counter() - start)
    return summary(times, 0)


def icmp_round_trips(request: Fields) -> Fields:
    """By a ping socket: the kernel writes identifier and checksum, and hands over our own replies only."""
    try:
        connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    except OSError as error:
        raise FailedError(
            "unable", f"no ping socket ({explain(error)}): net.ipv4.ping_group_range excludes it"
        ) from None
    times: list[float] = []
    lost = sequence = 0
    payload = os.urandom(ECHO_BYTES)
    with connection:
        connection.connect((request["address"], 0))
        end = time.monotonic() + request["seconds"]
        while len(times) + lost < request["samples"] + WARM_UP and time.monotonic() < end:
            sequence = (sequence + 1) & 0xFFFF
            start = time.perf_counter()
            if answered(connection, sequence, payload):
                times.append(time.perf_counter() - start)
            else:
                lost += 1
            time.sleep(request["pause_s"])
    if not times:
        raise FailedError("connect", f"none of {lost} echo requests was answered")
    return summary(times, lost)


def answered(connection: socket.socket, sequence: int, payload: bytes) -> bool:
    """Whether the reply to this very echo request comes within a second."""
    deadline = time.monotonic() + 1.0
    try:
        connection.send(struct.pack("!BBHHH", 8, 0, 0, 0, sequence) + payload)
        while True:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            packet = connection.recv(2048)
            if packet[:1] == b"\0" and packet[6:8] == struct.pack("!H", sequence) and packet[8:] == payload:
                return True
    except OSError:
        return False


def summary(times: list[float], lost: int) -> Fields:
    """Milliseconds; percentiles by nearest rank. The first round trips do not count where there are enough."""
    counted = times[WARM_UP:] if len(times) > 2 * WARM_UP else times
    if not counted:
        raise FailedError("broken", "no round trip ended in time")
    ranked = sorted(counted)

    def rank(share: float) -> float:
        return ranked[max(0, math.ceil(share * len(ranked)) - 1)]

    found = {"min": ranked[0], "mean": sum(ranked) / len(ranked), "p50": rank(0.5), "p90": rank(0.9), "p99": rank(0.99)}
    found["max"] = ranked[-1]
    return {"rtt_ms": {name: round(s * 1000, 4) for name, s in found.items()}, "samples": len(ranked), "lost": lost}


# The conversation


class Output:
    """Lines of JSON on stdout, hashed."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def say(self, document: Fields) -> None:
        line = json.dumps(document, separators=(",", ":")) + "\n"
        self.digest.update(line.encode())
        sys.stdout.write(line)
        sys.stdout.flush()


def main(request: Fields) -> None:
    output = Output()
    if request["mode"] == "serve":
        serve(request, output)
    output.say({"hello": {"python": ".".join(str(part) for part in sys.version_info[:3])}})
    measure = {"throughput": throughput, "tcp": tcp_round_trips, "icmp": icmp_round_trips}[request["mode"]]
    try:
        answer = measure(request)
    except FailedError as failed:
        answer = {"failed": failed.args[0], "error": failed.args[1]}
    output.say({"answer": answer})
    output.say({"trailer": {"nonce": request["nonce"], "digest": output.digest.hexdigest()}})
    sys.stdout.flush()
    os._exit(0)  # senders may still be in a send


if "REQUEST" in globals():  # put there by whoever runs this text; see BOOTSTRAP in throughput.py
    main(globals()["REQUEST"])

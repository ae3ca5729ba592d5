"""The agent, for real: a listener and connectors as processes, on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_submariner.errors import ProbeInconclusive
from pytest_submariner.model.path import Protocol
from pytest_submariner.probes import agent
from pytest_submariner.probes.conversation import Conversation, Probe, Request, read, read_lines
from pytest_submariner.probes.measurement import Measurement, Outcome
from pytest_submariner.probes.pods import agent_command, conversation_command, source_of

NAME = "pod-c2-w1"
COMMAND = ["sh", "-c", f'exec {sys.executable} -u -c "$SUBMARINER_PROBE_AGENT" "$@"', "sh"]
ENVIRONMENT = {**os.environ, "SUBMARINER_PROBE_AGENT": source_of("agent")}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def listener() -> Iterator[int]:
    """The port of a listener which runs as pods run it."""
    port = free_port()
    environment = {**ENVIRONMENT, "SUBMARINER_PROBE_NAME": NAME}
    with subprocess.Popen([*COMMAND, "listen", str(port)], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"listening on TCP and UDP port {port}\n".encode()
        yield port
        process.terminate()
        assert process.wait(5) == 0


def converse(request: Request) -> Conversation:
    done = subprocess.run(
        [*COMMAND, "connect"], env=ENVIRONMENT, input=request.line + b"\n", capture_output=True, timeout=60, check=True
    )
    return read(request, done.stdout.splitlines())


def ask(protocol: str, port: int, address: str = "127.0.0.1", **times: Any) -> Measurement:
    request = Request(
        [Probe("x", Protocol(protocol), address, port)], **{"timeout_s": 1.0, "attempts": 1, "settle_s": 0.0, **times}
    )
    return converse(request).measurements["x"]


@contextlib.contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that does `behave` with its first connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept: list[socket.socket] = []

        def serve() -> None:
            connection, _ = listening.accept()
            kept.append(connection)
            behave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)
        for connection in kept:
            connection.close()


def test_tcp(listener: int) -> None:
    found = ask("tcp", listener)
    assert found.outcome is Outcome.ANSWERED
    assert (found.sent, found.received) == (3000, 3000)
    assert (found.seen, found.local, found.listener) == ("127.0.0.1", "127.0.0.1", NAME)
    assert found.rtt_ms is not None
    assert 0 < found.rtt_ms < 1000


def test_udp_is_answered_from_the_address_that_was_asked(listener: int) -> None:
    found = ask("udp", listener, "127.0.0.77")
    assert found.outcome is Outcome.ANSWERED, found.error
    assert (found.sent, found.received, found.listener) == (512, 512, NAME)


def test_many_at_once(listener: int) -> None:
    probes = [Probe(str(i), Protocol("udp" if i % 2 else "tcp"), "127.0.0.1", listener) for i in range(200)]
    whole = converse(Request(probes, timeout_s=5.0, settle_s=0.0))
    assert {m.outcome for m in whole.measurements.values()} == {Outcome.ANSWERED}
    assert "127.0.0.1" in whole.hello.addresses


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_refused(protocol: str) -> None:
    found = ask(protocol, free_port(), attempts=2)
    assert found.outcome is Outcome.REFUSED
    assert (found.attempts, found.history) == (2, (Outcome.REFUSED, Outcome.REFUSED))
    assert found.error.startswith("ECONNREFUSED")


def test_a_refusal_does_not_count_while_listeners_come_up() -> None:
    port = free_port()

    def come_up() -> None:
        time.sleep(0.7)
        process = subprocess.Popen([*COMMAND, "listen", str(port)], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        started.append(process)

    started: list[subprocess.Popen[bytes]] = []
    late = threading.Thread(target=come_up)
    late.start()
    try:
        found = ask("tcp", port, settle_s=20.0)
    finally:
        late.join()
        for process in started:
            process.terminate()
            process.wait(5)
    assert found.outcome is Outcome.ANSWERED
    assert found.attempts == 1
    assert found.settling > 0


def test_udp_silence_is_a_timeout() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        found = ask("udp", silent.getsockname()[1])
    assert found.outcome is Outcome.TIMEOUT


def test_tcp_silence_before_the_handshake_is_a_timeout() -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # an accept queue that is full drops SYNs
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(full.getsockname())
        assert ask("tcp", full.getsockname()[1]).outcome is Outcome.TIMEOUT


def test_silence_after_the_handshake_is_stalled() -> None:
    with server(lambda connection: None) as port:
        found = ask("tcp", port)
    assert found.outcome is Outcome.STALLED
    assert "silence after the handshake" in found.error
    assert "and 0 bytes of the answer came" in found.error
    assert found.rtt_ms is not None


def test_half_an_answer_is_stalled() -> None:
    def half(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(agent.HEADER.pack(agent.MAGIC, 3000) + b"x" * 1000)

    with server(half) as port:
        found = ask("tcp", port)
    assert (found.outcome, found.received) == (Outcome.STALLED, 1000)


def test_closed_after_the_handshake_is_a_reset() -> None:
    def close(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.close()

    with server(close) as port:
        assert ask("tcp", port).outcome is Outcome.RESET


def test_another_protocol_is_a_mismatch() -> None:
    with server(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as port:
        assert ask("tcp", port).outcome is Outcome.MISMATCH


def test_an_answer_to_other_bytes_is_a_mismatch() -> None:
    def stale(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(agent.report(("192.0.2.1", 1), b"other bytes".ljust(3000)))

    with server(stale) as port:
        found = ask("tcp", port)
    assert found.outcome is Outcome.MISMATCH
    assert "other bytes than were sent" in found.error


def test_an_address_without_route_is_unreachable() -> None:
    found = ask("tcp", 9, "240.0.0.1") if _no_route("240.0.0.1") else ask("tcp", 9, "255.255.255.255")
    assert found.outcome is Outcome.UNREACHABLE
    assert found.error


def _no_route(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((address, 9))
        except OSError:
            return True
    return False


def test_the_listener_ignores_what_is_not_for_it(listener: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for noise in (b"", b"x", b"SMP1\0\0\0\x05abc", b"\0" * 2000):
            stranger.sendto(noise, ("127.0.0.1", listener))
    with socket.create_connection(("127.0.0.1", listener)) as stranger:
        stranger.sendall(agent.HEADER.pack(agent.MAGIC, agent.LARGEST + 1))
        assert stranger.recv(1) == b""
    assert ask("udp", listener).outcome is Outcome.ANSWERED
    assert ask("tcp", listener).outcome is Outcome.ANSWERED


def test_icmp() -> None:
    try:
        agent.open_icmp()[0].close()
    except agent.UnableError:
        found = ask("icmp", 0)
        assert found.outcome is Outcome.UNABLE
        assert "ping_group_range" in found.error
    else:
        found = ask("icmp", 0)
        assert found.outcome is Outcome.ANSWERED
        assert (found.sent, found.received) == (56, 56)
        assert found.seen is None


def test_a_killed_agent_leaves_a_conversation_without_trailer(listener: int) -> None:
    request = Request(
        [Probe("quick", Protocol.TCP, "127.0.0.1", listener), Probe("slow", Protocol.TCP, "127.0.0.1", free_port())],
        settle_s=60.0,
    )
    with subprocess.Popen(
        [*COMMAND, "connect"], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request.line + b"\n")
        process.stdin.flush()
        said = [process.stdout.readline().rstrip(b"\n") for _ in range(2)]
        process.kill()
    with pytest.raises(ProbeInconclusive, match="broke off after 2 lines"):
        read(request, said)


@pytest.mark.parametrize("line", [b"", b"{}", b"not json", b'{"version": 99, "nonce": "n", "probes": []}'])
def test_a_bad_request_is_one_line_and_status_2(line: bytes) -> None:
    done = subprocess.run(
        [*COMMAND, "connect"], env=ENVIRONMENT, input=line + b"\n", capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(b"not a request: ")


def test_a_taken_port_is_one_line_and_status_1(listener: int) -> None:
    done = subprocess.run(
        [*COMMAND, "listen", str(listener)], env=ENVIRONMENT, capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"cannot listen on port {listener}: EADDRINUSE")
    assert len(done.stderr.splitlines()) == 1


def test_by_hand(listener: int) -> None:
    done = subprocess.run(
        [*COMMAND, "ask", "tcp", "127.0.0.1", str(listener)],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=20,
        check=True,
    )
    assert json.loads(done.stdout)["outcome"] == "answered"
    usage = subprocess.run(
        [*COMMAND, "ask", "sctp", "x"], env=ENVIRONMENT, capture_output=True, timeout=20, check=False
    )
    assert usage.returncode == 2
    assert usage.stderr.startswith(b"usage: ")


@pytest.mark.parametrize("size", [8, 9, 56, 57])
def test_echo_requests_have_a_right_checksum(size: int) -> None:
    """RFC 1071: the sum over a packet with its checksum in place is zero."""
    packet = agent.echo_request(0x1234, 7, os.urandom(size))
    assert len(packet) == 8 + size
    assert agent.checksum(packet + b"\0" * (len(packet) % 2)) == 0


@pytest.mark.parametrize(
    ("protocol", "size", "allowed"),
    [("tcp", "4194305", "4194304"), ("udp", "65508", "65507"), ("mtu", "70000", "65507")],
)
def test_a_size_above_the_limit_gets_one_clear_line(protocol: str, size: str, allowed: str) -> None:
    command = [*COMMAND, "ask", protocol, "127.0.0.1", "9", size]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert done.stderr == f"ask: {size} bytes cannot be asked by {protocol}: allowed are 0 to {allowed}\n"
    answers: list[dict[str, Any]] = []
    agent.Asking(
        {"id": "x", "protocol": protocol, "size": int(size)}, agent.Pace(1.0, 2, 0.0, lambda: None), answers.append
    ).run()
    (answer,) = answers
    assert (answer["outcome"], answer["attempts"]) == ("unable", 1)


def test_a_rate_paces_the_starts(listener: int) -> None:
    probes = [Probe(f"p{i}", Protocol.TCP, "127.0.0.1", listener) for i in range(6)]
    request = Request(probes, timeout_s=1.0, attempts=1, settle_s=0.0, rate=10)
    started = time.monotonic()
    answers = converse(request).measurements
    assert time.monotonic() - started >= 0.5
    assert {m.outcome for m in answers.values()} == {Outcome.ANSWERED}
    assert request.deadline_s == Request(probes, timeout_s=1.0, attempts=1, settle_s=0.0).deadline_s + 0.6


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a pod whose listener runs: a conversation begun in it is held by that listener."""
    (tmp_path / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    environment = {
        **ENVIRONMENT,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SUBMARINER_PROBE_NAME": f"pod-{os.getpid()}",
        "SUBMARINER_PROBE_SHELL": "exit 9",
    }
    port = free_port()
    with subprocess.Popen(agent_command("listen", str(port)), env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield {**environment, "PORT": str(port), "PID": str(process.pid)}
        process.terminate()
        assert process.wait(5) == 0
    assert not room_of(environment), "named pipes were left behind"


def room_of(environment: dict[str, str]) -> list[Path]:
    return list(Path("/dev/shm").glob(f"submariner-probe-*-{environment['SUBMARINER_PROBE_NAME']}"))


def begin(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        conversation_command(), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_listener_holds_conversations(pod: dict[str, str]) -> None:
    requests = [
        Request([Probe(f"{i}-{j}", Protocol.TCP, "127.0.0.1", int(pod["PORT"])) for j in range(20 * i)])
        for i in range(4)
    ]
    begun = [begin(pod) for _ in requests]
    for process, request in zip(begun, requests, strict=True):
        said, complaint = process.communicate(request.line + b"\n", timeout=30)
        whole = read(request, said.splitlines())
        assert {m.outcome for m in whole.measurements.values()} <= {Outcome.ANSWERED}
        assert len(whole.measurements) == len(request.probes)
        assert (process.returncode, complaint, whole.hello.name) == (0, b"", pod["SUBMARINER_PROBE_NAME"])
    assert [path.name for path in room_of(pod)[0].iterdir()] == ["ask"], "requests and answers were left behind"


def test_a_listener_is_not_hurt_by_nonsense_and_by_those_who_leave(pod: dict[str, str]) -> None:
    with begin(pod) as process:
        said, _ = process.communicate(b'{"version": 2}\n', timeout=10)
    with pytest.raises(ProbeInconclusive, match="not a request: ValueError: version 2"):
        read(Request([]), said.splitlines())
    slow = Request([Probe(str(i), Protocol.TCP, "127.0.0.1", free_port()) for i in range(64)], settle_s=2.0)
    with begin(pod) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(slow.line + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.kill()
    (room_of(pod)[0] / "ask").write_text("../../etc/passwd\n\n12345\n")  # nobody asks so, and 12345 has no request
    request = Request([Probe("x", Protocol.TCP, "127.0.0.1", int(pod["PORT"]))])
    with begin(pod) as process:
        said, _ = process.communicate(request.line + b"\n", timeout=10)
    assert read(request, said.splitlines()).measurements["x"].outcome is Outcome.ANSWERED


def test_a_frozen_listener_says_nothing(pod: dict[str, str]) -> None:
    os.kill(int(pod["PID"]), signal.SIGSTOP)
    process = begin(pod)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(Request([]).line + b"\n", timeout=1)
        assert process.stdout is not None
    finally:
        os.kill(int(pod["PID"]), signal.SIGCONT)
    said, _ = process.communicate(timeout=10)
    assert read_lines(said.splitlines(), json.loads(said.splitlines()[-1])["trailer"]["nonce"])


def test_without_a_listener_a_conversation_has_an_agent_of_its_own(pod: dict[str, str]) -> None:
    request = Request([Probe("x", Protocol.TCP, "127.0.0.1", int(pod["PORT"]))])
    with begin({**pod, "SUBMARINER_PROBE_NAME": "another"}) as process:
        said, _ = process.communicate(request.line + b"\n", timeout=20)
    whole = read(request, said.splitlines())
    assert (whole.hello.name, whole.measurements["x"].listener) == ("another", pod["SUBMARINER_PROBE_NAME"])


@contextlib.contextmanager
def answering(delay_s: float, *, drops: int = 0) -> Iterator[int]:
    """The port of a UDP listener which drops the first datagrams and answers the others late."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        received: list[bytes] = []

        def later(datagram: bytes, peer: Any) -> None:
            time.sleep(delay_s)
            with contextlib.suppress(OSError):
                far.sendto(agent.report(peer, datagram[agent.HEADER.size :]), peer)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    datagram, peer = far.recvfrom(65535)
                    received.append(datagram)
                    if len(received) > drops:
                        threading.Thread(target=later, args=(datagram, peer), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield far.getsockname()[1]


def test_a_silent_path_takes_one_timeout_and_a_little() -> None:
    with answering(60.0) as port:
        found = ask("udp", port, timeout_s=1.0, attempts=3)
    assert found.history == (Outcome.TIMEOUT,) * 3
    assert 1.8 <= found.duration_s < 2.8


def test_lost_packets_are_made_good_before_the_timeout() -> None:
    with answering(0.0, drops=2) as port:
        found = ask("udp", port, timeout_s=5.0, attempts=3)
    assert found.history == (Outcome.TIMEOUT, Outcome.TIMEOUT, Outcome.ANSWERED)
    assert 0.8 <= found.duration_s < 4.0


def test_a_slow_path_is_answered_at_its_first_attempt() -> None:
    with answering(1.6) as port:
        found = ask("udp", port, timeout_s=2.0, attempts=3)
    assert (found.outcome, found.attempts) == (Outcome.ANSWERED, 1)
    assert found.rtt_ms is not None
    assert found.rtt_ms >= 1600


def test_where_answers_are_slow_silence_has_to_last_longer() -> None:
    with answering(0.5) as usual, answering(3.0) as slow:
        probes = [Probe("usual", Protocol.UDP, "127.0.0.1", usual), Probe("slow", Protocol.UDP, "127.0.0.1", slow)]
        found = converse(Request(probes, timeout_s=1.0, attempts=3, settle_s=0.0)).measurements
    assert found["usual"].attempts == 1
    assert found["slow"].outcome is Outcome.ANSWERED
    assert found["slow"].duration_s > 3.0


def test_silent_paths_do_not_hold_up_each_other() -> None:
    with answering(60.0) as port:
        probes = [Probe(str(i), Protocol.UDP, "127.0.0.1", port) for i in range(32)]
        started = time.monotonic()
        found = converse(Request(probes, timeout_s=1.0, attempts=1, settle_s=0.0, cap=32)).measurements
    assert {m.outcome for m in found.values()} == {Outcome.TIMEOUT}
    assert time.monotonic() - started < 4.0, "eight at a time would take as long"


def test_a_probe_that_cannot_be_understood_is_answered_too(listener: int) -> None:
    good = Request([Probe("good", Protocol.TCP, "127.0.0.1", listener)], settle_s=0.0)
    line = json.loads(good.line)
    line["probes"].append({"id": "odd", "protocol": "tcp", "size": 10})
    sent = json.dumps(line).encode() + b"\n"
    done = subprocess.run(
        [*COMMAND, "connect"], env=ENVIRONMENT, input=sent, capture_output=True, timeout=20, check=True
    )
    answers = {a["id"]: a["outcome"] for a in map(json.loads, done.stdout.splitlines()[1:-1])}
    assert answers == {"good": "answered", "odd": "unable"}

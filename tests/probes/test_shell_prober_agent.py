"""The agent for images without Python, for real: listener and connectors as processes on the loopback, with the lab's nc."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_submariner.lab
from pytest_submariner.model.path import PathCase, Protocol
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.paths.expectations import promise
from pytest_submariner.probes.conversation import Conversation, Probe, Request, read
from pytest_submariner.probes.judge import Ends, judge
from pytest_submariner.probes.measurement import Measurement, Outcome
from pytest_submariner.probes.pods import agent_command, shell_source, source_of

NAME = "pod-c2-w1"
PROGRAMS = (
    "sh",
    "cat",
    "grep",
    "head",
    "hostname",
    "mkdir",
    "mkfifo",
    "od",
    "rm",
    "sha256sum",
    "sleep",
    "tail",
    "tee",
    "tr",
)
NETCAT = Path(pytest_submariner.lab.__file__).with_name("programs") / "netcat.py"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a container that has no python3 on PATH, and an nc that talks like busybox's."""
    folder = tmp_path_factory.mktemp("image")
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found, f"{name} is missing on this machine"
        (folder / name).symlink_to(found)
    (folder / "nc").write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {NETCAT} "$@"\n')
    (folder / "nc").chmod(0o755)
    sources = {"SUBMARINER_PROBE_AGENT": source_of("agent"), "SUBMARINER_PROBE_SHELL": shell_source()}
    return {"PATH": str(folder), "SUBMARINER_PROBE_NAME": NAME, **sources}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def listener(image: dict[str, str]) -> Iterator[int]:
    port = free_port()
    command = [shutil.which("sh") or "sh", *agent_command("listen", str(port))[1:]]
    with subprocess.Popen(command, env=image, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"listening on TCP and UDP port {port} by nc\n".encode()
        yield port
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
    assert not list(Path("/dev/shm").glob(f"submariner-probe-{port}-*")), "named pipes were left behind"


def converse(image: dict[str, str], request: Request) -> Conversation:
    command = [shutil.which("sh") or "sh", *agent_command("connect")[1:]]
    done = subprocess.run(command, env=image, input=request.line + b"\n", capture_output=True, timeout=90, check=True)
    return read(request, done.stdout.splitlines())


def ask(image: dict[str, str], protocol: str, port: int, tag: str = "") -> Measurement:
    request = Request([Probe("x", Protocol(protocol), "127.0.0.1", port, tag)], timeout_s=2.0, attempts=1)
    return converse(image, request).measurements["x"]


def test_it_is_chosen_where_there_is_no_python(image: dict[str, str]) -> None:
    hello = converse(image, Request([])).hello
    assert hello.python == ""
    assert hello.name == NAME
    assert "127.0.0.1" in hello.addresses


def test_python_is_preferred(image: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    hello = converse({**image, "PATH": f"{tmp_path}:{image['PATH']}"}, Request([])).hello
    assert hello.python.startswith("3.")


@pytest.mark.parametrize(("protocol", "size"), [("tcp", 3000), ("udp", 512)])
def test_the_listener_tells_who_asked(image: dict[str, str], listener: int, protocol: str, size: int) -> None:
    measured = ask(image, protocol, listener)
    assert (measured.outcome, measured.seen, measured.listener) == (Outcome.ANSWERED, "127.0.0.1", NAME)
    assert (measured.sent, measured.received) == (size, size)


def test_many_at_once_get_their_turn(image: dict[str, str], listener: int) -> None:
    request = Request([Probe(f"p{i}", Protocol.TCP, "127.0.0.1", listener) for i in range(6)], attempts=1)
    answers = converse(image, request).measurements
    assert [answers[f"p{i}"].outcome for i in range(6)] == [Outcome.ANSWERED] * 6


def test_another_server_is_not_taken_for_a_listener(image: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b'{"name":"somebody","seen":"127.0.0.1","sha256":"00"}\n')
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        threading.Thread(target=talk, daemon=True).start()
        measured = ask(image, "tcp", server.getsockname()[1])
    assert measured.outcome is Outcome.MISMATCH


def test_silence_after_the_handshake_is_a_stall(image: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []
        threading.Thread(target=lambda: kept.append(server.accept()), daemon=True).start()
        measured = ask(image, "tcp", server.getsockname()[1])
        assert measured.outcome is Outcome.STALLED
        assert kept


def test_a_refusal_counts_after_some_patience(image: dict[str, str]) -> None:
    patient = {**image, "SUBMARINER_PROBE_SHELL": image["SUBMARINER_PROBE_SHELL"].replace("patience=30", "patience=2")}
    started = time.monotonic()
    measured = ask(patient, "tcp", free_port())
    assert measured.outcome is Outcome.REFUSED
    assert measured.settling > 0
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("path", "tag", "text"),
    [
        ("pod.gw.c1--pod.gw.c2--icmp--pmtu", "pmtu", "cannot ask by mtu"),
        ("pod.gw.c1--pod.gw.c2--tcp--bulk", "bulk", "65536 bytes at most, not 1048576"),
    ],
)
def test_what_it_cannot_measure_is_skipped(image: dict[str, str], path: str, tag: str, text: str) -> None:
    case = PathCase.parse(path)
    measured = ask(image, case.protocol.value, 1, tag)
    assert measured.outcome is Outcome.UNSUPPORTED
    judgement = judge(case, promise(case), measured, Ends("10.8.1.5", (), (), "pod x", None))
    assert judgement.verdict is Verdict.SKIPPED
    assert text in judgement.detail


def test_an_nc_without_the_options_measures_nothing(image: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "nc").write_text("#!/bin/sh\necho 'nc: invalid option -- v' >&2\nexit 1\n")
    (tmp_path / "nc").chmod(0o755)
    poor = {**image, "PATH": f"{tmp_path}:{image['PATH']}"}
    for protocol in ("tcp", "udp"):
        assert ask(poor, protocol, free_port()).outcome is Outcome.UNSUPPORTED


def test_not_a_request(image: dict[str, str]) -> None:
    command = [shutil.which("sh") or "sh", *agent_command("connect")[1:]]
    done = subprocess.run(command, env=image, input=b'{"version":2}\n', capture_output=True, timeout=10, check=False)
    assert done.returncode == 2
    assert b"not a request" in done.stderr

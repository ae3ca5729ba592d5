"""Exec through the API: what arrives, and what each way of failing is called."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from exec_standin import ExecServer

from pytest_submariner.errors import CommandNotFound, ExecTimeout, ExitStatusLost, NodeUnreachable, TransportError
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.kube.errors import AccessDenied

NAMESPACE = "submariner-operator"


@pytest.fixture
def client(exec_server: ExecServer) -> KubeClient:
    return exec_server.client


@pytest.mark.parametrize("pod", ["v5", "v4", "late", "no-sh"])
def test_streams_and_exit_status_arrive(client: KubeClient, pod: str) -> None:
    result = client.exec(NAMESPACE, pod, None, ["bash", "-c", "printf out; printf err >&2; exit 7"])
    assert (result.exit_status, result.stdout, result.stderr) == (7, b"out", b"err")
    assert result.node == f"{NAMESPACE}/{pod}"


@pytest.mark.parametrize("pod", ["v5", "v4"])
def test_stdin_larger_than_any_buffer_comes_back_whole(client: KubeClient, pod: str) -> None:
    data = bytes(range(256)) * 20_000
    assert client.exec(NAMESPACE, pod, None, ["cat"], stdin=data).stdout == data


def test_without_sh_stdin_ends_by_protocol_v5(client: KubeClient) -> None:
    assert client.exec(NAMESPACE, "no-sh", None, ["cat"], stdin=b"abc").stdout == b"abc"


def test_without_sh_and_v5_stdin_cannot_be_ended(client: KubeClient) -> None:
    with pytest.raises(TransportError, match="stdin cannot be ended"):
        client.exec(NAMESPACE, "no-sh-v4", None, ["cat"], stdin=b"abc")


@pytest.mark.parametrize("pod", ["v5", "no-sh"])
def test_a_missing_program_is_named(client: KubeClient, pod: str) -> None:
    with pytest.raises(CommandNotFound, match="frobnicate"):
        client.exec(NAMESPACE, pod, None, ["frobnicate", "-x"])


def test_a_program_that_ends_with_127_is_not_a_missing_program(client: KubeClient) -> None:
    assert client.exec(NAMESPACE, "v5", None, ["bash", "-c", "exit 127"]).exit_status == 127


@pytest.mark.parametrize("pod", ["cut", "no-sh-cut", "no-sh-no-status"])
def test_a_stream_that_ends_early_is_a_lost_exit_status(client: KubeClient, pod: str) -> None:
    with pytest.raises(ExitStatusLost, match="without its exit status"):
        client.exec(NAMESPACE, pod, None, ["head", "-c", "500000", "/dev/zero"])


def test_the_trailer_replaces_a_lost_status(client: KubeClient) -> None:
    assert client.exec(NAMESPACE, "no-status", None, ["bash", "-c", "exit 3"]).exit_status == 3


def test_a_hole_in_the_output_is_noticed(client: KubeClient) -> None:
    with pytest.raises(TransportError, match=r"wrote 100000 bytes, \d+ arrived"):
        client.exec(NAMESPACE, "hole", None, ["head", "-c", "100000", "/dev/zero"])


@pytest.mark.parametrize(
    ("pod", "kind", "words"),
    [
        ("forbidden", AccessDenied, "is forbidden"),
        ("gone", NodeUnreachable, "not found"),
        ("no-container", TransportError, "not valid for pod"),
        ("kubelet-down", NodeUnreachable, "error dialing backend"),
    ],
)
def test_a_refused_handshake_is_one_clear_line(client: KubeClient, pod: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        client.exec(NAMESPACE, pod, None, ["true"])
    assert "\n" not in str(caught.value)


def test_a_deadline_keeps_what_had_come(client: KubeClient) -> None:
    started = time.monotonic()
    with pytest.raises(ExecTimeout) as caught:
        client.exec(NAMESPACE, "v5", None, ["bash", "-c", "echo early; sleep 30"], timeout=0.7)
    assert caught.value.partial == b"early\n"
    assert time.monotonic() - started < 3


def test_many_threads_do_not_disturb_each_other(client: KubeClient) -> None:
    def ask(number: int) -> bytes:
        return client.exec(NAMESPACE, "v5", None, ["bash", "-c", f"head -c 200000 /dev/zero; echo {number}"]).stdout[
            -3:
        ]

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(10, 34))) == [f"{n}\n".encode() for n in range(10, 34)]


def test_a_conversation_gives_lines_as_they_come(client: KubeClient) -> None:
    script = "read first; echo got $first; echo; printf 'x\\ny\\n'; sleep 0.4; printf last"
    arrivals, lines = [], []
    started = time.monotonic()
    for line in client.converse(NAMESPACE, "v5", None, ["bash", "-c", script], first_line=b"hello", timeout=10):
        lines.append(line)
        arrivals.append(time.monotonic() - started)
    assert lines == [b"got hello", b"", b"x", b"y", b"last"]
    assert arrivals[-1] - arrivals[2] > 0.3


def test_a_conversation_that_fails_says_how(client: KubeClient) -> None:
    lines = client.converse(
        NAMESPACE, "v4", None, ["bash", "-c", "echo one; echo sorry >&2; exit 4"], first_line=b"", timeout=10
    )
    assert next(lines) == b"one"
    with pytest.raises(TransportError, match="status 4: sorry"):
        next(lines)


def test_a_conversation_that_breaks_is_noticed_after_its_lines(client: KubeClient) -> None:
    script = "for i in 1 2 3; do echo line$i; done; head -c 5000 /dev/zero"
    got: list[bytes] = []
    with pytest.raises(ExitStatusLost):
        got.extend(client.converse(NAMESPACE, "cut", None, ["bash", "-c", script], first_line=b"", timeout=10))


def test_a_conversation_without_end_meets_its_deadline(client: KubeClient) -> None:
    with pytest.raises(ExecTimeout):
        list(client.converse(NAMESPACE, "v5", None, ["sleep", "20"], first_line=b"", timeout=0.5))


def test_exec_on_loopback_whatever_proxy_is_set(client: KubeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "elsewhere")
    assert client.exec(NAMESPACE, "v5", None, ["echo", "x"]).stdout == b"x\n"


def test_a_server_nobody_vouches_for_is_not_trusted(exec_server: ExecServer, tmp_path: Path) -> None:
    """By requests and by exec alike."""
    path = tmp_path / "config"
    text = exec_server.kubeconfig.read_text()
    path.write_text("\n".join(line for line in text.splitlines() if "certificate-authority" not in line))
    stranger = KubeClient(str(path), "stand-in")
    with pytest.raises(NodeUnreachable, match=r"cannot be trusted: .*certificate"):
        stranger.list("pods")
    with pytest.raises(NodeUnreachable, match=r"certificate verify failed"):
        stranger.exec(NAMESPACE, "v5", None, ["true"])

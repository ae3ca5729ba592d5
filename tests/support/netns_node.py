"""A node for tests that need a real kernel: a network namespace of its own, reached by a transport that enters it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence

import pytest

from pytest_submariner.errors import ExecTimeout
from pytest_submariner.kube.envelope import Envelope
from pytest_submariner.model.result import CommandResult
from pytest_submariner.model.topology import Node, Role
from pytest_submariner.transport.node import NodeExec


class NamespaceTransport:
    """Runs commands in the network namespace of a process."""

    name = "netns"
    about = "a network namespace of this machine"

    def __init__(self, pid: int, environment: dict[str, str] | None = None) -> None:
        self.pid = pid
        self._environment = environment

    def run(self, argv: Sequence[str], *, timeout: float = 30, stdin: bytes | None = None) -> CommandResult:
        envelope = Envelope(tuple(argv), timeout, stdin)
        command = [shutil.which("nsenter") or "nsenter", f"--net=/proc/{self.pid}/ns/net", *envelope.argv]
        started = time.monotonic()
        try:
            done = subprocess.run(
                command, input=stdin or b"", capture_output=True, timeout=timeout, check=False, env=self._environment
            )
        except subprocess.TimeoutExpired as late:
            raise ExecTimeout("too late", late.output or b"") from None
        letter = envelope.open(done.stdout, done.stderr, self.name)
        return CommandResult(
            "netns",
            tuple(argv),
            letter.exit_status,
            letter.stdout,
            letter.stderr,
            time.monotonic() - started,
            self.name,
        )

    def close(self) -> None:
        """The namespace belongs to who made it."""


@contextlib.contextmanager
def namespace() -> Iterator[int]:
    """A new network namespace, as the pid of a process in it, with lo up; skips without root."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make a network namespace")
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec sleep 300"], stdout=-1)
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != b"up\n":
            pytest.skip("this machine lets nobody make a network namespace")
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()


def node(pid: int, environment: dict[str, str] | None = None) -> NodeExec:
    """A node in the namespace of `pid`; `environment` replaces the commands' environment."""
    return NodeExec(Node("netns", "c1", Role.NON_GATEWAY, "127.0.0.1"), NamespaceTransport(pid, environment))

"""Nodes that are containers of this machine (kind): `docker exec`, or `podman exec`."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_submariner.errors import ExecTimeout, ExitStatusLost, NodeUnreachable
from pytest_submariner.kube.envelope import Envelope
from pytest_submariner.model.result import CommandResult
from pytest_submariner.transport.base import DEFAULT_TIMEOUT_S

ENGINES = ("docker", "podman")
INSPECT_TIMEOUT_S = 15


class DockerTransport:
    """Runs commands in the container named like the node. NodeUnreachable says which engines were asked and what they
    said."""

    name = "docker"

    def __init__(self, node: str) -> None:
        self._node = node
        self._engine = find_engine(node)

    @property
    def about(self) -> str:
        return f"{Path(self._engine).name} exec {self._node}"

    def run(
        self, argv: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT_S, stdin: bytes | None = None
    ) -> CommandResult:
        envelope = Envelope(tuple(argv), timeout, stdin)
        command = [self._engine, "exec", *(["-i"] if stdin is not None else []), self._node, *envelope.argv]
        started = time.monotonic()
        who = f"{self._node} by {self.name}"
        try:
            done = subprocess.run(
                command,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            partial = late.output or b""
            raise ExecTimeout(
                f"{who}: `{argv[0]}` did not end within {timeout:g} s; {len(partial)} bytes had come", partial
            ) from None
        except OSError as error:
            raise NodeUnreachable(f"{who}: {self._engine} cannot be run: {error.strerror}") from None
        try:
            letter = envelope.open(done.stdout, done.stderr, who)
        except ExitStatusLost:
            if not done.stdout and done.returncode:  # the engine's own words, not the command's
                raise NodeUnreachable(f"{who}: {_last_line(done.stderr) or f'exit {done.returncode}'}") from None
            raise
        return CommandResult(
            self._node,
            tuple(argv),
            letter.exit_status,
            letter.stdout,
            letter.stderr,
            time.monotonic() - started,
            self.name,
        )

    def close(self) -> None:
        """Nothing is held."""


def find_engine(node: str) -> str:
    """The first engine that has a running container of this name; NodeUnreachable when none has."""
    asked = []
    for name in ENGINES:
        program = shutil.which(name)
        if program is None:
            asked.append(f"{name} is not installed")
            continue
        try:
            done = subprocess.run(
                [program, "inspect", "--type", "container", "--format", "{{.State.Running}}", node],
                capture_output=True,
                timeout=INSPECT_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            asked.append(f"{name} does not answer ({type(error).__name__})")
            continue
        if done.returncode == 0 and done.stdout.strip() == b"true":
            return program
        said = _last_line(done.stderr) if done.returncode else "it is not running"
        asked.append(f"{name}: {said or 'no such container'}")
    raise NodeUnreachable(f"no container {node} on this machine: {'; '.join(asked)}")


def _last_line(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else ""

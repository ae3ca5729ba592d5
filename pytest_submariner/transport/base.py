"""What a transport is. Adding one: a class with these members in a module of its own, and a line in
`registry.TRANSPORTS`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from pytest_submariner.model.result import CommandResult

DEFAULT_TIMEOUT_S = 30.0


@runtime_checkable
class Transport(Protocol):
    """Runs commands on one node, in the node's own network namespace. Safe to use from several threads at once."""

    @property
    def name(self) -> str:
        """The word of `--submariner-exec`: pod, ssh, docker."""
        ...

    @property
    def about(self) -> str:
        """The way in words: `pod submariner-operator/submariner-routeagent-x7k2p`, `ssh root@172.18.1.2 port 22`."""
        ...

    def run(
        self, argv: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT_S, stdin: bytes | None = None
    ) -> CommandResult:
        """Run `argv` (no shell unless the caller names one), give it `stdin` to the end, wait for it at most `timeout`
        seconds.

        A non-zero exit status is an answer, not an error. Errors, each a TransportError: NodeUnreachable (there is no
        way to the node now; AccessDenied when asking again is useless), CommandNotFound, ExecTimeout (with partial
        stdout), ExitStatusLost; TransportError itself when the answer arrived damaged.
        """
        ...

    def close(self) -> None:
        """Let go of connections, and remove whatever was made on the way."""
        ...

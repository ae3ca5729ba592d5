"""Commands on a node, with verbs that say what is expected, and the one rule about asking again."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_submariner.errors import ExitStatusLost, NodeUnreachable, TransportError
from pytest_submariner.kube.errors import AccessDenied
from pytest_submariner.model.result import CommandResult
from pytest_submariner.model.topology import Node
from pytest_submariner.transport.base import DEFAULT_TIMEOUT_S, Transport

ATTEMPTS = 3
PAUSE_S = 0.3


class CommandFailed(TransportError):
    """`check` or `json` met a non-zero exit status, or output that is not JSON; `result` is the whole answer."""

    def __init__(self, message: str, result: CommandResult) -> None:
        super().__init__(message)
        self.result = result


class NodeExec:
    """A node, and the way to it.

    Asking again: only when the command was not asked (NodeUnreachable), never after a non-zero exit status, a deadline
    or a missing program. `repeatable` commands, which only read, are also asked again when their answer was lost on
    the way.
    """

    def __init__(self, node: Node, transport: Transport) -> None:
        self.node = node
        self.transport = transport

    def __repr__(self) -> str:
        return f"<{self.node.name} by {self.transport.name}>"

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        stdin: bytes | None = None,
        repeatable: bool = False,
    ) -> CommandResult:
        """Whatever the command answers. `timeout` in seconds is for each attempt."""
        if isinstance(argv, str):
            raise TypeError(f"argv is a list of words, not {argv!r}: give ['sh', '-c', ...] if a shell is meant")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                result = self.transport.run(list(argv), timeout=timeout, stdin=stdin)
            except AccessDenied:
                raise
            except (NodeUnreachable, ExitStatusLost) as error:
                asked = not isinstance(error, NodeUnreachable)
                if attempt == ATTEMPTS or (asked and not repeatable):
                    raise
                time.sleep(PAUSE_S * attempt * (0.5 + random.random()))
            else:
                return replace(result, node=self.node.name, attempts=attempt)
        raise AssertionError("the last attempt either returns or raises")

    def check(
        self,
        argv: Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        stdin: bytes | None = None,
        repeatable: bool = False,
    ) -> CommandResult:
        """The answer of a command that must succeed; CommandFailed carries the whole answer otherwise."""
        result = self.run(argv, timeout=timeout, stdin=stdin, repeatable=repeatable)
        if result.exit_status:
            raise CommandFailed(repr(result), result)
        return result

    def json(self, argv: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT_S) -> Any:
        """What a reading command prints as JSON. `ip -j` and `bridge -j` print nothing when there is nothing: that is
        []."""
        result = self.check(argv, timeout=timeout, repeatable=True)
        if not result.stdout.strip():
            return []
        try:
            return json.loads(result.stdout)
        except ValueError:
            raise CommandFailed(f"not JSON: {result!r}", result) from None

    def script(
        self, text: str, *arguments: str, timeout: float = DEFAULT_TIMEOUT_S, repeatable: bool = False
    ) -> CommandResult:
        """Run a POSIX sh script on the node; it travels by stdin, because exec requests carry commands in their URL."""
        return self.run(["sh", "-s", "--", *arguments], timeout=timeout, stdin=text.encode(), repeatable=repeatable)

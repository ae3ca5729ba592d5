"""A transport for tests: answers from a script, and can be late, cut short, unsure of the exit status, or dead."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_submariner.errors import ExecTimeout, ExitStatusLost, NodeUnreachable, TransportError
from pytest_submariner.model.result import CommandResult

Turn = Callable[["FakeTransport", tuple[str, ...]], CommandResult]


@dataclass
class FakeTransport:
    """Takes one turn per command, the last one again and again; `asked` lists what it was asked."""

    turns: list[Turn]
    name: str = "fake"
    about: str = "a fake"
    asked: list[tuple[str, ...]] = field(default_factory=list)
    stdins: list[bytes | None] = field(default_factory=list)
    closed: bool = False

    def run(self, argv: Sequence[str], *, timeout: float = 30, stdin: bytes | None = None) -> CommandResult:
        self.asked.append(tuple(argv))
        self.stdins.append(stdin)
        turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        return turn(self, tuple(argv))

    def close(self) -> None:
        self.closed = True


def answer(stdout: bytes = b"", *, status: int = 0, stderr: bytes = b"", delay: float = 0) -> Turn:
    def turn(transport: FakeTransport, argv: tuple[str, ...]) -> CommandResult:
        time.sleep(delay)
        return CommandResult("fake-node", argv, status, stdout, stderr, delay, transport.name)

    return turn


def fail(error: TransportError) -> Turn:
    def turn(transport: FakeTransport, argv: tuple[str, ...]) -> CommandResult:
        raise error

    return turn


dead = fail(NodeUnreachable("the node is gone"))
lost = fail(ExitStatusLost("the stream ended"))
truncated = fail(TransportError("wrote 10 bytes, 4 arrived"))
late = fail(ExecTimeout("too late", b"half"))

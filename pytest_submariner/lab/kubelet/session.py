"""What an exec asks for, and the client at the other end, however it speaks (SPDY or websocket)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from multidict import MultiMapping

Status = Mapping[str, Any]
"""A Kubernetes Status as it travels on the error channel."""
STDIN_LIMIT = 256 * 1024
"""Input the process has not read yet that we hold; beyond it the client's connection is not read."""


class Channel(IntEnum):
    """The websocket protocol's numbers; over SPDY the lower-case names are the stream types."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4


LOOK_AFTER_S = 1.0
"""A connection that is not read tells nothing of its end; so often we ask the kernel instead."""
_TCP_ESTABLISHED = 1


def has_left(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has closed or reset its side, even behind data nobody has read (man 7 tcp, TCP_INFO).

    An end that waits behind more than the socket buffers hold has not arrived, and cannot be seen.
    """
    connection = transport.get_extra_info("socket")
    try:
        return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _TCP_ESTABLISHED)
    except OSError:
        return True


class ClientGone(ConnectionError):
    """Nobody is there to take the output."""


@dataclass(frozen=True)
class ExecOptions:
    """The query of an exec request."""

    command: tuple[str, ...]
    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @classmethod
    def from_query(cls, query: MultiMapping[str]) -> ExecOptions:
        """Reads the pod API's names (`stdin=true`) and the kubelet's (`input=1`). ValueError says what is missing.

        A terminal has one output, so stderr is not asked for where there is a tty (`kubelet:pkg/server/remotecommand`).
        """
        tty = is_true(query, "tty")
        options = cls(
            command=tuple(query.getall("command", [])),
            stdin=is_true(query, "stdin", "input"),
            stdout=is_true(query, "stdout", "output"),
            stderr=is_true(query, "stderr", "error") and not tty,
            tty=tty,
        )
        if not options.command:
            raise ValueError("you must specify at least one command for the container")
        if not (options.stdin or options.stdout or options.stderr):
            raise ValueError("you must specify at least 1 of stdin, stdout, stderr")
        return options

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What the client opens, in its order."""
        asked = {
            Channel.STDIN: self.stdin,
            Channel.STDOUT: self.stdout,
            Channel.STDERR: self.stderr,
            Channel.RESIZE: self.tty,
        }
        return (Channel.ERROR, *(channel for channel, wanted in asked.items() if wanted))


def is_true(query: MultiMapping[str], *names: str) -> bool:
    """`true` and `1` are both in use, for the same switch under two names."""
    return any(value.lower() in ("true", "1") for name in names for value in query.getall(name, []))


class Session(Protocol):
    """One client of one command."""

    gone: asyncio.Event
    """Set when the client is no longer there."""
    stdin: Inbox
    resizes: Resizes

    async def send(self, channel: Channel, data: bytes) -> None:
        """Returns when the connection takes more; ClientGone when there is none."""

    async def finish(self, status: Status) -> None:
        """Send the outcome, end every stream, let the client close; all output must have been sent."""


class Inbox:
    """Bounded input on its way to a process. One side puts, the other gets."""

    def __init__(self, on_room: Callable[[], None] = lambda: None) -> None:
        """`on_room` is called when a full inbox has room again."""
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._ended = self._ignored = False
        self._changed = asyncio.Event()
        self._on_room = on_room

    @property
    def is_full(self) -> bool:
        return self._size >= STDIN_LIMIT

    def put(self, data: bytes) -> None:
        """Never blocks: who puts looks at `is_full` and stops reading its connection."""
        if data and not self._ended and not self._ignored:
            self._parts.append(data)
            self._size += len(data)
            self._changed.set()

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._changed.set()

    def ignore(self) -> None:
        """Nobody will get any more: what is here and what comes is dropped."""
        self._ignored = True
        self._parts.clear()
        self._size = 0
        self._changed.set()
        self._on_room()

    async def get(self) -> bytes:
        """The next part; b"" at the end."""
        while not self._parts:
            if self._ended or self._ignored:
                return b""
            self._changed.clear()
            await self._changed.wait()
        was_full = self.is_full
        part = self._parts.popleft()
        self._size -= len(part)
        if was_full and not self.is_full:
            self._on_room()
        return part


class Resizes:
    """Sizes of the client's terminal: a stream of `{"Width":W,"Height":H}` objects that may be cut anywhere."""

    LIMIT = 4096

    def __init__(self) -> None:
        self._text = ""
        self._decoder = json.JSONDecoder()
        self._size: tuple[int, int] | None = None
        self._follower: Callable[[int, int], None] | None = None

    def follow(self, follower: Callable[[int, int], None] | None) -> None:
        """Calls `follower` with columns and rows: the size the client has told already, and later ones."""
        self._follower = follower
        if follower is not None and self._size is not None:
            follower(*self._size)

    def feed(self, data: bytes) -> None:
        """What is no size is dropped."""
        self._text = (self._text + data.decode("utf-8", "replace"))[-self.LIMIT :].lstrip()
        while self._text:
            try:
                size, end = self._decoder.raw_decode(self._text)
            except ValueError:
                return
            self._text = self._text[end:].lstrip()
            with suppress(KeyError, TypeError, ValueError):
                self._take(int(size["Width"]), int(size["Height"]))

    def _take(self, columns: int, rows: int) -> None:
        if 0 < columns < 1 << 16 and 0 < rows < 1 << 16:
            self._size = (columns, rows)
            if self._follower is not None:
                self._follower(columns, rows)

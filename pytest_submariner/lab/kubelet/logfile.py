"""What a container said, on disk in the CRI format: `TIME stdout F text`, one entry per line (`cri-api`, kuberuntime logs)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from multidict import MultiMapping

from pytest_submariner.lab.kubelet.session import is_true

MAX_ENTRY = 16 * 1024
"""A longer line is cut into parts marked P; the part that ends it is marked F."""
MAX_FILE = 10 * 1024 * 1024
"""Beyond it the file is put aside once, as the kubelet's containerLogMaxSize does; `kubectl logs` reads the current one."""
BLOCK = 64 * 1024


class ContainerLog:
    """Append-only, with readers that follow it. One life of one container."""

    def __init__(self, path: Path) -> None:
        """OSError when the folder cannot be made or written."""
        self.path = path
        self.generation = 0
        """Grows when the file is put aside."""
        self.closed = False
        self._rest = {"stdout": b"", "stderr": b""}
        self._followers: set[asyncio.Future[None]] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = 0

    def write(self, stream: str, data: bytes) -> None:
        """`stream`: stdout or stderr. A line is written when its end is there."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        stamp = f"{rfc3339_nano(time.time_ns())} {stream} ".encode()
        entries = [entry for line in lines for entry in _entries(stamp, line)]
        while len(rest) >= MAX_ENTRY:
            entries.append(stamp + b"P " + rest[:MAX_ENTRY] + b"\n")
            rest = rest[MAX_ENTRY:]
        self._rest[stream] = rest
        self._append(b"".join(entries))

    def close(self) -> None:
        """Writes what had no end of line; followers come to their end."""
        if self.closed:
            return
        for stream, rest in self._rest.items():
            if rest:
                self._append(f"{rfc3339_nano(time.time_ns())} {stream} P ".encode() + rest + b"\n")
        self.closed = True
        os.close(self._fd)
        self._wake()

    def remove(self) -> None:
        """Its files go; who reads them now reads to the end."""
        self.close()
        for path in (self.path, self.path.with_suffix(".log.1")):
            path.unlink(missing_ok=True)

    async def changed(self) -> None:
        """Returns after the next write or the end."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._followers.add(future)
        try:
            await future
        finally:
            self._followers.discard(future)

    def _append(self, data: bytes) -> None:
        if not data:
            return
        if self._size and self._size + len(data) > MAX_FILE:
            self.path.replace(self.path.with_suffix(".log.1"))
            os.close(self._fd)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            self._size = 0
            self.generation += 1
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._wake()

    def _wake(self) -> None:
        for future in self._followers:
            if not future.done():
                future.set_result(None)


def _entries(stamp: bytes, line: bytes) -> Iterator[bytes]:
    while len(line) > MAX_ENTRY:
        yield stamp + b"P " + line[:MAX_ENTRY] + b"\n"
        line = line[MAX_ENTRY:]
    yield stamp + b"F " + line + b"\n"


@dataclass(frozen=True)
class LogOptions:
    """The query of a log request, the same in the pod API and at a kubelet."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    """Entries from the end."""
    limit: int | None = None
    """Bytes sent at most."""
    since: str = ""
    """RFC 3339 with nine digits, as in the file: text sorts like time."""

    @classmethod
    def from_query(cls, query: MultiMapping[str], now_ns: int) -> LogOptions:
        """ValueError names the parameter that is wrong and what it may be."""
        seconds = _number(query, "sinceSeconds", 1)
        since = query.get("sinceTime", "")
        if seconds is not None and since:
            raise ValueError("at most one of sinceTime or sinceSeconds may be specified")
        if seconds is not None:
            since = rfc3339_nano(now_ns - seconds * 10**9)
        elif since:
            since = _normal_time(since)
        return cls(
            follow=is_true(query, "follow"),
            previous=is_true(query, "previous"),
            timestamps=is_true(query, "timestamps"),
            tail=_number(query, "tailLines", 0),
            limit=_number(query, "limitBytes", 1),
            since=since,
        )


def _number(query: MultiMapping[str], name: str, least: int) -> int | None:
    text = query.get(name)
    if text is None or text == "":
        return None
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{name}={text}: must be a whole number") from None
    if number < least:
        raise ValueError(f"{name}={text}: must be greater than or equal to {least}")
    return number


def _normal_time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"sinceTime={text}: must be a time as in RFC 3339, such as 2024-10-01T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"sinceTime={text}: must name its offset from UTC, such as 2024-10-01T12:00:00Z")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def rfc3339_nano(nanoseconds: int) -> str:
    """UTC with always nine digits: `2024-10-01T12:00:00.000000001Z`."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


async def read(log: ContainerLog, options: LogOptions) -> AsyncIterator[bytes]:
    """Pieces of text as `kubectl logs` shows it. With `follow` it ends when the container has ended."""
    left = options.limit
    async for entry in _raw(log, options):
        stamp, _, text = entry.partition(b" ")
        if options.since and stamp.decode() < options.since:
            continue
        _, _, text = text.partition(b" ")  # stdout or stderr
        mark, _, text = text.partition(b" ")
        if mark == b"F":
            text += b"\n"
        if options.timestamps:
            text = stamp + b" " + text
        if left is not None:
            text = text[:left]
            left -= len(text)
        yield text
        if left == 0:
            return


async def _raw(log: ContainerLog, options: LogOptions) -> AsyncIterator[bytes]:
    """Whole entries without their end of line."""
    generation, rest = log.generation, b""
    stream = log.path.open("rb")
    try:
        if options.tail is not None:
            stream.seek(_tail(stream.fileno(), options.tail))
        while True:
            if block := stream.read(BLOCK):
                *entries, rest = (rest + block).split(b"\n")
                for entry in entries:
                    yield entry
            elif not options.follow or (log.closed and generation == log.generation):
                return
            elif generation != log.generation:
                stream.close()
                generation, rest = log.generation, b""
                stream = log.path.open("rb")
            else:
                await log.changed()
    finally:
        stream.close()


def _tail(fd: int, entries: int) -> int:
    """Where the last `entries` entries begin."""
    end = os.fstat(fd).st_size
    at, wanted = end, entries + 1  # the file ends with the end of the last entry
    while at > 0:
        start = max(0, at - BLOCK)
        block = os.pread(fd, at - start, start)
        for position in range(len(block) - 1, -1, -1) if wanted <= block.count(b"\n") else ():
            if block[position] == 0x0A:
                wanted -= 1
                if wanted == 0:
                    return start + position + 1
        wanted -= block.count(b"\n")
        at = start
    return 0

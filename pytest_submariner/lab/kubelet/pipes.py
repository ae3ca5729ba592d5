"""The standard streams of a process as awaitable pipes, or a terminal.

asyncio's own stream reader loses what a pseudo-terminal still holds when the process ends (its EIO overtakes buffered data), and
pulling by hand gives back pressure for nothing.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass

CHUNK = 64 * 1024


async def _until(add: Callable[..., object], remove: Callable[[int], object], fd: int) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    add(fd, tell)
    try:
        await ready
    finally:
        remove(fd)


async def read(fd: int) -> bytes:
    """What a non-blocking descriptor holds; b"" at its end, which a terminal tells as EIO."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            await _until(loop.add_reader, loop.remove_reader, fd)
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise
        else:
            # A process that never stops writing must not keep the loop to itself.
            await asyncio.sleep(0)
            return data


async def write(fd: int, data: bytes) -> None:
    """All of `data` to a non-blocking descriptor; BrokenPipeError or EIO when nobody reads any more."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await _until(loop.add_writer, loop.remove_writer, fd)


@dataclass
class Stdio:
    """Both ends of a process' standard streams. Ours are non-blocking, and -1 where there is nothing to read or write."""

    child: tuple[int, int, int]
    stdin: int = -1
    stdout: int = -1
    stderr: int = -1

    @classmethod
    def open(cls, *, stdin: bool, stdout: bool = True, stderr: bool = True, tty: bool = False) -> Stdio:
        """Streams that are not asked for are /dev/null. With `tty` all three are one terminal, and `stderr` stays -1."""
        if tty:
            master, slave = os.openpty()
            # A second descriptor for input: epoll knows a descriptor once, and reading and writing come and go separately.
            return cls((slave, slave, slave), os.dup(master) if stdin else -1, master)._ready()
        ours, child = [-1, -1, -1], [-1, -1, -1]
        for number, wanted in enumerate((stdin, stdout, stderr)):
            if not wanted:
                child[number] = os.open(os.devnull, os.O_RDWR)
                continue
            reader, writer = os.pipe()
            ours[number], child[number] = (writer, reader) if number == 0 else (reader, writer)
        return cls((child[0], child[1], child[2]), *ours)._ready()

    def _ready(self) -> Stdio:
        for fd in self._ours():
            os.set_blocking(fd, False)
        return self

    def _ours(self) -> set[int]:
        return {self.stdin, self.stdout, self.stderr} - {-1}

    def close_child(self) -> None:
        """Once the process has its own copies: then its last close is the end of its output."""
        for fd in set(self.child) - {-1}:
            os.close(fd)
        self.child = (-1, -1, -1)

    def close_stdin(self) -> None:
        """The process reads the end of its input. A terminal has no such end: there it is for the user to type one."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def resize(self, columns: int, rows: int) -> None:
        """Tells the terminal its size; the process gets SIGWINCH."""
        fcntl.ioctl(self.stdout, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        self.close_child()
        for fd in self._ours():
            os.close(fd)
        self.stdin = self.stdout = self.stderr = -1

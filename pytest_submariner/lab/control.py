"""The holder's ear: a unix socket in the lab's folder. A request is one packet of JSON, with the caller's stdio for `exec`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from pytest_submariner.errors import LabError

_LARGEST: Final = 1 << 17
Handler = Callable[[dict[str, Any], list[int], asyncio.Event], Awaitable[dict[str, Any]]]
"""(request, descriptors, set when the caller has gone) -> answer."""


def _address(path: Path) -> tuple[str, int]:
    """A socket's path may have 107 bytes only; by way of the folder's descriptor it always fits (man 7 unix)."""
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    return f"/proc/self/fd/{folder}/{path.name}", folder


class ControlServer:
    """Answers requests in the holder's event loop."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._handle = handle
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        address, folder = _address(path)
        try:
            self._socket.bind(address)
            path.chmod(0o600)
        finally:
            os.close(folder)
        self._socket.listen(16)
        self._socket.setblocking(False)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        fds: list[int] = []
        with connection:
            try:
                readable = asyncio.Event()
                loop.add_reader(connection.fileno(), readable.set)
                await readable.wait()
                data, fds, _, _ = socket.recv_fds(connection, _LARGEST, 8)
                loop.remove_reader(connection.fileno())
                if not data:
                    return
                loop.add_reader(connection.fileno(), self._hang_up, connection, gone)
                try:
                    answer = await self._handle(json.loads(data), list(fds), gone)
                except LabError as error:
                    answer = {"error": str(error)}
                if not gone.is_set():
                    connection.setblocking(True)
                    connection.send(json.dumps(answer).encode())
            except (ConnectionError, BrokenPipeError):
                return
            finally:
                loop.remove_reader(connection.fileno())
                for fd in fds:
                    os.close(fd)

    @staticmethod
    def _hang_up(connection: socket.socket, gone: asyncio.Event) -> None:
        asyncio.get_running_loop().remove_reader(connection.fileno())
        gone.set()


def ask(path: Path, request: dict[str, Any], fds: list[int] | None = None) -> dict[str, Any]:
    """One request to the holder whose socket is at `path`. LabError when it refuses or is gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            address, folder = _address(path)
            try:
                connection.connect(address)
            finally:
                os.close(folder)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _LARGEST)
            socket.send_fds(connection, [json.dumps(request).encode()], fds or [])
            data = connection.recv(_LARGEST)
        except OSError as error:
            raise LabError(f"the lab does not answer ({error}); is it running? try `submariner-lab status`") from error
    if not data:
        raise LabError("the lab ended while answering")
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        raise LabError(answer["error"])
    return answer

"""Carries TCP connections from a listener of the host's loopback to an address inside the lab, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

_CHUNK: Final = 1 << 16


class Relay:
    """For servers that cannot take over a listening socket that was bound before the lab left the host's namespace."""

    def __init__(self, listener: socket.socket, host: str, port: int) -> None:
        self._listener = listener
        self._to = (host, port)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._carry, sock=self._listener)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        for side in (writer, far_writer):
            side.close()
            with contextlib.suppress(OSError):
                await side.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its end of file, which is passed on."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.close()

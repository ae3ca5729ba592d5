"""A client that speaks websocket: `v4.channel.k8s.io`, or `v5.channel.k8s.io`, which can also tell the end of stdin."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from contextlib import suppress

from aiohttp import WSMsgType, web

from pytest_submariner.lab.kubelet.session import LOOK_AFTER_S, Channel, ClientGone, Inbox, Resizes, Status, has_left

V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"
CLOSE = 255
"""v5: a message of this byte and a channel number ends that channel."""
CLOSE_TIMEOUT_S = 5.0


class WebSocketSession:
    """Every message begins with the channel's number. Implements `session.Session`."""

    def __init__(
        self, ws: web.WebSocketResponse, transport: asyncio.BaseTransport, channels: Collection[Channel]
    ) -> None:
        """`ws` is prepared; `transport` is what it goes over."""
        self.gone = asyncio.Event()
        self.resizes = Resizes()
        self._room = asyncio.Event()
        self.stdin = Inbox(on_room=self._room.set)
        self._ws = ws
        self._transport = transport
        self._channels = frozenset(channels)
        self._receiving = asyncio.create_task(self._receive())

    async def greet(self) -> None:
        """An empty message on the lowest output channel, which genuine servers send first to say that the command is under way."""
        lowest = min(self._channels - {Channel.STDIN, Channel.RESIZE})
        await self.send(lowest, b"")

    async def send(self, channel: Channel, data: bytes) -> None:
        try:
            await self._ws.send_bytes(bytes((channel,)) + data)
        except (ConnectionError, RuntimeError) as error:
            self._lost()
            raise ClientGone from error

    async def finish(self, status: Status) -> None:
        self.stdin.ignore()
        await self.send(Channel.ERROR, json.dumps(status).encode())
        await self.close()

    async def close(self) -> None:
        """Says goodbye and waits for the client's, up to the response's own timeout."""
        self._receiving.cancel()
        await asyncio.gather(self._receiving, return_exceptions=True)
        await self._ws.close()

    async def _receive(self) -> None:
        try:
            async for message in self._ws:
                # Clients that write text send it as text messages.
                data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
                if isinstance(data, bytes) and data:
                    self._take(data[0], data[1:])
                if not await self._has_room():
                    return
        finally:
            self._lost()

    async def _has_room(self) -> bool:
        """Returns when there is room for more input; False when the client left meanwhile."""
        while self.stdin.is_full:
            self._room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), LOOK_AFTER_S)
                continue
            if has_left(self._transport):
                return False
        return True

    def _take(self, channel: int, data: bytes) -> None:
        if channel == Channel.STDIN:
            self.stdin.put(data)
        elif channel == Channel.RESIZE:
            self.resizes.feed(data)
        elif channel == CLOSE and data[:1] == bytes((Channel.STDIN,)) and self._ws.ws_protocol == V5:
            self.stdin.end()

    def _lost(self) -> None:
        self.gone.set()
        self.stdin.end()

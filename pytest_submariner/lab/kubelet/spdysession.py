"""A client that speaks SPDY/3.1: one connection, one stream per channel (`kubelet:pkg/server/remotecommand`, moby/spdystream)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection
from contextlib import suppress

from pytest_submariner.lab.kubelet import spdy
from pytest_submariner.lab.kubelet.session import LOOK_AFTER_S, Channel, ClientGone, Inbox, Resizes, Status, has_left

STREAMS_TIMEOUT_S = 30.0
"""How long all streams may take to be opened (the kubelet's streamCreationTimeout)."""
CLOSE_TIMEOUT_S = 5.0
"""How long a client that has its status may take to close; closing first would cost it frames still under way."""
log = logging.getLogger(__name__)


class SpdySession(asyncio.Protocol):
    """Takes a connection over after the upgrade. Implements `session.Session`."""

    def __init__(
        self, transport: asyncio.Transport, previous: asyncio.BaseProtocol, channels: Collection[Channel]
    ) -> None:
        """`previous` is told of the end of the connection, which its server otherwise counts as open for ever."""
        self.gone = asyncio.Event()
        self.resizes = Resizes()
        self.stdin = Inbox(on_room=self._resume)
        self._transport = transport
        self._previous = previous
        self._expected = frozenset(channels)
        self._channels: dict[int, Channel] = {}
        self._streams: dict[Channel, int] = {}
        self._complete = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._reader = spdy.FrameReader()
        self._writer = spdy.FrameWriter()
        self._last_stream = 0
        self._finishing = self._paused = False

    async def opened(self) -> None:
        """Returns when the client has opened every stream; TimeoutError, ClientGone."""
        waits = [asyncio.create_task(event.wait()) for event in (self._complete, self.gone)]
        try:
            done, _ = await asyncio.wait(waits, timeout=STREAMS_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        if self.gone.is_set():
            raise ClientGone
        if not done:
            raise TimeoutError(
                f"the client opened {len(self._streams)} of {len(self._expected)} streams in {STREAMS_TIMEOUT_S:.0f} s"
            )

    async def send(self, channel: Channel, data: bytes) -> None:
        if self.gone.is_set():
            raise ClientGone
        self._transport.write(self._writer.data(self._streams[channel], data))
        await self._drained()

    async def finish(self, status: Status) -> None:
        """Clients read stdout and stderr to their end before they look at the error stream, so every stream gets its FIN."""
        self._finishing = True
        self.stdin.ignore()
        if self.gone.is_set():
            raise ClientGone
        error = self._streams[Channel.ERROR]
        frames = [self._writer.data(error, json.dumps(status).encode()), self._writer.fin(error)]
        frames += [self._writer.fin(stream) for stream in self._channels if stream != error]
        self._transport.write(b"".join(frames))
        await self._drained()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), CLOSE_TIMEOUT_S)

    def close(self) -> None:
        """Ends the connection, after what is still to be written."""
        if not self.gone.is_set():
            self._transport.write(self._writer.go_away(self._last_stream))
        self._transport.close()

    async def _drained(self) -> None:
        await self._writable.wait()
        if self.gone.is_set():
            raise ClientGone

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._take(frame)
        except spdy.ProtocolViolation as error:
            log.warning("exec over SPDY from %s: %s", self._transport.get_extra_info("peername"), error)
            self._transport.abort()
        if self.stdin.is_full and not self._paused:
            self._paused = True
            self._transport.pause_reading()
            self._look_after()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self.stdin.end()
        self._writable.set()
        self._previous.connection_lost(exc)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _look_after(self) -> None:
        if not self._paused or self.gone.is_set():
            return
        if has_left(self._transport):
            self._transport.abort()
        else:
            asyncio.get_running_loop().call_later(LOOK_AFTER_S, self._look_after)

    def _resume(self) -> None:
        if self._paused and not self.gone.is_set():
            self._paused = False
            self._transport.resume_reading()

    # frames

    def _take(self, frame: spdy.Frame) -> None:
        match frame:
            case spdy.SynStream():
                self._open(frame)
            case spdy.DataFrame(stream=stream, data=data, fin=fin):
                self._input(self._channels.get(stream), data, fin)
            case spdy.Ping(id=ping):
                self._transport.write(self._writer.ping(ping))
            case spdy.RstStream(stream=stream):
                # Clients reset their streams when they are done; before that it means that they gave up.
                if stream in self._channels and not self._finishing:
                    self._transport.abort()
            case spdy.GoAway():
                if self._finishing:
                    self._transport.close()

    def _open(self, syn: spdy.SynStream) -> None:
        try:
            channel = Channel[syn.headers.get("streamtype", "").upper()]
        except KeyError:
            channel = None
        if syn.stream % 2 == 0 or syn.stream <= self._last_stream:
            self._transport.write(self._writer.reset(syn.stream, spdy.ResetStatus.PROTOCOL_ERROR))
            return
        self._last_stream = syn.stream
        if channel not in self._expected or channel in self._streams:
            self._transport.write(self._writer.reset(syn.stream, spdy.ResetStatus.REFUSED_STREAM))
            return
        self._channels[syn.stream], self._streams[channel] = channel, syn.stream
        # At once, and with no FIN: the client opens the next stream only after this reply.
        self._transport.write(self._writer.syn_reply(syn.stream))
        if syn.fin:
            self._input(channel, b"", True)
        if len(self._streams) == len(self._expected):
            self._complete.set()

    def _input(self, channel: Channel | None, data: bytes, fin: bool) -> None:
        if channel is Channel.STDIN:
            self.stdin.put(data)
            if fin:
                self.stdin.end()
        elif channel is Channel.RESIZE:
            self.resizes.feed(data)

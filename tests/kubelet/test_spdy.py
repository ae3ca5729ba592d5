"""SPDY/3.1: framing alone, then a server in front of a client that we drive frame by frame."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from kubelet_fakes import World, kubelet_listener

from pytest_submariner.lab.kubelet import spdy
from pytest_submariner.lab.kubelet.session import STDIN_LIMIT
from pytest_submariner.lab.kubelet.spdy_dictionary import DICTIONARY


class HeaderWriter:
    """The client's side of header compression."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def syn_stream(self, stream: int, *, fin: bool = False, **headers: str) -> bytes:
        raw = struct.pack(">I", len(headers))
        for name, value in headers.items():
            raw += b"".join(struct.pack(">I", len(t)) + t.encode() for t in (name, value))
        block = self._deflate.compress(raw) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        payload = struct.pack(">IIH", stream, 0, 0) + block
        return struct.pack(">HHI", 0x8003, 1, fin << 24 | len(payload)) + payload


def test_dictionary_is_the_drafts() -> None:
    assert len(DICTIONARY) == 1423
    assert hashlib.sha256(DICTIONARY).hexdigest() == "51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02"


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
def test_frames_cut_anywhere(size: int) -> None:
    headers = HeaderWriter()
    wire = headers.syn_stream(1, streamtype="error") + headers.syn_stream(3, fin=True, streamtype="stdin")
    wire += spdy.FrameWriter.data(3, b"words") + spdy.FrameWriter.fin(3) + spdy.FrameWriter.ping(5)
    wire += spdy.FrameWriter.reset(1, spdy.ResetStatus.CANCEL) + spdy.FrameWriter.go_away(3)
    reader = spdy.FrameReader()
    frames = [f for at in range(0, len(wire), size) for f in reader.feed(wire[at : at + size])]
    assert frames == [
        spdy.SynStream(1, {"streamtype": "error"}, False),
        spdy.SynStream(3, {"streamtype": "stdin"}, True),
        spdy.DataFrame(3, b"words", False),
        spdy.DataFrame(3, b"", True),
        spdy.Ping(5),
        spdy.RstStream(1, spdy.ResetStatus.CANCEL),
        spdy.GoAway(3),
    ]


def test_large_data_is_cut_into_frames() -> None:
    data = bytes(3 * spdy.MAX_DATA + 1)
    frames = list(spdy.FrameReader().feed(spdy.FrameWriter.data(9, data)))
    assert len(frames) == 4
    assert sum(len(f.data) for f in frames if isinstance(f, spdy.DataFrame)) == len(data)


def test_settings_and_window_updates_are_passed_over() -> None:
    settings = struct.pack(">HHI", 0x8003, 4, 12) + bytes(12)
    window = struct.pack(">HHI", 0x8003, 9, 8) + struct.pack(">II", 1, 4096)
    assert list(spdy.FrameReader().feed(settings + window + spdy.FrameWriter.ping(1))) == [spdy.Ping(1)]


@pytest.mark.parametrize(
    "wire",
    [
        struct.pack(">HHI", 0x8002, 1, 10) + bytes(10),
        struct.pack(">HHI", 0x8003, 1, 4) + bytes(4),
        struct.pack(">HHI", 0x8003, 1, 20) + bytes(20),
        struct.pack(">HHI", 0x8003, 1, 1 << 20),
    ],
    ids=["version 2", "cut head", "no zlib", "huge"],
)
def test_what_is_not_spdy_is_refused(wire: bytes) -> None:
    with pytest.raises(spdy.ProtocolViolation):
        list(spdy.FrameReader().feed(wire))


class Peer:
    """A client on a connection to a kubelet's listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.headers = HeaderWriter()
        self.frames: list[tuple[int, bytes]] = []

    async def upgrade(self, path: str, *versions: str) -> tuple[int, str]:
        """Status code and the protocol taken."""
        lines = [f"POST {path} HTTP/1.1", "Host: node", "Connection: Upgrade", "Upgrade: SPDY/3.1", "Content-Length: 0"]
        lines += [f"X-Stream-Protocol-Version: {version}" for version in versions]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        return int(head.split()[1]), fields.get(
            "X-Stream-Protocol-Version", fields.get("X-Accepted-Stream-Protocol-Versions", "")
        )

    async def frame(self) -> tuple[int, int, bytes]:
        """(control type, or 0 for data; stream of a data frame or flags; payload)."""
        first, second, length = struct.unpack(">HHI", await self.reader.readexactly(8))
        payload = await self.reader.readexactly(length & 0xFFFFFF)
        if first & 0x8000:
            return second, length >> 24, payload
        return 0, first << 16 | second, payload if not length >> 24 else payload + b"<FIN>"

    async def open(self, *names: str) -> None:
        """In order, each after the reply to the one before."""
        for number, name in enumerate(names):
            self.writer.write(self.headers.syn_stream(2 * number + 1, streamtype=name))
            kind, flags, payload = await self.frame()
            assert (kind, flags, struct.unpack(">I", payload[:4])[0]) == (2, 0, 2 * number + 1)


@asynccontextmanager
async def peer_of(port: int) -> AsyncIterator[Peer]:
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def exec_of(world: World, query: str) -> AsyncIterator[Peer]:
    """A peer whose exec in a fresh pod was accepted, in the kubelet's spelling."""
    name = await world.shell("sleep 1000")
    await world.phase(name, "Running")
    async with kubelet_listener(world) as port, peer_of(port) as peer:
        offers = [f"v{n}.channel.k8s.io" for n in (5, 4, 3, 2)] + ["channel.k8s.io"]
        assert await peer.upgrade(f"/exec/ns/{name}/c0?{query}", *offers) == (101, "v4.channel.k8s.io")
        yield peer


@pytest.mark.asyncio
async def test_exec_from_the_first_stream_to_the_last_fin(world: World) -> None:
    async with exec_of(world, "output=1&error=1&command=sh&command=-c&command=echo+hi;exit+3") as peer:
        await peer.open("error", "stdout", "stderr")
        frames = [await peer.frame() for _ in range(5)]
        assert frames[0] == (0, 3, b"hi\n")
        status = json.loads(frames[1][2])
        assert frames[1][:2] == (0, 1)
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
        assert sorted(frames[2:]) == [(0, stream, b"<FIN>") for stream in (1, 3, 5)]
        peer.writer.write(spdy.FrameWriter.go_away(0))
        assert await asyncio.wait_for(peer.reader.read(), 2) == b""


@pytest.mark.asyncio
async def test_pings_come_back_and_bad_streams_are_reset(world: World) -> None:
    async with exec_of(world, "output=1&command=cat&input=1") as peer:
        peer.writer.write(spdy.FrameWriter.ping(7) + peer.headers.syn_stream(2, streamtype="stdout"))
        assert await peer.frame() == (6, 0, struct.pack(">I", 7))
        assert await peer.frame() == (3, 0, struct.pack(">II", 2, spdy.ResetStatus.PROTOCOL_ERROR))
        peer.writer.write(peer.headers.syn_stream(1, streamtype="nonsense"))
        assert await peer.frame() == (3, 0, struct.pack(">II", 1, spdy.ResetStatus.REFUSED_STREAM))
        # Header compression has stayed in step through all of it.
        for number, name in ((3, "error"), (5, "stdin"), (7, "stdout")):
            peer.writer.write(peer.headers.syn_stream(number, streamtype=name))
            assert (await peer.frame())[0] == 2
        peer.writer.write(spdy.FrameWriter.data(5, b"echo") + spdy.FrameWriter.fin(5))
        assert await peer.frame() == (0, 7, b"echo")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("versions", "answer"),
    [
        ((), (400, "")),
        (("v9.channel.k8s.io",), (403, "v4.channel.k8s.io")),
        (("v5.channel.k8s.io, v4.channel.k8s.io",), (101, "v4.channel.k8s.io")),
    ],
)
async def test_negotiation(world: World, versions: tuple[str, ...], answer: tuple[int, str]) -> None:
    name = await world.shell("sleep 1000")
    await world.phase(name, "Running")
    async with kubelet_listener(world) as port, peer_of(port) as peer:
        assert await peer.upgrade(f"/exec/ns/{name}/c0?output=1&command=true", *versions) == answer


@pytest.mark.asyncio
async def test_input_that_is_not_read_is_held_back(world: World) -> None:
    async with exec_of(world, "input=1&output=1&command=sleep&command=1000") as peer:
        await peer.open("error", "stdin", "stdout")
        sent = 0
        with suppress(TimeoutError):
            while sent < 64 * STDIN_LIMIT:
                peer.writer.write(spdy.FrameWriter.data(3, bytes(65536)))
                await asyncio.wait_for(peer.writer.drain(), 0.5)
                sent += 65536
        # What we got rid of is in the sockets' own buffers; nothing near the 16 MiB we were ready to send.
        assert sent < 48 * STDIN_LIMIT


@pytest.mark.asyncio
async def test_client_that_leaves_behind_unread_input_is_noticed(world: World) -> None:
    async with exec_of(world, "input=1&output=1&command=sleep&command=1000") as peer:
        await peer.open("error", "stdin", "stdout")
        peer.writer.write(spdy.FrameWriter.data(3, bytes(3 * STDIN_LIMIT)))
        await peer.writer.drain()
        await world.api.until(lambda: len(world.spawner.alive()) == 2)
        peer.writer.transport.abort()
        await world.api.until(lambda: len(world.spawner.alive()) == 1, 5)


@pytest.mark.asyncio
async def test_no_connection_stays_registered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import web

    servers: list[Any] = []
    original = web.Server.__init__

    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        servers.append(self)

    monkeypatch.setattr(web.Server, "__init__", remember)
    for _ in range(5):
        async with exec_of(world, "output=1&command=true") as peer:
            await peer.open("error", "stdout")
            while (await peer.frame())[1] != 3:
                pass
        await world.api.until(lambda: not servers[-1].connections, 5)


@pytest.mark.asyncio
async def test_listener_knows_no_other_pod_and_no_attach(world: World) -> None:
    import aiohttp

    name = await world.shell("echo said; sleep 1000")
    await world.phase(name, "Running")
    async with kubelet_listener(world) as port, aiohttp.ClientSession(f"https://127.0.0.1:{port}") as session:
        answers = {}
        for path in (
            "/healthz",
            "/exec/ns/none/c0?command=a&output=1",
            f"/exec/ns/{name}/c0?command=a&output=1",
            f"/attach/ns/{name}/c0",
        ):
            async with session.get(path, ssl=False) as response:
                answers[path.split("?")[0]] = (response.status, await response.text())
        assert answers["/healthz"] == (200, "ok")
        assert answers["/exec/ns/none/c0"] == (404, 'pod "none" not found in namespace "ns"')
        assert answers[f"/exec/ns/{name}/c0"] == (400, "Upgrade request required")
        assert answers[f"/attach/ns/{name}/c0"][0] == 400
        async with session.get(f"/containerLogs/ns/{name}/c0?tailLines=x", ssl=False) as response:
            assert (response.status, await response.text()) == (400, "tailLines=x: must be a whole number")

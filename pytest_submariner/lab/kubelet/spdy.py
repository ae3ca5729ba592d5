"""SPDY/3.1 framing: what `kubectl exec`, subctl and a genuine kube-apiserver speak to a kubelet. Bytes in, frames out; no I/O.

Only what remote command streams use is here. There is no flow control, as in moby/spdystream, the peer's implementation:
WINDOW_UPDATE and SETTINGS are read and ignored, TCP alone holds a fast sender back.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from pytest_submariner.lab.kubelet.spdy_dictionary import DICTIONARY

FLAG_FIN = 1
MAX_DATA = 32 * 1024
"""How much a DATA frame of ours carries at most; small enough that a status frame never waits long behind output."""
MAX_CONTROL = 64 * 1024
"""A longer control frame is refused: stream headers are a few dozen bytes."""
_HEAD = struct.Struct(">HHI")
_CONTROL = 0x8000
_VERSION = 3


class ControlType(IntEnum):
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class ResetStatus(IntEnum):
    PROTOCOL_ERROR = 1
    REFUSED_STREAM = 3
    CANCEL = 5


class ProtocolViolation(Exception):
    """The peer sent what is not SPDY/3.1; the connection is lost, as header compression is."""


@dataclass(frozen=True)
class DataFrame:
    stream: int
    data: bytes
    fin: bool


@dataclass(frozen=True)
class SynStream:
    stream: int
    headers: dict[str, str]
    fin: bool


@dataclass(frozen=True)
class RstStream:
    stream: int
    status: int


@dataclass(frozen=True)
class Ping:
    id: int


@dataclass(frozen=True)
class GoAway:
    last_stream: int


Frame = DataFrame | SynStream | RstStream | Ping | GoAway


class FrameReader:
    """Turns a client's bytes into frames. Keeps the connection's inflate context, which every header block must pass."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames that are complete now; ProtocolViolation when the bytes are not SPDY/3.1."""
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _HEAD.size:
                first, second, flags_length = _HEAD.unpack_from(self._buffer, at)
                length, flags = flags_length & 0xFFFFFF, flags_length >> 24
                if first & _CONTROL and length > MAX_CONTROL:
                    raise ProtocolViolation(f"a control frame of {length} bytes")
                end = at + _HEAD.size + length
                if len(self._buffer) < end:
                    return
                payload = bytes(memoryview(self._buffer)[at + _HEAD.size : end])
                at = end
                if not first & _CONTROL:
                    yield DataFrame(first << 16 | second, payload, bool(flags & FLAG_FIN))
                    continue
                frame = self._control(first & 0x7FFF, second, flags, payload)
                if frame is not None:
                    yield frame
        finally:
            del self._buffer[:at]

    def _control(self, version: int, kind: int, flags: int, payload: bytes) -> Frame | None:
        if version != _VERSION:
            raise ProtocolViolation(f"SPDY version {version}, not {_VERSION}")
        try:
            match kind:
                case ControlType.SYN_STREAM:
                    stream = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
                    return SynStream(stream, self._headers(payload[10:]), bool(flags & FLAG_FIN))
                case ControlType.SYN_REPLY | ControlType.HEADERS:
                    self._headers(payload[4:])  # of no interest, but the inflate context must see it
                case ControlType.RST_STREAM:
                    stream, status = struct.unpack_from(">II", payload)
                    return RstStream(stream & 0x7FFFFFFF, status)
                case ControlType.PING:
                    return Ping(struct.unpack_from(">I", payload)[0])
                case ControlType.GOAWAY:
                    return GoAway(struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF)
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise ProtocolViolation(f"control frame {kind}: {error}") from error
        return None

    def _headers(self, block: bytes) -> dict[str, str]:
        raw = self._inflate.decompress(block, MAX_CONTROL)
        if self._inflate.unconsumed_tail:
            raise ProtocolViolation(f"a header block of more than {MAX_CONTROL} bytes")
        (count,) = struct.unpack_from(">I", raw)
        at, headers = 4, {}
        for _ in range(count):
            name, at = _text(raw, at)
            headers[name.lower()], at = _text(raw, at)
        return headers


def _text(raw: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">I", raw, at)
    end = at + 4 + length
    if end > len(raw):
        raise ProtocolViolation("a header block that ends inside a header")
    return raw[at + 4 : end].decode(), end


class FrameWriter:
    """Frames as bytes for the wire. Keeps the connection's deflate context."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def syn_reply(self, stream: int) -> bytes:
        """Accepts a stream, with no headers."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control_frame(ControlType.SYN_REPLY, struct.pack(">I", stream) + block)

    @staticmethod
    def data(stream: int, data: bytes) -> bytes:
        """One or more DATA frames."""
        return b"".join(
            struct.pack(">II", stream, len(part)) + part
            for part in (data[at : at + MAX_DATA] for at in range(0, len(data), MAX_DATA))
        )

    @staticmethod
    def fin(stream: int) -> bytes:
        """Our side of the stream ends here."""
        return struct.pack(">II", stream, FLAG_FIN << 24)

    @staticmethod
    def reset(stream: int, status: ResetStatus) -> bytes:
        return _control_frame(ControlType.RST_STREAM, struct.pack(">II", stream, status))

    @staticmethod
    def ping(ping: int) -> bytes:
        return _control_frame(ControlType.PING, struct.pack(">I", ping))

    @staticmethod
    def go_away(last_stream: int) -> bytes:
        return _control_frame(ControlType.GOAWAY, struct.pack(">II", last_stream, 0))


def _control_frame(kind: ControlType, payload: bytes) -> bytes:
    return _HEAD.pack(_CONTROL | _VERSION, kind, len(payload)) + payload

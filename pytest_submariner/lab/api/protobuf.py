"""Kubernetes protobuf bodies to the JSON objects they stand for. Answers are always JSON, so nothing is encoded.

Body: the magic `k8s\\0`, then Unknown{1: TypeMeta{1: apiVersion, 2: kind}, 2: object} (apimachinery:pkg/runtime/serializer/protobuf).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pytest_submariner.lab.api.schema import Field, Type, kind_type, type_named
from pytest_submariner.lab.api.status import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"


class BadProtobuf(ValueError):
    """Not a Kubernetes protobuf body, or of a kind this server has no field numbers for."""


def decode(body: bytes) -> Object:
    """The object with kind and apiVersion; BadProtobuf when it cannot be read."""
    if not body.startswith(_MAGIC):
        raise BadProtobuf("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        meta = dict(_fields(_bytes(envelope.get(1, b""))))
        api_version, kind = _bytes(meta.get(1, b"")).decode(), _bytes(meta.get(2, b"")).decode()
        known = kind_type(api_version, kind) or (kind_type("v1", kind) if kind.endswith("Options") else None)
        if known is None:
            raise BadProtobuf(f"no field numbers are known for {api_version}, Kind={kind}")
        return {"kind": kind, "apiVersion": api_version, **_message(known, _bytes(envelope.get(2, b"")))}
    except (IndexError, UnicodeDecodeError, ValueError) as why:
        raise BadProtobuf(str(why) or "unexpected end of data") from why


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise BadProtobuf("number where a message was expected")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) pairs: integers for varint and fixed wire types, bytes for the rest."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
            yield number, int.from_bytes(data[at : at + size], "little")
            at += size
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise BadProtobuf("unexpected end of data")
            yield number, data[at : at + size]
            at += size
        else:
            raise BadProtobuf(f"illegal wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _message(kind: Type, data: bytes) -> Object:
    found: Object = {}
    for number, raw in _fields(data):
        field = kind.by_number.get(number)
        if field is None:
            continue
        if not field.name:
            found.update(_message(type_named(field.type), _bytes(raw)))
        elif field.map:
            entry = dict(_fields(_bytes(raw)))
            key = _bytes(entry.get(1, b"")).decode()
            found.setdefault(field.name, {})[key] = _value(field, entry.get(2, b""))
        elif field.repeated:
            found.setdefault(field.name, []).append(_value(field, raw))
        else:
            value = _value(field, raw)
            if value is not None and (field.keep_zero or field.message or value not in {"", 0}):
                found[field.name] = value
    return found


def _value(field: Field, raw: int | bytes) -> Any:
    if field.message:
        return _message(type_named(field.type), _bytes(raw))
    if field.type == "b":
        return bool(raw)
    if field.type == "i":
        number = raw if isinstance(raw, int) else 0
        return number - (1 << 64) if number >> 63 else number
    data = _bytes(raw)
    if field.type == "s":
        return data.decode()
    if field.type == "y":
        return base64.b64encode(data).decode()
    parts = dict(_fields(data))
    if field.type in {"T", "U"}:
        return _time(parts, micro=field.type == "U")
    if field.type == "I":
        return _bytes(parts.get(3, b"")).decode() if parts.get(1) else _signed32(parts.get(2, 0))
    text = _bytes(parts.get(1, b""))
    return text.decode() if field.type == "Q" else json.loads(text or b"null")


def _time(parts: dict[int, int | bytes], *, micro: bool) -> str | None:
    """Seconds and nanoseconds to RFC 3339; the zero time is no time."""
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int) or not seconds:
        return None
    if seconds >> 63:
        return None
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{nanos // 1000:06d}Z" if micro else f"{moment}Z"


def _signed32(value: int | bytes) -> int:
    number = value if isinstance(value, int) else 0
    return number - (1 << 64) if number >> 63 else number

"""Protobuf bodies as client-go sends them: client_go_bodies.json holds what k8s.io/api v0.34 encodes, and Go's own JSON of the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from api_servers import Server

from pytest_submariner.lab.api.protobuf import MEDIA_TYPE, BadProtobuf, decode

BODIES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "client_go_bodies.json").read_text())


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("body", BODIES, ids=[b["kind"] for b in BODIES])
def test_reads_as_the_same_json(body: dict[str, Any]) -> None:
    assert decode(base64.b64decode(body["protobuf"])) == without_nulls(body["json"])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{}", "expected prefix"),
        (b"k8s\0\x0a\x05\x0a\x01v\x12\x00", "no field numbers are known"),
        (b"k8s\0\x0a\x7f", "unexpected end of data"),
        (b"k8s\0\x0b", "illegal wire type"),
        (b"k8s\0\x80", "range|end of data"),
    ],
)
def test_says_what_it_cannot_read(body: bytes, why: str) -> None:
    with pytest.raises(BadProtobuf, match=why):
        decode(body)


def test_the_server_takes_them(embedded: Server) -> None:
    (configmap,) = (b for b in BODIES if b["kind"] == "ConfigMap")
    assert embedded.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "ns"}})[0] == 201
    path = "/api/v1/namespaces/ns/configmaps"
    sent = base64.b64decode(configmap["protobuf"])
    code, made = embedded.ask("POST", path, sent, media_type=MEDIA_TYPE)
    assert (code, made["data"], made["binaryData"], made["immutable"]) == (
        201,
        {"a": "ünïcode\n", "e": ""},
        {"b": "AP8="},
        False,
    )
    code, refusal = embedded.ask("POST", path, b"nonsense", media_type=MEDIA_TYPE)
    assert (code, refusal["reason"]) == (400, "BadRequest")

"""The conversation with an agent: what is believed, and what is not."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from pytest_submariner.errors import ProbeInconclusive
from pytest_submariner.model.path import Protocol
from pytest_submariner.probes import agent
from pytest_submariner.probes.conversation import Probe, Request, read
from pytest_submariner.probes.measurement import Outcome

HELLO = {"hello": {"version": 1, "name": "pod-c1-w1", "hostname": "x", "python": "3.13.1", "addresses": ["10.8.2.5"]}}


def answer(path: str, **more: Any) -> dict[str, Any]:
    told = {"outcome": "answered", "seen": "10.8.1.5", "listener": "pod-b"}
    return {"id": path, **told, "attempts": 1, "history": ["answered"], "rtt_ms": 0.5, **more}


def request(*paths: str) -> Request:
    return Request([Probe(path, Protocol.TCP, "10.9.1.5", 29000) for path in paths], nonce="n")


def lines(*documents: dict[str, Any], nonce: str = "n", trailer: bool = True) -> list[bytes]:
    said = [json.dumps(document).encode() for document in documents]
    digest = hashlib.sha256(b"".join(line + b"\n" for line in said)).hexdigest()
    end = {"trailer": {"nonce": nonce, "answers": len(said) - 1, "digest": digest}}
    return [*said, json.dumps(end).encode()] if trailer else said


def test_a_whole_conversation() -> None:
    whole = read(request("a", "b"), lines(HELLO, answer("b", seen="10.8.2.5"), answer("a", outcome="stalled")))
    assert whole.hello.addresses == ("10.8.2.5",)
    assert whole.measurements["a"].outcome is Outcome.STALLED
    assert whole.measurements["b"].seen == "10.8.2.5"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "broke off after 0 lines"),
        (lines(HELLO, answer("a"), trailer=False), "broke off after 2 lines: its trailer is missing"),
        (lines(HELLO, answer("a"), nonce="other"), "its nonce differs"),
        (lines(HELLO, answer("a"))[:1] + lines(HELLO, answer("a"))[2:], "do not have the digest"),
        ([*lines(HELLO, answer("a")), b"{}"], "went on after its trailer"),
        (lines(HELLO), "answered 0 of 1 probes; missing: a"),
        (lines(HELLO, answer("a"), answer("z")), "answered 2 of 1 probes; not asked: z"),
        (lines(HELLO, answer("a"), answer("a")), "answered 2 of 1 probes"),
        (lines({"other": 1}, answer("a")), "did not greet"),
        (lines(), "do not have the digest"),
        ([b"sh: python3: not found"], "what is not an answer: b'sh: python3: not found'"),
        ([b"[1]"], "what is not an answer"),
        (lines(HELLO, answer("a", outcome="maybe")), "cannot be read"),
        (lines(HELLO, {"id": "a"}), "cannot be read"),
    ],
)
def test_what_is_not_believed(said: list[bytes], why: str) -> None:
    with pytest.raises(ProbeInconclusive, match=why):
        read(request("a"), said)


def test_a_changed_byte_is_noticed() -> None:
    said = lines(HELLO, answer("a", seen="10.8.2.5"))
    said[1] = said[1].replace(b"10.8.2.5", b"10.8.2.6")
    with pytest.raises(ProbeInconclusive, match="damaged"):
        read(request("a"), said)


def test_what_the_transport_raises_passes_through() -> None:
    def broken() -> Any:
        yield json.dumps(HELLO).encode()
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        read(request("a"), broken())


def test_the_request_line() -> None:
    line = json.loads(request("a").line)
    assert line["probes"] == [{"id": "a", "protocol": "tcp", "address": "10.9.1.5", "port": 29000, "size": 3000}]
    assert b"\n" not in request("a").line
    assert Request([]).nonce != Request([]).nonce


def test_the_deadline_has_room_for_every_attempt_of_every_round() -> None:
    probes = [Probe(str(i), Protocol.TCP, "10.9.1.5", 1) for i in range(64)]
    asked = Request(probes, timeout_s=5.0, attempts=2, settle_s=10.0, cap=32)
    assert asked.deadline_s >= 10.0 + 2 * (2 * agent.LONGEST * 5.0 + agent.OVERLAP_S)

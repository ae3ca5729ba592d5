"""One conversation with an agent: the request line, the answers that came, and whether they are all there."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_submariner.errors import ProbeInconclusive
from pytest_submariner.model.path import Protocol
from pytest_submariner.paths.sizes import BULK, BULK_BYTES, PMTU
from pytest_submariner.probes import agent
from pytest_submariner.probes.measurement import Measurement, Outcome

SLACK_S = 15.0
"""What starting a process through an API server may take on top of the probes."""

MTU_STEPS = 12
"""Sizes a bisection between a small packet and a jumbo frame tries at most."""


@dataclass(frozen=True)
class Probe:
    """What the agent is asked about one path; `port` is not used for ICMP. `tag` is that of a size (`paths.sizes`), or empty."""

    id: str
    protocol: Protocol
    address: str
    port: int
    tag: str = ""

    @property
    def way(self) -> str:
        """The protocol in the agent's words, to which finding the path MTU is one of its own."""
        return "mtu" if self.tag == PMTU else self.protocol.value

    @property
    def size(self) -> int:
        """Bytes of payload each way."""
        return BULK_BYTES if self.tag == BULK else agent.SIZES[self.way]

    @property
    def amount(self) -> str:
        """The same in words."""
        return "sizes by bisection, unfragmented" if self.tag == PMTU else f"{self.size} bytes each way"

    @property
    def extra_s(self) -> float:
        """What an attempt may take on top of a time-out for each of its phases."""
        if self.tag == PMTU:
            return agent.MTU_TRIES * agent.MTU_PATIENCE_S * MTU_STEPS
        return 2 * self.size / agent.SLOWEST if self.tag == BULK else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "protocol": self.way,
            "address": self.address,
            "port": self.port,
            "size": self.size,
        }


@dataclass(frozen=True)
class Request:
    """All probes of one source. Times in seconds; at most `cap` probes are in flight, at most `rate` are started in a second."""

    probes: Sequence[Probe]
    timeout_s: float = 2.0
    attempts: int = 3
    settle_s: float = 5.0
    cap: int = 32
    rate: float | None = None
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def line(self) -> bytes:
        """The request as the agent reads it, without the newline."""
        document = {
            "version": agent.VERSION,
            "nonce": self.nonce,
            "cap": self.cap,
            "rate": self.rate,
            "settle_s": self.settle_s,
            "timeout_s": self.timeout_s,
            "attempts": self.attempts,
            "probes": [probe.to_dict() for probe in self.probes],
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @property
    def deadline_s(self) -> float:
        """How long the conversation can take when next to nothing answers: an attempt may spend its time on both phases, the next ones
        begin a little later, and all wait longer where the answers that come are slow."""
        rounds = math.ceil(len(self.probes) / self.cap)
        longest = max((probe.extra_s for probe in self.probes), default=0.0)
        pacing = len(self.probes) / self.rate if self.rate else 0.0
        attempt = 2 * agent.LONGEST * max(1.0, self.timeout_s) + self.attempts
        return pacing + self.settle_s + rounds * attempt + self.attempts * longest + SLACK_S


@dataclass(frozen=True)
class Hello:
    """Who answered: the pod's name, every IPv4 address of its network namespace, the MTU of its default device where it has one."""

    name: str
    python: str
    addresses: tuple[str, ...]
    mtu: int | None = None


@dataclass(frozen=True)
class Conversation:
    """A whole one: its trailer was there and agreed with what was received."""

    hello: Hello
    measurements: dict[str, Measurement]


def read(request: Request, lines: Iterable[bytes]) -> Conversation:
    """Check and parse what the agent wrote. ProbeInconclusive says what is missing, damaged or too much; what the transport
    raises while `lines` are read passes through."""
    documents = read_lines(lines, request.nonce)
    hello = _hello(documents[0])
    measurements = {m.id: m for m in map(Measurement.from_answer, documents[1:])}
    asked = {probe.id for probe in request.probes}
    if len(documents) - 1 != len(asked) or set(measurements) != asked:
        unasked = ", ".join(sorted(set(measurements) - asked)[:3])
        missing = ", ".join(sorted(asked - set(measurements))[:3])
        raise ProbeInconclusive(
            f"the agent answered {len(documents) - 1} of {len(asked)} probes"
            + (f"; missing: {missing}" if missing else "")
            + (f"; not asked: {unasked}" if unasked else "")
        )
    for probe in request.probes:
        found = measurements[probe.id]
        answered = found.outcome is Outcome.ANSWERED and probe.way in {"tcp", "udp"}
        if answered and None in {found.listener, found.seen}:
            raise ProbeInconclusive(f"the agent was answered about {probe.id}, but names no listener or source")
    return Conversation(hello, measurements)


def read_lines(lines: Iterable[bytes], nonce: str) -> list[dict[str, Any]]:
    """The documents before the trailer, proven complete by it: at least the greeting."""
    digest = hashlib.sha256()
    documents: list[dict[str, Any]] = []
    trailer: dict[str, Any] | None = None
    for line in lines:
        if trailer is not None:
            raise ProbeInconclusive(f"the agent went on after its trailer: {line[:80]!r}")
        document = _parse(line)
        if isinstance(document.get("trailer"), dict):
            trailer = document["trailer"]
        else:
            documents.append(document)
            digest.update(line + b"\n")
    if trailer is None:
        raise ProbeInconclusive(f"the conversation broke off after {len(documents)} lines: its trailer is missing")
    if trailer.get("nonce") != nonce:
        raise ProbeInconclusive("the answer is to another request: its nonce differs")
    if trailer.get("digest") != digest.hexdigest() or not documents:
        raise ProbeInconclusive(
            f"the conversation is damaged: {len(documents)} lines came which do not have the digest of the trailer"
        )
    return documents


def _parse(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ProbeInconclusive(f"the agent said what is not an answer: {line[:120]!r}")
    return document


def _hello(document: dict[str, Any]) -> Hello:
    try:
        said = document["hello"]
        mtu = None if said.get("mtu") is None else int(said["mtu"])
        return Hello(str(said["name"]), str(said["python"]), tuple(str(a) for a in said["addresses"]), mtu)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ProbeInconclusive("the agent did not greet: another program answered") from None

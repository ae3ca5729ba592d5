"""What was seen of the vx-submariner ping on both nodes, as plain data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_submariner.errors import ProbeInconclusive
from pytest_submariner.model.nodestate import PacketFilter

CHAIN = "SUBMARINER-POSTROUTING"
_SNAT = re.compile(r"-s 240\.0\.0\.0/8 -o vx-submariner .*?-j SNAT --to-source (\S+)")


@dataclass(frozen=True)
class SnatRule:
    """The rule which gives host traffic the CNI address; `packets` counts connections, as nat rules do, since it was made."""

    backend: str
    text: str
    to_source: str
    packets: int | None


@dataclass(frozen=True)
class Frame:
    """A captured echo of ours. `told` is the source address its socket had, carried in the payload."""

    device: str
    direction: str
    kind: str
    source: str
    destination: str
    index: int
    told: str


@dataclass(frozen=True)
class Echo:
    """One echo request as its sender saw it. `delivered` is the address to which the kernel delivered the reply."""

    index: int
    local: str
    answered: bool
    rtt_ms: float | None
    delivered: str
    error: str


@dataclass(frozen=True)
class VxEvidence:
    """Everything about one ping. `rule` is the one that takes effect: the first of the worker's backend that has one."""

    worker: str
    gateway: str
    address: str
    echoes: tuple[Echo, ...]
    worker_frames: tuple[Frame, ...]
    gateway_frames: tuple[Frame, ...]
    rule: SnatRule | None
    packets_before: int | None
    unread: str = ""
    """Why the packet filter of the worker could not be read; empty when it was."""

    @property
    def requests_out(self) -> tuple[Frame, ...]:
        return _having(self.worker_frames, "request", "out")

    @property
    def requests_in(self) -> tuple[Frame, ...]:
        return _having(self.gateway_frames, "request", "in")

    @property
    def replies_out(self) -> tuple[Frame, ...]:
        return _having(self.gateway_frames, "reply", "out")

    @property
    def replies_in(self) -> tuple[Frame, ...]:
        return _having(self.worker_frames, "reply", "in")

    @property
    def answered(self) -> bool:
        return any(echo.answered for echo in self.echoes)

    @property
    def counted(self) -> int | None:
        """By how many packets the rule's counter rose; None when it was not there or not readable both times."""
        if self.rule is None or self.rule.packets is None or self.packets_before is None:
            return None
        return self.rule.packets - self.packets_before


def snat_rules(filters: Iterable[PacketFilter]) -> tuple[SnatRule, ...]:
    """Every SNAT rule for 240.0.0.0/8 on vx-submariner, of all backends, in the order they are met."""
    found = []
    for one in filters:
        for rule in one.chain("nat", CHAIN):
            match = _SNAT.search(rule.text)
            if match:
                found.append(SnatRule(one.backend, rule.text, match[1], rule.packets))
    return tuple(found)


def read_documents(documents: Iterable[Mapping[str, Any]]) -> tuple[tuple[Echo, ...], tuple[Frame, ...]]:
    """Echoes and frames among the lines of a watcher; ProbeInconclusive when one has not their shape."""
    echoes, frames = [], []
    try:
        for document in documents:
            if "echo" in document:
                echoes.append(Echo(**document["echo"]))
            elif "frame" in document:
                frames.append(Frame(**document["frame"]))
    except TypeError as error:
        raise ProbeInconclusive(f"a line of the watcher cannot be read: {error}") from None
    return tuple(echoes), tuple(frames)


def with_counters(evidence: VxEvidence, before: Iterable[SnatRule], after: Iterable[SnatRule]) -> VxEvidence:
    """The same with the rule that is there afterwards and what its counter showed before."""
    rule = next(iter(after), None)
    known = {(r.backend, r.text): r.packets for r in before}
    return replace(evidence, rule=rule, packets_before=known.get((rule.backend, rule.text)) if rule else None)


def _having(frames: Iterable[Frame], kind: str, direction: str) -> tuple[Frame, ...]:
    return tuple(frame for frame in frames if (frame.kind, frame.direction) == (kind, direction))

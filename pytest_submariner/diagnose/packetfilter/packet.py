"""A packet as a rule sees it, and what a rule can answer: yes, no, or may."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

EPHEMERAL = -1
"""The port of a client: any of those the kernel chooses from."""
EPHEMERAL_PORTS = (32768, 60999)
"""Linux: Documentation/networking/ip-sysctl.rst, ip_local_port_range."""


class Answer(IntEnum):
    """Whether a packet matches. MAY: it depends on what is not known (chance, a set that was not read, a foreign match)."""

    NO = 0
    MAY = 1
    YES = 2

    def __invert__(self) -> Answer:
        return Answer(2 - self.value)

    @classmethod
    def of(cls, is_so: bool) -> Answer:
        return cls.YES if is_so else cls.NO


def every(answers: Iterable[Answer]) -> Answer:
    """NO as soon as one is; YES for none at all."""
    found = Answer.YES
    for answer in answers:
        if answer is Answer.NO:
            return Answer.NO
        found = min(found, answer)
    return found


def some(answers: Iterable[Answer]) -> Answer:
    return max(answers, default=Answer.NO)


class Hook(StrEnum):
    """Where the kernel asks packet filters; the names nftables has. iptables' built-in chains have the same in capitals."""

    INGRESS = "ingress"
    PREROUTING = "prerouting"
    INPUT = "input"
    FORWARD = "forward"
    OUTPUT = "output"
    POSTROUTING = "postrouting"


class State(StrEnum):
    """What connection tracking makes of a packet."""

    NEW = "NEW"
    ESTABLISHED = "ESTABLISHED"


@dataclass(frozen=True)
class Packet:
    """An IPv4 packet. A port may be `EPHEMERAL`. A port that is None and a device that is "" are not known; `mark` None
    neither. `is_reply` is the direction, which decides what TCP flags and ICMP type it has: a NEW one is a SYN, or an echo request."""

    source: str
    destination: str
    protocol: str = "tcp"
    source_port: int | None = None
    destination_port: int | None = None
    in_device: str = ""
    out_device: str = ""
    state: State = State.NEW
    is_reply: bool = False
    mark: int | None = 0

    def with_mark(self, mark: int | None) -> Packet:
        return replace(self, mark=mark)

    def to(self, destination: str, port: int | None = None) -> Packet:
        """After destination translation; `port` None: the port stays."""
        return replace(self, destination=destination, destination_port=port or self.destination_port)

    def __str__(self) -> str:
        port = f":{self.destination_port}" if self.destination_port and self.destination_port > 0 else ""
        return f"{self.protocol} {self.source} → {self.destination}{port}"

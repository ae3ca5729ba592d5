"""A rule of either tool, understood as far as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_submariner.diagnose.packetfilter.addresses import Known
from pytest_submariner.diagnose.packetfilter.packet import Answer, Packet, every
from pytest_submariner.model.filters import NftRule, PacketFilterRule

Match = Callable[[Packet, Known], Answer]

DROPS = frozenset({"DROP", "REJECT"})
SOURCE_NAT = frozenset({"SNAT", "MASQUERADE", "NETMAP"})
DESTINATION_NAT = frozenset({"DNAT", "REDIRECT"})
ENDS = DROPS | SOURCE_NAT | DESTINATION_NAT | {"ACCEPT", "QUEUE", "UNKNOWN"}
"""Verdicts after which a chain is not gone on with. UNKNOWN: a target that may or may not end it."""


@dataclass(frozen=True)
class Understood:
    """`matches` all have to answer yes. `verdict`: a word of `ENDS`, RETURN, JUMP or GOTO with `to` the chain, or any other word for
    what goes on to the next rule (`TCPMSS`, `LOG`, "" for a rule that only counts). `to`: the address of a translation, as written.
    `marks`: the packet's mark afterwards, None when it cannot be told."""

    source: PacketFilterRule | NftRule
    matches: tuple[Match, ...]
    verdict: str
    to: str = ""
    marks: Callable[[int | None], int | None] | None = None

    def answer(self, packet: Packet, known: Known) -> Answer:
        return every(match(packet, known) for match in self.matches)


def may(packet: Packet, known: Known) -> Answer:
    """The match of what is not understood."""
    return Answer.MAY


def never(packet: Packet, known: Known) -> Answer:
    return Answer.NO


def negated(match: Match) -> Match:
    return lambda packet, known: ~match(packet, known)


def unless(is_negated: bool, match: Match) -> Match:
    return negated(match) if is_negated else match

"""Differences as people read them: what was expected, what was found in its place, and what it means for traffic."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from pytest_submariner.dataplane.consequence import consequence
from pytest_submariner.dataplane.difference import Difference, Kind, rules_ahead_of
from pytest_submariner.dataplane.wording import describe
from pytest_submariner.model.nodestate import Address, FdbEntry, Link, NodeState, PacketFilterRule, Route, Rule


@dataclass(frozen=True)
class Deviation:
    """`expected` and `found` as their tools print them; empty when nothing was expected or nothing was found."""

    part: str
    expected: str
    found: str
    consequence: str

    def lines(self) -> tuple[str, ...]:
        return (
            f"expected: {self.expected or 'nothing'}",
            f"found:    {self.found or 'nothing'}",
            f"consequence: {self.consequence}",
        )


def deviations(
    differences: Iterable[Difference], *, is_gateway: bool, observed: NodeState | None = None
) -> tuple[Deviation, ...]:
    """A missing element and an unexpected one that takes its place (same device, same destination) are one deviation.

    `is_gateway`: whether the node is its cluster's active gateway. `observed`: the node's state, to find routes of others in
    the place of ours. What was not read is no deviation and left out."""
    others = (observed.routes if observed else None) or ()
    known = [d for d in differences if d.kind is not Kind.UNREAD]
    unexpected = [d for d in known if d.kind is Kind.UNEXPECTED]
    found: list[Deviation] = []
    for difference in known:
        if difference.kind is Kind.UNEXPECTED:
            continue
        if difference.kind is Kind.MISPLACED:
            found.append(_misplaced(difference, observed))
            continue
        instead = next((d for d in unexpected if _replaces(d, difference)), None)
        if instead is not None:
            unexpected.remove(instead)
        else:
            taking = (Difference("routes", Kind.UNEXPECTED, route) for route in others)
            instead = next((d for d in taking if _replaces(d, difference)), None)
        found.append(_deviation(difference, instead, is_gateway))
    return (*found, *(_deviation(None, d, is_gateway) for d in unexpected))


def _deviation(wanted: Difference | None, instead: Difference | None, is_gateway: bool) -> Deviation:
    expected = wanted.element if wanted else None
    observed = instead.element if instead else None
    return Deviation(
        next(d.part for d in (wanted, instead) if d is not None),
        describe(expected) if wanted else "",
        describe(observed) if instead else "",
        consequence(expected, observed, is_gateway=is_gateway),
    )


def _misplaced(difference: Difference, observed: NodeState | None) -> Deviation:
    jump = difference.element
    ahead: tuple[PacketFilterRule, ...] = ()
    if isinstance(jump, PacketFilterRule) and observed is not None:
        ahead = rules_ahead_of(jump, observed.packet_filters)
    return Deviation(
        difference.part,
        f"{describe(jump)} before rules that decide about packets",
        "it behind " + (", ".join(map(describe, ahead)) or "such rules"),
        "those are applied first: packets between clusters get another source or are dropped before Submariner's rules see them",
    )


def _replaces(unexpected: Difference, missing: Difference) -> bool:
    key = _place(missing)
    return missing.kind is Kind.MISSING and key is not None and key == _place(unexpected)


def _place(difference: Difference) -> Hashable | None:
    """What two elements share of which one stands where the other should; None when elements stand beside each other."""
    element = difference.element
    if isinstance(element, Link):
        return "link", element.name
    if isinstance(element, (Address, FdbEntry)):
        return type(element).__name__, element.device
    if isinstance(element, Route):
        return "route", element.table, element.destination
    if isinstance(element, Rule):
        return "rule", element.table
    if isinstance(element, PacketFilterRule):
        target = element.text.partition(" -j ")[2].partition(" ")[0]
        return ("rule", element.table, element.chain, target) if target in ("SNAT", "TCPMSS") else None
    if isinstance(element, tuple) and len(element) == 3 and element[1] == "=":
        return "setting", element[0]
    return None

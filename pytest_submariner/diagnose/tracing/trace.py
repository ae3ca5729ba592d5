"""A trace: where on its way a flow's packets were seen, and where they were lost. Data; `tracer` makes it.

The hop ladder of a request from a pod on a non-gateway node to one in another cluster: 1 client's veth, 2 vx-submariner
out, 3 underlay out (UDP/4800), 4 gateway's underlay in, 5 its vx-submariner in, 6 cable device out, 7 underlay out, 8
remote gateway's underlay in, 9 its cable device in, 10 its CNI device out, 11 the server's node in, 12 server's veth. Flows
that start or end on a gateway, on a host network, or stay inside a cluster, lack rungs. Replies climb it from the other
end, by the same numbers seen from there: their 1 is the server's veth, their 12 the client's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

SMALL = 576
"""Bytes of IP packet; below what a full TCP segment has (RFC 791's minimum reassembly size, RFC 9293's default MSS of 536)."""


class Way(StrEnum):
    REQUEST = "request"
    REPLY = "reply"


@dataclass(frozen=True)
class Rung:
    """One place a packet has to pass. `cluster` is the position; `device` what the node calls it, "" where any may serve;
    `direction` in or out, as the node sees it."""

    way: Way
    number: int
    cluster: str
    node: str
    device: str
    direction: str

    def __str__(self) -> str:
        return f"{self.way} {self.number} ({self.node}: {self.device or 'any device'} {self.direction})"


@dataclass(frozen=True)
class Sighting:
    """What was captured at a rung: how many packets of the flow, the (inner) addresses they carried, the outer ones when
    they were encapsulated, with VNIs and UDP ports. `packets` None: nobody could look there, so nothing can be said.

    `arp`: how many of `packets` are unanswered ARP requests for the next tunnel address (240.x, 241.x), which stand for
    packets that wait for the answer. `largest`: bytes of the longest (inner) IP packet; more than an MTU where the kernel
    segments later. `macs`: destination MACs inside VXLAN. `for_other`: how many had a destination MAC that is not the
    device's, so that the kernel drops them; 0 where any device may serve, because a bridge takes what its ports get."""

    rung: Rung
    packets: int | None
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    outer_sources: tuple[str, ...] = ()
    outer_destinations: tuple[str, ...] = ()
    device: str = ""
    largest: int = 0
    arp: int = 0
    macs: tuple[str, ...] = ()
    vnis: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()
    for_other: int = 0

    @property
    def seen(self) -> bool:
        return bool(self.packets)

    @property
    def data(self) -> int:
        """Packets of the flow itself, without ARP."""
        return (self.packets or 0) - self.arp

    def __str__(self) -> str:
        if self.packets is None:
            return f"{self.rung}: not looked at"
        if not self.packets:
            return f"{self.rung}: nothing"
        what = f"{self.data} packets" if self.data != 1 else "1 packet"
        if self.arp:
            what = f"{f'{what} and ' if self.data else ''}{self.arp} unanswered ARP requests"
        inner = f" {'/'.join(self.sources)} > {'/'.join(self.destinations)}"
        outer = (
            f" in {'/'.join(self.outer_sources)} > {'/'.join(self.outer_destinations)}" if self.outer_sources else ""
        )
        via = f" on {self.device}" if self.device and self.device != self.rung.device else ""
        return f"{self.rung}: {what}{via}{inner}{outer}"


@dataclass(frozen=True)
class Trace:
    """`sightings` in the order of the way, request first. `answered`: the traced probes got their answer, so this time
    nothing was lost. `tools` by node: tcpdump, python3, or counters. `notes`: sentences on what limits the trace, and what
    else was seen (ICMP errors, ARP without an answer). `astray`: packets of the flow that left a node by another device than its way
    has there, or bare where they had to be in a tunnel; their rungs have number 0. `lines`: the packets, in order of time by
    the nodes' clocks, bounded."""

    path_id: str
    sightings: tuple[Sighting, ...]
    answered: bool = False
    tools: dict[str, str] = field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = ()
    astray: tuple[Sighting, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def last_seen(self) -> Rung | None:
        """The furthest rung at which a packet was seen, on the reply's way if any reply was."""
        seen = [s.rung for s in self.sightings if s.seen]
        return seen[-1] if seen else None

    @property
    def first_lost(self) -> Rung | None:
        """The rung after it where one looked and saw nothing; None when nothing was lost or nobody looked."""
        if self.answered:
            return None
        last = max((i for i, s in enumerate(self.sightings) if s.seen), default=-1)
        return next((s.rung for s in self.sightings[last + 1 :] if s.packets == 0), None)

    def at(self, way: Way, number: int) -> Sighting | None:
        return next((s for s in self.sightings if (s.rung.way, s.rung.number) == (way, number)), None)

    def lost_between(self, way: Way, before: int, after: int) -> bool:
        """Whether the packets were lost after rung `before` at the earliest and at rung `after` at the latest."""
        last, first = self.last_seen, self.first_lost
        if last is None or first is None:
            return False
        return last.way is way and first.way is way and before <= last.number and first.number <= after

    def large_lost(self, way: Way) -> tuple[Sighting, Sighting] | None:
        """The two rungs between which the large packets of a way were lost while small ones went on; None where that is not what
        was seen. The last such place, because a sender that is told of a lower MTU goes on with smaller packets. Of TCP,
        whose segments the kernel cuts and joins on the way, only packets too short to be full segments count as small."""
        seen = [s for s in self.sightings if s.rung.way is way and s.data]
        exact = "--icmp" in self.path_id
        for before, after in reversed(list(pairwise(seen))):
            if after.largest < (before.largest if exact else min(before.largest, SMALL)):
                return before, after
        return None

    def rewritten(self, way: Way) -> tuple[Sighting, Sighting] | None:
        """The two rungs between which the source address changed first."""
        seen = [s for s in self.sightings if s.rung.way is way and s.data]
        return next(((b, a) for b, a in pairwise(seen) if set(b.sources).isdisjoint(a.sources)), None)

    def __str__(self) -> str:
        changed = self.rewritten(Way.REQUEST)
        if self.answered:
            if changed is None:
                return f"{self.path_id}: answered when traced"
            before, after = changed
            return (
                f"{self.path_id}: answered when traced; source {'/'.join(before.sources)} at {before.rung} became "
                f"{'/'.join(after.sources)} at {after.rung}"
            )
        last, first = self.last_seen, self.first_lost
        for way in Way:
            if first is None and (large := self.large_lost(way)) is not None:
                before, after = large
                return (
                    f"{self.path_id}: packets of {before.largest} bytes were seen up to {before.rung}, at {after.rung} none "
                    f"over {after.largest}"
                )
        where = first or "any later place that was looked at"
        return f"{self.path_id}: " + (f"seen up to {last}, not seen at {where}" if last else f"not seen at {where}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Trace:
        """The inverse of `to_dict`."""

        def sighting(entry: dict[str, Any]) -> Sighting:
            rung = Rung(**{**entry["rung"], "way": Way(entry["rung"]["way"])})
            lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, (list, tuple))}
            return Sighting(**{**entry, **lists, "rung": rung})

        return cls(
            data["path_id"],
            tuple(map(sighting, data["sightings"])),
            data["answered"],
            dict(data["tools"]),
            tuple(data["notes"]),
            tuple(map(sighting, data.get("astray", ()))),
            tuple(data.get("lines", ())),
        )

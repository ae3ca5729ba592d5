"""A trace: where on its way a flow's packets were seen, and where they were lost. Data; `tracer` makes it.

The hop ladder of a request from a pod on a non-gateway node to one in another cluster: 1 client's veth, 2 vx-submariner
out, 3 underlay out (UDP/4800), 4 gateway's underlay in, 5 its vx-submariner in, 6 cable device out, 7 underlay out, 8
remote gateway's underlay in, 9 its cable device in, 10 its CNI device out, 11 the server's node in, 12 server's veth. Flows
that start or end on a gateway, or on a host network, lack rungs. Replies climb it from the other end, by the same
numbers seen from there: their 1 is the server's veth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


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
    they were encapsulated. `packets` None: no capture there, so nothing can be said."""

    rung: Rung
    packets: int | None
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    outer_sources: tuple[str, ...] = ()
    outer_destinations: tuple[str, ...] = ()
    device: str = ""

    @property
    def seen(self) -> bool:
        return bool(self.packets)


@dataclass(frozen=True)
class Trace:
    """`sightings` in the order of the way, request first. `answered`: the traced probes got their answer, so this time
    nothing was lost. `tools` by node: tcpdump, python3, or counters. `notes`: sentences on what limits the trace, and what
    else was seen (ICMP errors on the way back)."""

    path_id: str
    sightings: tuple[Sighting, ...]
    answered: bool = False
    tools: dict[str, str] = field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = ()

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

    def __str__(self) -> str:
        if self.answered:
            return f"{self.path_id}: answered when traced"
        last, first = self.last_seen, self.first_lost
        return f"{self.path_id}: seen up to {last or 'nowhere'}, not seen at {first or 'any later place that was looked at'}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Trace:
        """The inverse of `to_dict`."""

        def sighting(entry: dict[str, Any]) -> Sighting:
            rung = Rung(**{**entry["rung"], "way": Way(entry["rung"]["way"])})
            lists = ("sources", "destinations", "outer_sources", "outer_destinations")
            return Sighting(**{**entry, "rung": rung, **{name: tuple(entry[name]) for name in lists}})

        return cls(
            data["path_id"],
            tuple(map(sighting, data["sightings"])),
            data["answered"],
            dict(data["tools"]),
            tuple(data["notes"]),
        )

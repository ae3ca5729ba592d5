"""What is measured under load, and what came out. Ids are a path's and one more part: `pod.gw.c1--pod.gw.c2--tcp--throughput-10`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from pytest_submariner.model.path import PathCase


class Measure(StrEnum):
    """What is measured of a path."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"


_LAST_PART = re.compile(r"(?P<measure>throughput)-(?P<streams>[1-9][0-9]?)|(?P<other>latency)")


@dataclass(frozen=True, order=True)
class LoadCase:
    """One figure to measure: throughput of `path` with so many TCP streams, or its round trips (TCP or ICMP, one at a time)."""

    path: PathCase
    measure: Measure
    streams: int = 1

    @property
    def id(self) -> str:
        return f"{self.path.id}--{self.measure}" + (f"-{self.streams}" if self.measure is Measure.THROUGHPUT else "")

    def __str__(self) -> str:
        return self.id

    @classmethod
    def parse(cls, text: str) -> LoadCase:
        """The inverse of `id`; ValueError says which part is wrong."""
        path, _, last = text.rpartition("--")
        match = _LAST_PART.fullmatch(last)
        if match is None:
            raise ValueError(f"{text!r}: {last!r} is not a measure: expected throughput-STREAMS (1 to 99) or latency")
        if match["measure"]:
            return cls(PathCase.parse(path), Measure.THROUGHPUT, int(match["streams"]))
        return cls(PathCase.parse(path), Measure.LATENCY)


class State(StrEnum):
    """How a measurement ended."""

    MEASURED = "measured"
    MISSED = "missed"
    """Measured, and outside of what the thresholds allow."""
    FAILED = "failed"
    """Nothing to measure: the path does not carry it."""
    ERROR = "error"
    """Could not ask, or the answer cannot be trusted."""
    SKIPPED = "skipped"


@dataclass(frozen=True)
class RoundTrips:
    """Milliseconds. Percentiles by nearest rank over `samples` answered round trips."""

    min: float
    mean: float
    p50: float
    p90: float
    p99: float
    max: float
    samples: int
    lost: int = 0


@dataclass(frozen=True)
class Figure:
    """One measurement. `intra_id` and `ratio` compare a figure between clusters with the same measure inside the source's cluster:
    throughput as the share of it that was reached, latency as how many times the median took."""

    id: str
    state: State
    detail: str = ""
    """One line: what was measured between which nodes, or why nothing was."""
    source_node: str = ""
    target_node: str = ""
    target_address: str = ""
    mbit_s: float | None = None
    """Payload that arrived in a second, in 10⁶ bits."""
    seconds: float | None = None
    retransmits: int | None = None
    """TCP segments the sender had to send again, slow start included."""
    segment_bytes: int | None = None
    """The sender's segment size (MSS) at the end: shows a smaller path MTU."""
    round_trips: RoundTrips | None = None
    intra_id: str | None = None
    ratio: float | None = None
    nodeid: str = ""

    @property
    def case(self) -> LoadCase:
        return LoadCase.parse(self.id)

    @property
    def has_value(self) -> bool:
        return self.value is not None

    @property
    def value(self) -> float | None:
        """What two figures are compared by: Mbit/s, or the median round trip."""
        return self.round_trips.p50 if self.round_trips else self.mbit_s

    def to_dict(self) -> dict[str, Any]:
        """The shape of `performance[]` in results.json."""
        case = self.case
        data = asdict(self)
        data["state"] = self.state.value
        return {"path": case.path.id, "measure": case.measure.value, "streams": case.streams, **data}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Figure:
        """The inverse of `to_dict`."""
        known = {name: value for name, value in data.items() if name not in ("path", "measure", "streams")}
        trips = known.pop("round_trips")
        return cls(**{**known, "state": State(known["state"]), "round_trips": RoundTrips(**trips) if trips else None})

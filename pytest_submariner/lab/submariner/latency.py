"""Round-trip times as Submariner publishes them: statistics over the last samples, durations in Go's spelling."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

SAMPLES: Final = 1000
"""After so many the mean starts over from the last two; minimum and maximum stay
(submariner:pkg/pinger/statistics.go)."""
_UNITS: Final = ((1_000_000, "ms"), (1_000, "µs"))


@dataclass
class Latency:
    """Nanoseconds, whole numbers as upstream's."""

    last: int = 0
    minimum: int = 0
    maximum: int = 0
    _samples: list[int] = field(default_factory=list, repr=False)

    def add(self, rtt: int) -> None:
        if len(self._samples) == SAMPLES:
            self._samples = self._samples[-2:]
        self._samples.append(rtt)
        self.last = rtt
        self.minimum = min(self.minimum, rtt) if self.minimum else rtt
        self.maximum = max(self.maximum, rtt)

    @property
    def average(self) -> int:
        return sum(self._samples) // len(self._samples) if self._samples else 0

    @property
    def deviation(self) -> int:
        """Standard deviation of the population."""
        if not self._samples:
            return 0
        mean = self.average
        return math.isqrt(sum((sample - mean) ** 2 for sample in self._samples) // len(self._samples))

    def to_dict(self) -> dict[str, str]:
        """The shape of `latencyRTT`; zero before the first sample."""
        return {
            "last": go_duration(self.last),
            "min": go_duration(self.minimum),
            "average": go_duration(self.average),
            "max": go_duration(self.maximum),
            "stdDev": go_duration(self.deviation),
        }


def go_duration(nanoseconds: int) -> str:
    """`364542` -> `364.542µs`, as Go's `time.Duration.String` prints it; `0s` for nothing."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 1_000:
        return f"{nanoseconds}ns"
    for size, unit in _UNITS:
        if size <= nanoseconds < size * 1_000:
            return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 1_000_000_000)}s"
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds


def _decimal(value: int, size: int) -> str:
    """`value / size` without trailing zeros; `size` is a power of ten."""
    whole, fraction = divmod(value, size)
    digits = f"{fraction:0{len(str(size)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)

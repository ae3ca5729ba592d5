"""Figures under load as tables: throughput and round trips, each beside the same measure inside the source's cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_submariner.model.performance import Figure, Measure
from pytest_submariner.report.text import count, title


@dataclass(frozen=True)
class Group:
    """A table. A row is (path, state, cells)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]


def groups(figures: Sequence[Figure]) -> list[Group]:
    """Throughput, then latency; what was not measured has its reason instead of numbers."""
    made = []
    throughput = [f for f in figures if f.case.measure is Measure.THROUGHPUT]
    if throughput:
        rows = tuple((title(f.case.path), f.state.value, _throughput(f)) for f in throughput)
        made.append(Group("TCP throughput", ("streams", "Mbit/s", "of that inside", "sent again"), rows))
    latency = [f for f in figures if f.case.measure is Measure.LATENCY]
    if latency:
        rows = tuple((title(f.case.path), f.state.value, _latency(f)) for f in latency)
        made.append(Group("Round trips, ms", ("p50", "p90", "p99", "max", "times that inside"), rows))
    return made


def _throughput(figure: Figure) -> tuple[str, ...]:
    if figure.mbit_s is None:
        return (str(figure.case.streams), "–", "–", "–")
    share = f"{figure.ratio:.0%}" if figure.ratio is not None else "–"
    again = count(figure.retransmits, "segment") if figure.retransmits is not None else "–"
    return str(figure.case.streams), f"{figure.mbit_s:,.0f}", share, again


def _latency(figure: Figure) -> tuple[str, ...]:
    trips = figure.round_trips
    if trips is None:
        return ("–",) * 5
    times = f"{figure.ratio:.1f}" if figure.ratio is not None else "–"
    return (*(f"{value:.3f}" for value in (trips.p50, trips.p90, trips.p99, trips.max)), times)

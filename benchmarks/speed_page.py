"""The speed report: plain data in, Markdown out."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One thing measured several times, in seconds; `goal` is an upper limit in seconds, or with `stock` a ratio to reach."""

    title: str
    ours: Sequence[float]
    stock: Sequence[float] = ()
    goal_s: float | None = None
    goal_ratio: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.stock) / self.median if self.stock else None

    @property
    def is_met(self) -> bool | None:
        """By the medians; None when there is no goal, or no stock to compare with."""
        if self.goal_ratio is not None:
            return None if self.ratio is None else self.ratio >= self.goal_ratio
        return None if self.goal_s is None else self.median <= self.goal_s

    def cells(self) -> list[str]:
        goal = "" if self.goal_s is None else f"≤ {self.goal_s:g} s"
        if self.goal_ratio is not None:
            goal = f"≥ {self.goal_ratio:g} ×"
        return [
            self.title,
            f"{self.median:.2f} s",
            f"{min(self.ours):.2f}–{max(self.ours):.2f} ({len(self.ours)})",
            f"{statistics.median(self.stock):.1f} s" if self.stock else "",
            f"{self.ratio:.1f} ×" if self.ratio is not None else "",
            goal,
            {True: "met", False: "**not met**", None: ""}[self.is_met],
        ]


def page(rows: Sequence[Row], healthy: tuple[int, int, int] | None, load: float) -> Iterator[str]:
    """`healthy`: runs in a row, verdicts in them, wrong ones; `load`: runnable processes per core of others, before the start."""
    yield from (
        "# Speed",
        "",
        "Written by `python -m benchmarks.run`. Wall seconds, medians; every run of pytest is a cold start with the plugins that",
        "pytest-submariner depends on and compiled modules kept, reports included. Stock is `subctl verify --only connectivity",
        "--connection-timeout 20 --connection-attempts 1` on the same lab.",
        "",
        f"Load of the machine by others when it started: {load:.1f} runnable processes per core"
        + (
            " (more than 0.3: all seconds are too high, ours more than those of a tool that waits)."
            if load > 0.3
            else "."
        ),
        "",
        "| what | ours | range (runs) | stock | ratio | goal | |",
        "|---|---|---|---|---|---|---|",
    )
    for row in rows:
        yield f"| {' | '.join(row.cells())} |"
    if healthy is not None:
        runs, verdicts, wrong = healthy
        yield from ("", f"{runs} healthy runs in a row: {verdicts} verdicts, {wrong} wrong.")

"""The speed report: plain data in, Markdown out."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BAR = 40


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


@dataclass(frozen=True)
class Size:
    """A lab of two clusters with `nodes` each: its boot, and one run of the suites in it."""

    nodes: int
    boot_s: float
    lab_mib: float
    run_s: float
    probing_s: float
    peak_mib: float
    requests: int
    paths: int
    wrong: int

    @property
    def requests_per_node(self) -> float:
        return self.requests / (2 * self.nodes)


def page(
    rows: Sequence[Row], growth: Sequence[Size], healthy: tuple[int, int, int] | None, load: float
) -> Iterator[str]:
    """`healthy`: runs in a row, verdicts in them, wrong ones; `load`: runnable processes per core of others, before the start."""
    yield from (
        "# Speed",
        "",
        "Written by `python -m benchmarks.run`. Wall seconds, medians; every run of pytest is a cold start with the plugins that",
        "pytest-submariner depends on, reports included. Stock is `subctl verify --only connectivity --connection-timeout 20",
        "--connection-attempts 1` on the same lab.",
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
    if growth:
        yield from (
            "",
            "## Growth",
            "",
            "Two clusters; the lab's memory is idle, the peak is lab, probe pods and pytest together.",
            "",
        )
        yield "| nodes per cluster | boot | lab | run | probing | peak | API requests | per node | paths | wrong |"
        yield "|---|---|---|---|---|---|---|---|---|---|"
        for size in growth:
            yield (
                f"| {size.nodes} | {size.boot_s:.2f} s | {size.lab_mib:.0f} MiB | {size.run_s:.1f} s | {size.probing_s:.1f} s "
                f"| {size.peak_mib:.0f} MiB | {size.requests} | {size.requests_per_node:.1f} | {size.paths} | {size.wrong} |"
            )
        yield from ("", "```text")
        for title, unit, values in (
            ("boot", "s", [size.boot_s for size in growth]),
            ("probing", "s", [size.probing_s for size in growth]),
            ("peak memory", "MiB", [size.peak_mib for size in growth]),
            ("API requests", "", [float(size.requests) for size in growth]),
        ):
            yield from _bars(title, unit, [size.nodes for size in growth], values)
        yield "```"


def _bars(title: str, unit: str, sizes: Sequence[int], values: Sequence[float]) -> Iterator[str]:
    """A bar per size, the longest BAR characters long."""
    yield f"{title} {f'({unit})' if unit else ''}".rstrip()
    largest = max(values) or 1.0
    for size, value in zip(sizes, values, strict=True):
        yield f"{size:>5} {'█' * max(1, round(BAR * value / largest))} {value:.1f}"

"""The growth report: plain data in, Markdown and a plot out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.plot import Panel, Series, plot

REQUESTS_PER_NODE = 15
GOALS = {100: "boot ≤ 5 s, probing ≤ 15 s, run ≤ 30 s, peak ≤ 2,048 MiB"}


@dataclass(frozen=True)
class Size:
    """A lab of so many nodes: its boot, and one run of the mesh in it. Times in wall seconds, `cpu_s` of pytest and the whole lab together;
    memory in MiB, that of the lab idle, the peak of lab, probe pods and pytest."""

    nodes: int
    boot_s: float
    lab_mib: float
    run_s: float
    probing_s: float
    cpu_s: float
    peak_mib: float
    requests: int
    paths: int
    wrong: int

    @property
    def pairs(self) -> int:
        """Ordered pairs of different nodes."""
        return self.nodes * (self.nodes - 1)

    @property
    def requests_per_node(self) -> float:
        return self.requests / self.nodes


def page(sizes: Sequence[Size], load: float) -> Iterator[str]:
    """`load`: runnable processes per core of others, before the start."""
    yield from (
        "# Growth",
        "",
        "Written by `python -m benchmarks.growth`: two clusters, and `pytest suites/mesh --submariner-mesh` from a cold start: every",
        "ordered pair of nodes inside and between the clusters by TCP, UDP and ICMP, probe pods included. CPU seconds are those of",
        "pytest, the lab and all probe pods together; two cores need half as many wall seconds at least.",
        "",
        f"Load of the machine by others when it started: {load:.1f} runnable processes per core.",
        "",
        "| nodes | pairs | paths | boot | probing | run | CPU of the run | lab idle | peak | API requests | per node | wrong |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    )
    for size in sizes:
        yield (
            f"| {size.nodes} | {size.pairs:,} | {size.paths:,} | {size.boot_s:.2f} s | {size.probing_s:.1f} s | {size.run_s:.1f} s "
            f"| {size.cpu_s:.1f} s | {size.lab_mib:.0f} MiB | {size.peak_mib:.0f} MiB | {size.requests} "
            f"| {size.requests_per_node:.1f} | {size.wrong} |"
        )
    yield ""
    for size in sizes:
        if size.nodes in GOALS:
            yield f"Goals at {size.nodes} nodes: {GOALS[size.nodes]}, API requests ≤ {REQUESTS_PER_NODE} per node."
    yield from ("", "![Time, CPU, memory and API requests against nodes and pairs](growth.svg)")


def picture(sizes: Sequence[Size]) -> str:
    """An SVG with a panel per question."""

    def against_nodes(name: str, attribute: str) -> Series:
        return Series(name, [(size.nodes, float(getattr(size, attribute))) for size in sizes])

    limit = Series("15 per node", [(size.nodes, REQUESTS_PER_NODE * size.nodes) for size in sizes], dashed=True)
    by_pairs = [
        Series(name, [(size.pairs, float(getattr(size, attribute))) for size in sizes])
        for name, attribute in (("probing, wall", "probing_s"), ("whole run, CPU", "cpu_s"))
    ]
    return plot(
        "A mesh of two clusters",
        [
            Panel("Time", "nodes", "s", [against_nodes("boot", "boot_s"), against_nodes("run", "run_s")]),
            Panel("Time against pairs", "ordered pairs of nodes", "s", by_pairs),
            Panel("Memory", "nodes", "MiB", [against_nodes("lab idle", "lab_mib"), against_nodes("peak", "peak_mib")]),
            Panel("API requests", "nodes", "", [against_nodes("asked", "requests"), limit]),
        ],
    )

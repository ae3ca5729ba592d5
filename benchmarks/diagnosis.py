"""Every fault in a lab, one at a time: is it detected, and is its cause named right?

    python -m benchmarks.diagnosis [--otherwise] [--healthy] [--pairs] [--runs N] [--stock BIN] [--results FILE] [ID …]

Boots a lab of two clusters, each a gateway and two workers, and removes it. Each row asks the paths of the suites (no bulk data where the
fault does not need it) with one prober and diagnoses what they gave, as `submariner-diagnose` does. Exit status 1 when a row is
wrong."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.labs import Lab
from benchmarks.looking import Look, Looker
from benchmarks.stock import Said, Stock
from pytest_submariner.lab.faults import FAULTS, Fault, LookAlike, find
from pytest_submariner.model.verdict import Outcome
from pytest_submariner.report.findings import lines

RESULTS = Path(__file__).with_name("results") / "diagnosis.md"
SIZED = frozenset({"mtu", "underlay"})
"""Layers whose faults only show with bulk data and full-size packets."""


@dataclass(frozen=True)
class Row:
    """`wanted` and `found` are `CODE at node`; the first of `found` is at top rank."""

    title: str
    wanted: tuple[str, ...]
    found: tuple[str, ...]
    broken: int
    asked: int
    seconds: float
    report: str = ""
    """What `submariner-diagnose -v` prints."""
    stock: Said | None = None

    @property
    def is_right(self) -> bool:
        """All that was injected was named, first, and nothing else."""
        return set(self.wanted) == set(self.found)

    def __str__(self) -> str:
        verdict = "right" if self.is_right else "WRONG"
        found = "<br>".join(self.found) or "–"
        cells = [self.title, f"{self.broken} of {self.asked}", found, verdict, f"{self.seconds:.1f} s"]
        if self.stock is not None:
            cells += [self.stock.verify, "<br>".join(self.stock.diagnose) or "nothing"]
        return f"| {' | '.join(cells)} |"


def main() -> int:
    arguments = _parser().parse_args()
    rows: dict[str, list[Row]] = {}
    with (
        Lab.booted(f"diagnosis-{os.getpid()}", "--workers", "2", "--gateways", str(arguments.gateways)) as lab,
        Looker(lab) as looker,
    ):
        wanted = [find(name) for name in arguments.ids] or _makeable(arguments.gateways)
        if arguments.faults:
            stock = Stock(arguments.stock, lab) if arguments.stock else None
            rows["Faults"] = list(_each(lab, looker, wanted, stock=stock))
        if arguments.otherwise:
            rows["The same faults made by other means"] = list(
                _each(lab, looker, [f for f in wanted if f.otherwise], otherwise=True)
            )
        if arguments.pairs:
            rows["Two faults at once"] = list(_pairs(lab, looker, wanted))
        if arguments.healthy:
            rows["Healthy states"] = list(_healthy(lab, looker))
        if arguments.runs:
            rows["Healthy runs"] = list(_runs(looker, arguments.runs))
    every = list(itertools.chain(*rows.values()))
    right = sum(row.is_right for row in every)
    sys.stdout.write(f"{right} of {len(every)} right\n")
    if arguments.results:
        arguments.results.write_text(_page(rows))
    return 0 if every and right == len(every) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.diagnosis", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-faults", dest="faults", action="store_false", help="Leave out the faults one at a time")
    parser.add_argument("--otherwise", action="store_true", help="Faults made by other means too")
    parser.add_argument("--pairs", action="store_true", help="Pairs of faults of different layers")
    parser.add_argument("--healthy", action="store_true", help="Healthy states that look like faults")
    parser.add_argument(
        "--stock", type=Path, metavar="BIN", help="Ask this subctl too, beside the faults (two minutes each)"
    )
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="N healthy runs")
    parser.add_argument(
        "--gateways", type=int, default=1, metavar="N", help="Gateway nodes per cluster (default: %(default)s)"
    )
    parser.add_argument("--results", type=Path, metavar="FILE", help="File for the tables (default: print rows only)")
    parser.add_argument("ids", nargs="*", metavar="ID", help="Faults (default: all this lab can have)")
    return parser


def _makeable(gateways: int) -> list[Fault]:
    return [fault for fault in FAULTS if gateways > 1 or "OTHER_GATEWAY" not in fault.needs]


def _each(
    lab: Lab, looker: Looker, faults: Iterable[Fault], *, otherwise: bool = False, stock: Stock | None = None
) -> Iterator[Row]:
    for fault in faults:
        with injected(lab, fault, otherwise=otherwise) as place:
            row = _row(fault.id, [f"{fault.code} at {place}"], looker.look(sized=fault.layer in SIZED))
            yield _told(replace(row, stock=stock.look()) if stock else row)
        looker.settle()


def _pairs(lab: Lab, looker: Looker, faults: Sequence[Fault]) -> Iterator[Row]:
    for one, other in pairs(faults):
        with injected(lab, one) as here, injected(lab, other, cluster="c2") as there:
            expected = [f"{one.code} at {here}", f"{other.code} at {there}"]
            yield _told(
                _row(f"{one.id} + {other.id}", expected, looker.look(sized=bool(SIZED & {one.layer, other.layer})))
            )
        looker.settle()


def pairs(faults: Sequence[Fault]) -> list[tuple[Fault, Fault]]:
    """Each fault with one of another layer, so that no two pairs are alike: the second comes from half a table away, and sits in the
    other cluster."""
    half = len(faults) // 2
    found = ((fault, faults[(i + half) % len(faults)]) for i, fault in enumerate(faults[:half]))
    return [(one, other) for one, other in found if one.layer != other.layer]


def _healthy(lab: Lab, looker: Looker) -> Iterator[Row]:
    from pytest_submariner.lab.faults.healthy import LOOK_ALIKES

    for state in LOOK_ALIKES:
        with injected(lab, state):
            look = looker.look(sized=False)
            yield _told(_row(state.id, [], look))
        looker.settle()


def _runs(looker: Looker, runs: int) -> Iterator[Row]:
    for number in range(1, runs + 1):
        yield _told(_row(f"run {number}", [], looker.look(sized=True)))


@contextmanager
def injected(lab: Lab, fault: Fault | LookAlike, *, otherwise: bool = False, cluster: str = "c1") -> Iterator[str]:
    """The node it was injected at."""
    place = lab.command("inject", fault.id, "--cluster", cluster, "--json", *(["--otherwise"] if otherwise else []))
    try:
        yield str(place["node"])
    finally:
        lab.command("heal", fault.id)


def _row(title: str, wanted: Sequence[str], look: Look) -> Row:
    found = tuple(f"{finding.code} at {finding.node}" for finding in look.findings)
    failing = [result.id for result in look.results if result.verdict.outcome is Outcome.FAILED]
    said = lines(look.findings, asked=look.asked, failing=failing, verbose=True)
    return Row(title, tuple(wanted), found, look.broken, look.asked, look.seconds, "\n".join(said))


def _told(row: Row) -> Row:
    sys.stdout.write(f"{row}\n" + ("" if row.is_right else f"{row.report}\n\n"))
    sys.stdout.flush()
    return row


def _page(rows: dict[str, list[Row]]) -> str:
    said = [
        "# Diagnosis",
        "",
        "Written by `python -m benchmarks.diagnosis`: two clusters, each a gateway and two workers. A row is right when every fault",
    ]
    said += ["that was made is named, by its code and at its node, and nothing else is.", ""]
    for title, table in rows.items():
        right = sum(row.is_right for row in table)
        said += [
            f"## {title}: {right} of {len(table)} right",
            "",
            "| state | paths that fail | findings | | asked and diagnosed in |",
            "|---|---|---|---|---|",
        ]
        said += [*map(str, table), ""]
    return "\n".join(said)


if __name__ == "__main__":
    start = time.monotonic()
    status = main()
    sys.stderr.write(f"{time.monotonic() - start:.0f} s\n")
    sys.exit(status)

"""Role × role matrices: one per ordered cluster pair; a row is a source, a column a target, a letter a protocol.

    c1 → c2         pod       svc
                  gw   ngw  gw   ngw
                  tui  tui  tu   tu
    pod      gw   ...  ...  ..   ..
    hostpod  ngw  X..  X..  X.   X.

Of paths that fall on one letter (further nodes of a place in a mesh, tags such as `--pmtu`) the worst is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from pytest_submariner.model.path import Kind, PathCase, Protocol
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.recorder import worst
from pytest_submariner.report.text import parse

PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.ICMP)
INITIALS = {Protocol.TCP: "t", Protocol.UDP: "u", Protocol.ICMP: "i"}
NOT_ASKED = " "
_KINDS = (Kind.POD, Kind.HOSTPOD, Kind.SVC, Kind.NODE, Kind.VX)
_PLACES = ("gw", "pgw", "ngw")

Spot = tuple[Kind, str]
"""A row or a column: what stands there, on which place."""


@dataclass(frozen=True)
class Matrix:
    """The paths from one cluster to one cluster. `cells` maps (row, column) to verdicts by protocol."""

    source: str
    target: str
    rows: tuple[Spot, ...]
    columns: tuple[Spot, ...]
    protocols: dict[Spot, tuple[Protocol, ...]]
    """The protocols of a column, in the order of its letters."""
    cells: dict[tuple[Spot, Spot], dict[Protocol, Verdict]]

    @property
    def title(self) -> str:
        return f"{self.source} → {self.target}" if self.source != self.target else f"inside {self.source}"

    @property
    def verdicts(self) -> set[Verdict]:
        return {verdict for cell in self.cells.values() for verdict in cell.values()}

    def cell(self, row: Spot, column: Spot) -> str:
        """A letter for each protocol of the column; blank where no such path was asked."""
        found = self.cells.get((row, column), {})
        return "".join(found[p].letter if p in found else NOT_ASKED for p in self.protocols[column])


def matrices(results: Iterable[PathResult]) -> list[Matrix]:
    """By cluster pair: first inside each cluster, then between clusters. Status and foreign ids are left out."""
    grouped: dict[tuple[str, str], list[tuple[PathCase, Verdict]]] = {}
    for result in results:
        case = parse(result.id)
        if case is not None and case.protocol in INITIALS:
            grouped.setdefault((case.source.cluster, case.target.cluster), []).append((case, result.verdict))
    return [_matrix(*pair, grouped[pair]) for pair in sorted(grouped, key=lambda pair: (pair[0] != pair[1], pair))]


def _matrix(source: str, target: str, measured: list[tuple[PathCase, Verdict]]) -> Matrix:
    found: dict[tuple[Spot, Spot], dict[Protocol, list[Verdict]]] = {}
    for case, verdict in measured:
        spot = (case.source.kind, case.source.place), (case.target.kind, case.target.place)
        found.setdefault(spot, {}).setdefault(case.protocol, []).append(verdict)
    rows = tuple(sorted({row for row, _ in found}, key=_rank))
    columns = tuple(sorted({column for _, column in found}, key=_rank))
    return Matrix(
        source=source,
        target=target,
        rows=rows,
        columns=columns,
        protocols={
            column: tuple(p for p in PROTOCOLS if any(p in found.get((row, column), {}) for row in rows))
            for column in columns
        },
        cells={spot: {p: worst(verdicts) for p, verdicts in cell.items()} for spot, cell in found.items()},
    )


def _rank(spot: Spot) -> tuple[int, int]:
    return _KINDS.index(spot[0]), _PLACES.index(spot[1])


def header(matrix: Matrix, label: int) -> list[str]:
    """The three lines above the rows: kinds, places, initials of protocols. `label` is the width of row labels."""
    kinds, places, initials = matrix.title.ljust(label), " " * label, " " * label
    for kind, group in groupby(matrix.columns, key=lambda column: column[0]):
        columns = list(group)
        kinds += " " + f" {kind.value}".ljust(sum(width(matrix, c) + 1 for c in columns))
        places += " "
        initials += " "
        for column in columns:
            places += " " + column[1].ljust(width(matrix, column))
            initials += " " + "".join(INITIALS[p] for p in matrix.protocols[column]).ljust(width(matrix, column))
    return [line.rstrip() for line in (kinds, places, initials)]


def width(matrix: Matrix, column: Spot) -> int:
    """Characters of a column: its place, its letters, and its share of the kind's name above."""
    same_kind = sum(1 for c in matrix.columns if c[0] is column[0])
    name = -(-(len(column[0].value) - same_kind + 1) // same_kind)
    return max(len(column[1]), len(matrix.protocols[column]), name)


def label_width(all_matrices: Iterable[Matrix]) -> int:
    """One width for the row labels and titles of all matrices of a report, so that they line up."""
    texts = [m.title for m in all_matrices] + [row_label(*row) for m in all_matrices for row in m.rows]
    return max(map(len, texts), default=0)


def row_label(kind: Kind, place: str) -> str:
    return f"  {kind.value:<8} {place}"

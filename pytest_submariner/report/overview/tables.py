"""Matrices for people who look and for people who listen: a table per ordered cluster pair, a link per letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from pytest_submariner.model.path import Kind, Protocol
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Outcome, Verdict
from pytest_submariner.report.matrix import Matrix, Spot, matrices
from pytest_submariner.report.text import parse

NAMES = {
    Kind.POD: "pod",
    Kind.HOSTPOD: "host-network pod",
    Kind.SVC: "Service",
    Kind.NODE: "node address",
    Kind.VX: "vx-submariner address",
}
PLACES = {"gw": "gateway", "pgw": "passive gateway", "ngw": "non-gateway"}
_Key = tuple[str, str, Spot, Spot, Protocol]


@dataclass(frozen=True)
class Letter:
    """One cell. `key` is what the path list filters by; None for a cell that nobody asked."""

    key: str
    verdict: Verdict
    bad: int
    total: int
    label: str


@dataclass(frozen=True)
class Row:
    """A source: `first` is how many rows its kind has where it is the first of them, else 0."""

    kind: tuple[str, str]
    """(short name, name), as the place."""
    first: int
    place: tuple[str, str]
    cells: tuple[Letter | None, ...]


@dataclass(frozen=True)
class Table:
    """One ordered cluster pair. `kinds`, `places` and `protocols` are the three lines of its head, with their widths in columns."""

    title: str
    source: str
    target: str
    bad: int
    total: int
    kinds: tuple[tuple[str, str, int], ...]
    """(short name, name, columns)."""
    places: tuple[tuple[str, str, int, str], ...]
    """(short name, name, columns, what starts here: kind or place)."""
    protocols: tuple[tuple[str, str], ...]
    """(name, what starts here: kind, place or nothing)."""
    rows: tuple[Row, ...]
    has_many: bool
    """Whether a cell stands for several node pairs (mesh)."""


def tables(results: Sequence[PathResult]) -> list[Table]:
    """As the terminal's matrices, in their order."""
    asked, bad, pairs = _counts(results)
    return [_table(matrix, asked, bad, pairs) for matrix in matrices(results)]


def _counts(results: Sequence[PathResult]) -> tuple[Counter[_Key], Counter[_Key], Counter[tuple[str, str]]]:
    """Paths by cell, those of them that are not as expected, and distinct node pairs by cluster pair."""
    asked: Counter[_Key] = Counter()
    bad: Counter[_Key] = Counter()
    nodes: set[tuple[tuple[str, str], str, str]] = set()
    for result in results:
        case = parse(result.id)
        if case is None:
            continue
        near, far = case.source, case.target
        key = (near.cluster, far.cluster, (near.kind, near.place), (far.kind, far.place), case.protocol)
        asked[key] += 1
        bad[key] += result.verdict.outcome in (Outcome.FAILED, Outcome.ERROR)
        if near.ordinal > 1 or far.ordinal > 1:
            nodes.add(((near.cluster, far.cluster), result.source_node, result.target_node))
    return asked, bad, Counter(pair for pair, _, _ in nodes)


def _table(matrix: Matrix, asked: Counter[_Key], bad: Counter[_Key], pairs: Counter[tuple[str, str]]) -> Table:
    columns = [(column, protocol) for column in matrix.columns for protocol in matrix.protocols[column]]
    per_kind = [(kind, list(group)) for kind, group in groupby(matrix.columns, key=lambda column: column[0])]
    starts = {group[0] for _, group in per_kind}
    ours = [key for key in asked if key[:2] == (matrix.source, matrix.target)]
    return Table(
        title=matrix.title,
        source=matrix.source,
        target=matrix.target,
        bad=sum(bad[key] for key in ours),
        total=sum(asked[key] for key in ours),
        kinds=tuple(
            (kind.value, NAMES[kind], sum(len(matrix.protocols[c]) for c in group)) for kind, group in per_kind
        ),
        places=tuple(
            (column[1], PLACES[column[1]], len(matrix.protocols[column]), "kind" if column in starts else "place")
            for column in matrix.columns
        ),
        protocols=tuple(
            (p.value, "" if p is not matrix.protocols[column][0] else "kind" if column in starts else "place")
            for column, p in columns
        ),
        rows=tuple(_rows(matrix, columns, asked, bad)),
        has_many=pairs[matrix.source, matrix.target] > 0,
    )


def _rows(
    matrix: Matrix, columns: Sequence[tuple[Spot, Protocol]], asked: Counter[_Key], bad: Counter[_Key]
) -> list[Row]:
    sizes = Counter(kind for kind, _ in matrix.rows)
    seen: set[Kind] = set()
    rows = []
    for spot in matrix.rows:
        kind, place = spot
        cells = [_letter(matrix, spot, column, protocol, asked, bad) for column, protocol in columns]
        first = 0 if kind in seen else sizes[kind]
        rows.append(Row((kind.value, NAMES[kind]), first, (place, PLACES[place]), tuple(cells)))
        seen.add(kind)
    return rows


def _letter(
    matrix: Matrix, row: Spot, column: Spot, protocol: Protocol, asked: Counter[_Key], bad: Counter[_Key]
) -> Letter | None:
    verdict = matrix.cells.get((row, column), {}).get(protocol)
    if verdict is None:
        return None
    key = (matrix.source, matrix.target, row, column, protocol)
    label = f"{NAMES[row[0]]} on {PLACES[row[1]]} to {NAMES[column[0]]} on {PLACES[column[1]]}, {protocol.upper()}: {verdict.word}"
    if asked[key] > 1:
        label += f", {bad[key]} of {asked[key]} paths not as expected" if bad[key] else f", {asked[key]} paths"
    name = f"{row[0]}.{row[1]}.{matrix.source}--{column[0]}.{column[1]}.{matrix.target}--{protocol}"
    return Letter(name, verdict, bad[key], asked[key], label)

"""Matrices as lines, with colours by verdict, and the legend of the letters they show."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.model.path import Protocol
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report import matrix
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.spans import Line, Span, style
from pytest_submariner.report.text import pair, parse

SHOWN_MATRICES = 6
"""More cluster pairs than this are shown only where something is not as expected (all of them with -v)."""


def matrix_lines(recorder: Recorder, *, everything: bool) -> Iterator[Line]:
    """All matrices, gateway status, and what the letters mean; of many cluster pairs only those with something to see."""
    all_of_them = matrix.matrices(recorder.results)
    shown = all_of_them
    if len(all_of_them) > SHOWN_MATRICES and not everything:
        shown = [m for m in all_of_them if m.verdicts - {Verdict.OK, Verdict.BY_DESIGN}][:SHOWN_MATRICES]
    label = matrix.label_width(shown)
    for index, table in enumerate(shown):
        if index:
            yield ()
        kinds, *rest = matrix.header(table, label)
        yield (Span(kinds, "head"),)
        for text in rest:
            yield (Span(text, "dim"),)
        for row in table.rows:
            yield tuple(_row(table, row, label))
    if len(shown) < len(all_of_them):
        yield (Span(f"{len(all_of_them) - len(shown)} more cluster pairs; -v shows all"),)
    statuses = list(_statuses(recorder))
    if statuses and all_of_them:
        yield ()
    yield from statuses
    letters = sorted({v for table in shown for v in table.verdicts}, key=list(Verdict).index)
    if letters:
        yield ()
        yield (Span("from row to column, a letter each for tcp, udp and icmp", "dim"),)
        for verdict in letters:
            yield (Span("  "), Span(verdict.letter, style(verdict)), Span(f" {verdict.word}: {verdict.meaning}"))


def _row(table: matrix.Matrix, row: matrix.Spot, label: int) -> Iterator[Span]:
    yield Span(matrix.row_label(*row).ljust(label))
    last_kind = None
    gap = ""
    for column in table.columns:
        gap += "  " if column[0] is not last_kind else " "
        last_kind = column[0]
        cell = table.cell(row, column)
        if cell.strip():
            yield Span(gap)
            found = table.cells[row, column]
            for protocol, letter in zip(table.protocols[column], cell, strict=True):
                yield Span(letter, style(found[protocol]) if protocol in found else "")
            gap = ""
        else:
            gap += cell
        gap += " " * (matrix.width(table, column) - len(cell))


def _statuses(recorder: Recorder) -> Iterator[Line]:
    """Gateway status is no traffic: a line each instead of a place in a matrix."""
    asked = [(case, result) for result in recorder.results if (case := parse(result.id)) is not None]
    shown = [(case, result) for case, result in asked if case.protocol is Protocol.STATUS]
    for case, result in shown:
        yield (
            Span(f"gateway status {pair(case)}  "),
            Span(result.verdict.letter, style(result.verdict)),
            Span(f"  {result.detail}" if result.detail else ""),
        )

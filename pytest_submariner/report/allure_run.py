"""What Allure shows about a run as a whole: topology, matrices as a page and as data, agreement with subctl, reports beside it.

They are global attachments (`*-globals.json`, allure-python 2.16 and Allure 3); older viewers leave them out.
"""

from __future__ import annotations

import csv
import html
import io
import json
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Outcome, Verdict
from pytest_submariner.report import matrix
from pytest_submariner.report.allure_results import Attachment
from pytest_submariner.report.json import write_atomically
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import parse

_STYLE = """body{font:14px/1.5 system-ui,sans-serif;margin:1.5rem;background:#fff;color:#1d2430}
table{border-collapse:collapse;margin:0 0 1.75rem}caption{text-align:left;font-weight:600;padding:.3rem 0}
th{font-weight:500;text-align:left;padding:.15rem .6rem;color:#59636f}td{font:13px ui-monospace,monospace;padding:.15rem .6rem;
border:1px solid #d5dae0;white-space:pre}.bad{color:#b3261e;font-weight:700}.unsure{color:#8a5300}.design{color:#075985}"""
_CLASSES = {Outcome.FAILED: "bad", Outcome.ERROR: "bad", Outcome.SKIPPED: "unsure", Outcome.XFAILED: "unsure"}
_COLUMNS = (
    "path", "from_cluster", "to_cluster", "verdict", "expected", "root_cause", "from_node", "to_node", "to_address",
    "source_seen", "attempts", "rtt_ms", "detail",
)  # fmt: skip


def attach_run(folder: Path, recorder: Recorder) -> None:
    """Write the attachments and the file that names them."""
    at = round(time.time() * 1000)
    entries = [{**attachment.save(folder), "timestamp": at} for attachment in attachments(recorder)]
    if entries:
        write_atomically(folder / f"{uuid.uuid4()}-globals.json", json.dumps({"attachments": entries, "errors": []}))


def attachments(recorder: Recorder) -> Iterator[Attachment]:
    if recorder.topology is not None:
        from pytest_submariner.report.topology_svg import render_topology

        picture = render_topology(recorder.topology, recorder.results, recorder.findings)
        yield Attachment("Topology", picture, "image/svg+xml", "svg")
    if recorder.results:
        yield Attachment("Matrices", matrices_page(recorder.results), "text/html", "html")
        yield Attachment("Paths", paths_table(recorder.results), "text/csv", "csv")
    if recorder.comparison is not None:
        yield Attachment(
            "Agreement with subctl verify", comparison_table(recorder.comparison["specs"]), "text/csv", "csv"
        )


def matrices_page(results: Iterable[PathResult]) -> str:
    """Role × role, one table per ordered cluster pair. Inline styles, no script: attachments run none."""
    tables = [_table(found) for found in matrix.matrices(results)]
    letters = sorted({v for found in matrix.matrices(results) for v in found.verdicts}, key=list(Verdict).index)
    legend = "".join(f"<li><b>{html.escape(v.letter)}</b> {v.word}: {html.escape(v.meaning)}</li>" for v in letters)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Matrices</title><style>{_STYLE}</style>'
        f"{''.join(tables)}<p>From row to column, a letter each for tcp, udp and icmp.</p><ul>{legend}</ul></html>\n"
    )


def _table(found: matrix.Matrix) -> str:
    heads = "".join(f'<th scope="col">{kind.value} {place}</th>' for kind, place in found.columns)
    rows = []
    for row in found.rows:
        cells = "".join(f"<td>{_cell(found, row, column)}</td>" for column in found.columns)
        rows.append(f'<tr><th scope="row">{row[0].value} {row[1]}</th>{cells}</tr>')
    return f"<table><caption>{html.escape(found.title)}</caption><tr><td></td>{heads}</tr>{''.join(rows)}</table>"


def _cell(found: matrix.Matrix, row: matrix.Spot, column: matrix.Spot) -> str:
    verdicts = found.cells.get((row, column), {})
    return "".join(_letter(verdicts[p]) if p in verdicts else " " for p in found.protocols[column])


def _letter(verdict: Verdict) -> str:
    css = "design" if verdict is Verdict.BY_DESIGN else _CLASSES.get(verdict.outcome, "")
    letter = html.escape(verdict.letter)
    return f'<span class="{css}" title="{verdict.word}">{letter}</span>' if css else letter


def paths_table(results: Iterable[PathResult]) -> str:
    """CSV with a header: every path of the run."""

    def row(result: PathResult) -> tuple[object, ...]:
        case = parse(result.id)
        ends = (case.source.cluster, case.target.cluster) if case else ("", "")
        return (
            result.id, *ends, result.verdict.word, result.expected.value, result.root_cause, result.source_node,
            result.target_node, result.target_address, result.source_seen, result.attempts, result.rtt_ms, result.detail,
        )  # fmt: skip

    return table(_COLUMNS, map(row, results))


def comparison_table(specs: Iterable[dict[str, object]]) -> str:
    columns = ("id", "path_id", "subctl", "ours", "agree", "reason", "name")
    return table(columns, ([spec.get(column) for column in columns] for spec in specs))


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """CSV (RFC 4180 but for its line ends); None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()

"""The summary at the end of a run: matrices, failing paths by cause, counts, agreement with subctl, where reports are.

`lines` makes it from the recorder alone; `summary` writes it with pytest's terminal reporter, which decides on colour.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from pytest_submariner.model.topology import Role
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report import performance
from pytest_submariner.report.cause_lines import cause_lines, folded
from pytest_submariner.report.matrix_lines import matrix_lines
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.spans import STYLES, Line, Span, style
from pytest_submariner.report.text import count

NARROWEST, WIDEST = 60, 140
"""Columns texts are folded to, whatever the terminal has."""


class TerminalReporter(Protocol):
    """What is used of pytest's terminal reporter."""

    @property
    def verbosity(self) -> int: ...
    def write_sep(self, sep: str, title: str | None = None, **markup: bool) -> None: ...
    def write(self, content: str, *, flush: bool = False, **markup: bool) -> None: ...
    def write_line(self, line: str | bytes, **markup: bool) -> None: ...


def summary(
    reporter: TerminalReporter, recorder: Recorder, reports: Sequence[tuple[str, str]] = (), *, again: str = ""
) -> None:
    """Write the section; nothing at all when no path was planned. `reports` are (kind, file) of what was written, `again` starts a
    run like this one."""
    if recorder.is_empty:
        return
    reporter.write_sep("=", "submariner", bold=True)
    width = shutil.get_terminal_size(fallback=(80, 24)).columns
    for line in lines(recorder, reports, verbosity=reporter.verbosity, width=width, again=again):
        for span in line:
            reporter.write(span.text, **STYLES[span.style])
        reporter.write_line("")


def lines(
    recorder: Recorder,
    reports: Sequence[tuple[str, str]] = (),
    *,
    verbosity: int = 0,
    width: int = 80,
    again: str = "",
) -> Iterator[Line]:
    """The section line by line: brief at -1 and below (-q), everything at 1 and above (-v). Commands and ids are never folded."""
    width = min(max(width, NARROWEST), WIDEST)
    blocks: list[Iterator[Line]] = [_nothing_measured(recorder)]
    if verbosity >= 0:
        blocks += [_world(recorder, width), matrix_lines(recorder, everything=verbosity > 0)]
    blocks += [cause_lines(recorder, verbosity, width=width, again=again)]
    if verbosity >= 0:
        blocks += [performance.lines(recorder.figures)]
        blocks += [_skips(recorder, width), _retries(recorder, width)]
    blocks += [_totals(recorder, reports, width)]
    first = True
    for block in blocks:
        filled = list(block)
        if filled and not first and verbosity >= 0:
            yield ()
        first = first and not filled
        yield from filled


def _nothing_measured(recorder: Recorder) -> Iterator[Line]:
    if recorder.measured or any(figure.has_value for figure in recorder.figures):
        return
    found = recorder.counts
    parts = [f"{count(number, 'path')} {_PASSIVE.get(verdict, verdict.word)}" for verdict, number in found.items()]
    parts += [f"no figure of {len(recorder.figures)}"] if recorder.figures else []
    what = ", ".join(parts) or f"{count(recorder.planned, 'path')} selected, none reached"
    yield (Span("NOTHING WAS MEASURED", "bad"), Span(f": {what}. This run says nothing about the network."))


_PASSIVE = {Verdict.SKIPPED: "skipped", Verdict.ERROR: "could not be asked"}


def _world(recorder: Recorder, width: int) -> Iterator[Line]:
    if recorder.topology is not None:
        for cluster in recorder.topology.clusters:
            roles = [f"{len(cluster.nodes_with(role))} {role.value}" for role in Role if cluster.nodes_with(role)]
            facts = [cluster.submariner_version and f"Submariner {cluster.submariner_version}", cluster.cable_driver]
            facts += [cluster.kubernetes_version and f"Kubernetes {cluster.kubernetes_version}", cluster.network_plugin]
            about = ", ".join((*roles, *(fact for fact in facts if fact)))
            (first,), *more = folded(f"{cluster.position} is {cluster.cluster_id}: {about}", width, "")
            head = len(cluster.position)
            yield (Span(first.text[:head], "head"), Span(first.text[head:]))
            yield from more
    for sentence in recorder.notes:
        yield from folded(sentence, width, "")


def _skips(recorder: Recorder, width: int) -> Iterator[Line]:
    reasons: dict[str, int] = {}
    for result in recorder.results:
        if result.verdict is Verdict.SKIPPED:
            reasons[result.detail] = reasons.get(result.detail, 0) + 1
    for reason, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        head = f"skipped {count(number, 'path')}"
        (first,), *more = folded(f"{head}: {reason or 'no reason given'}", width, "")
        yield (Span(head, "unsure"), Span(first.text[len(head) :]))
        yield from more


def _retries(recorder: Recorder, width: int) -> Iterator[Line]:
    late = [r for r in recorder.results if r.attempts > 1 and r.verdict is Verdict.OK]
    if late:
        some = ", ".join(f"{r.id} ({r.attempts})" for r in late[:3]) + (", …" if len(late) > 3 else "")
        yield from folded(f"{count(len(late), 'path')} answered only at a later attempt: {some}", width, "")


def _totals(recorder: Recorder, reports: Sequence[tuple[str, str]], width: int) -> Iterator[Line]:
    found = recorder.counts
    line: list[Span] = [Span(f"{count(sum(found.values()), 'path')}:")]
    for index, (verdict, number) in enumerate(found.items(), start=1):
        text = f" {number} {verdict.word}"
        if sum(len(span.text) for span in line) + len(text) + 1 > width:
            yield tuple(line)
            line = [Span(" ")]
        line += [Span(text, style(verdict)), Span("," if index < len(found) else "")]
    if found:
        yield tuple(line)
    unreached = recorder.planned - sum(found.values())
    if found and unreached > 0:
        yield (Span(f"{count(unreached, 'selected path')} not reached", "bad"),)
    yield from _agreement(recorder.comparison)
    if reports:
        width = max(len(kind) for kind, _ in reports)
        for kind, file in reports:
            yield (Span(f"{kind.ljust(width)}  {file}"),)


def _agreement(comparison: dict[str, Any] | None) -> Iterator[Line]:
    if comparison is None:
        return
    agree, disagree, not_compared = (comparison[key] for key in ("agree", "disagree", "not_compared"))
    yield (
        Span("subctl verify: "),
        Span(f"{agree} agree", "good" if agree else "unsure"),
        Span(", "),
        Span(f"{disagree} disagree", "bad" if disagree else ""),
        Span(f", {not_compared} not compared ({comparison['source']})"),
    )
    for spec in comparison["specs"]:
        if spec["agree"] is False:
            yield (Span(f"  {spec['path_id']}: subctl {spec['subctl']}, ours {spec['ours']}", "bad"),)

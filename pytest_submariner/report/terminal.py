"""The summary at the end of a run: matrices, failing paths by cause, counts, agreement with subctl, where reports are.

`lines` makes it from the recorder alone; `summary` writes it with pytest's terminal reporter, which decides on colour.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Role
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report import performance
from pytest_submariner.report.matrix_lines import matrix_lines
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.spans import STYLES, Line, Span, style
from pytest_submariner.report.text import count, route, source_address

WIDTH = 80
SHOWN_PER_CAUSE = 12


class TerminalReporter(Protocol):
    """What is used of pytest's terminal reporter."""

    @property
    def verbosity(self) -> int: ...
    def write_sep(self, sep: str, title: str | None = None, **markup: bool) -> None: ...
    def write(self, content: str, *, flush: bool = False, **markup: bool) -> None: ...
    def write_line(self, line: str | bytes, **markup: bool) -> None: ...


def summary(reporter: TerminalReporter, recorder: Recorder, reports: Sequence[tuple[str, str]] = ()) -> None:
    """Write the section; nothing at all when no path was planned. `reports` are (kind, file) of what was written."""
    if recorder.is_empty:
        return
    reporter.write_sep("=", "submariner", bold=True)
    for line in lines(recorder, reports, verbosity=reporter.verbosity):
        for span in line:
            reporter.write(span.text, **STYLES[span.style])
        reporter.write_line("")


def lines(recorder: Recorder, reports: Sequence[tuple[str, str]] = (), *, verbosity: int = 0) -> Iterator[Line]:
    """The section line by line: brief at -1 and below (-q), everything at 1 and above (-v)."""
    blocks: list[Iterator[Line]] = [_nothing_measured(recorder)]
    if verbosity >= 0:
        blocks += [_world(recorder), matrix_lines(recorder, everything=verbosity > 0)]
    blocks += [_failures(recorder, verbosity)]
    if verbosity >= 0:
        blocks += [performance.lines(recorder.figures)]
        blocks += [_skips(recorder), _retries(recorder)]
    blocks += [_totals(recorder, reports)]
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


def _world(recorder: Recorder) -> Iterator[Line]:
    if recorder.topology is not None:
        for cluster in recorder.topology.clusters:
            roles = [f"{len(cluster.nodes_with(role))} {role.value}" for role in Role if cluster.nodes_with(role)]
            facts = [cluster.submariner_version and f"Submariner {cluster.submariner_version}", cluster.cable_driver]
            facts += [cluster.kubernetes_version and f"Kubernetes {cluster.kubernetes_version}", cluster.network_plugin]
            about = ", ".join((*roles, *(fact for fact in facts if fact)))
            first, *more = textwrap.wrap(f"is {cluster.cluster_id}: {about}", WIDTH - 3, subsequent_indent="  ")
            yield (Span(cluster.position, "head"), Span(f" {first}"))
            yield from ((Span(line),) for line in more)
    for sentence in recorder.notes:
        yield (Span(sentence),)


def _failures(recorder: Recorder, verbosity: int) -> Iterator[Line]:
    groups = list(_groups(recorder, verbosity))
    for index, (head, paths) in enumerate(groups):
        if index and verbosity >= 0:
            yield ()
        yield from head
        yield from _paths(paths, verbosity)


def _groups(recorder: Recorder, verbosity: int) -> Iterator[tuple[list[Line], list[PathResult]]]:
    """Failing paths by cause, each once: under findings, under causes that are only named, and the rest."""
    failing = {r.id: r for r in recorder.failures()}
    for finding in recorder.findings:
        explained = [failing.pop(path) for path in finding.paths if path in failing]
        yield list(_cause(finding, len(explained), verbosity)), explained
    known = dict.fromkeys(r.root_cause for r in failing.values() if r.root_cause)
    for code in known:
        named = [failing.pop(r.id) for r in list(failing.values()) if r.root_cause == code]
        yield [(Span(f"CAUSE {code}", "bad"), Span(f": {count(len(named), 'path')}"))], named
    if failing:
        head = "FAILING, cause not known" if recorder.findings or known else "FAILING"
        yield [(Span(head, "bad"), Span(f": {count(len(failing), 'path')}"))], list(failing.values())


def _cause(finding: Finding, explained: int, verbosity: int) -> Iterator[Line]:
    where = f" {finding.cluster}/{finding.node}: {finding.object}, {count(explained, 'failing path')}"
    yield (Span(f"CAUSE {finding.code}", "bad"), Span(where))
    if verbosity >= 0:
        for evidence in finding.evidence:
            yield (Span(f"  {evidence.kind.value}: {evidence.text}"),)
    yield (Span(f"  remedy: {finding.remedy}"),)


def _paths(results: list[PathResult], verbosity: int) -> Iterator[Line]:
    shown = results if verbosity > 0 else results[:SHOWN_PER_CAUSE]
    for result in shown:
        yield (Span(f"  {result.verdict.letter} {result.id}", style(result.verdict)), Span(f"  {result.verdict.word}"))
        if verbosity < 0:
            continue
        about = ": ".join(part for part in (route(result), result.detail) if part)
        if about:
            yield (Span(f"      {about}"),)
        if result.verdict is Verdict.WRONG_SOURCE and (source := source_address(result)):
            yield (Span(f"      source address: {source}"),)
        if result.command:
            yield (Span(f"      by hand: {result.command}", "dim"),)
    if len(shown) < len(results):
        yield (Span(f"  … and {len(results) - len(shown)} more; -v shows all"),)


def _skips(recorder: Recorder) -> Iterator[Line]:
    reasons: dict[str, int] = {}
    for result in recorder.results:
        if result.verdict is Verdict.SKIPPED:
            reasons[result.detail] = reasons.get(result.detail, 0) + 1
    for reason, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        yield (Span(f"skipped {count(number, 'path')}", "unsure"), Span(f": {reason or 'no reason given'}"))


def _retries(recorder: Recorder) -> Iterator[Line]:
    late = [r for r in recorder.results if r.attempts > 1 and r.verdict is Verdict.OK]
    if late:
        some = ", ".join(f"{r.id} ({r.attempts})" for r in late[:3]) + (", …" if len(late) > 3 else "")
        yield (Span(f"{count(len(late), 'path')} answered only at a later attempt: {some}"),)


def _totals(recorder: Recorder, reports: Sequence[tuple[str, str]]) -> Iterator[Line]:
    found = recorder.counts
    parts: list[Span] = []
    for verdict, number in found.items():
        parts += [Span(", " if parts else ""), Span(f"{number} {verdict.word}", style(verdict))]
    if found:
        yield (Span(f"{count(sum(found.values()), 'path')}: "), *parts)
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

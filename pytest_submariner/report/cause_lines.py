"""Failing paths by root cause, as lines: what it is, what proves it, what to do, which paths, and how to ask one again."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.group import ends
from pytest_submariner.report.overview.causes import causes
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.spans import Line, Span, style
from pytest_submariner.report.text import count, parse, route, source_address

SHOWN_ROWS = 8
"""Rows of paths under a cause; a row has the paths between two ends, by all protocols."""
SHOWN_PROOFS = 4
_ENDS = 2


def cause_lines(recorder: Recorder, verbosity: int, *, width: int, again: str = "") -> Iterator[Line]:
    """All causes, what explains most first, each path under one of them; then what has none. `again` is the command that starts
    a run like this one; a test to run is put behind its first word."""
    failing = {r.id: r for r in recorder.failures()}
    blocks: list[list[Line]] = []
    for finding, explained in causes(recorder):
        new = [failing.pop(r.id) for r in explained if r.id in failing]
        blocks.append(
            [
                *_cause(finding, len(explained), len(new), verbosity, width),
                *_paths(recorder, new, verbosity, width, again),
            ]
        )
    for code in dict.fromkeys(r.root_cause for r in failing.values() if r.root_cause):
        named = [failing.pop(r.id) for r in list(failing.values()) if r.root_cause == code]
        head = (Span(f"CAUSE {code}", "bad"), Span(f": {count(len(named), 'path')}"))
        blocks.append([head, *_paths(recorder, named, verbosity, width, again)])
    if failing:
        words = "FAILING, cause not known" if blocks else "FAILING"
        head = (Span(words, "bad"), Span(f": {count(len(failing), 'path')}"))
        blocks.append([head, *_paths(recorder, list(failing.values()), verbosity, width, again)])
    for index, block in enumerate(blocks):
        if index and verbosity >= 0:
            yield ()
        yield from block


def _cause(finding: Finding, explained: int, new: int, verbosity: int, width: int) -> Iterator[Line]:
    number = count(explained, "failing path") if explained else "no path fails for it"
    above = ", named above" if explained and not new else ""
    where = f" {finding.cluster}/{finding.node}: {finding.object}, {number}{above}"
    yield from _folded(f"CAUSE {finding.code}", where, width)
    if verbosity >= 0:
        shown = finding.evidence if verbosity > 0 else finding.evidence[:SHOWN_PROOFS]
        for evidence in shown:
            yield from folded(f"{evidence.kind.value}: {evidence.text}", width, "  ")
        if len(shown) < len(finding.evidence):
            yield (Span(f"  … and {len(finding.evidence) - len(shown)} more; -v shows all"),)
    yield from folded(f"remedy: {finding.remedy}", width, "  ")


def _paths(recorder: Recorder, results: Sequence[PathResult], verbosity: int, width: int, again: str) -> Iterator[Line]:
    if verbosity > 0:
        for result in results:
            yield from _path(result, width)
    else:
        rows = _rows(results)
        for members in rows[:SHOWN_ROWS]:
            yield from _row(members, width, brief=verbosity < 0)
        hidden = sum(map(len, rows[SHOWN_ROWS:]))
        if hidden:
            yield (Span(f"  … and {hidden} more; -v shows all"),)
            everything = recorder.results
            worst = ends("from", everything, results, lambda r: r.source_node)[:_ENDS]
            worst += ends("to", everything, results, lambda r: r.target_node)[:_ENDS]
            yield from ((Span(line),) for line in worst)
    if again and verbosity >= 0 and (first := next((r for r in results if r.nodeid), None)):
        program, _, options = again.partition(" ")
        yield (Span(f"  again: {' '.join(filter(None, (program, _quoted(first.nodeid), options)))}", "dim"),)


def _rows(results: Sequence[PathResult]) -> list[list[PathResult]]:
    """Paths between the same ends with the same verdict, together."""
    rows: dict[tuple[object, ...], list[PathResult]] = {}
    for result in results:
        case = parse(result.id)
        key = (case.source, case.target, case.tags) if case else (result.id,)
        rows.setdefault((*key, result.verdict), []).append(result)
    return list(rows.values())


def _row(members: list[PathResult], width: int, *, brief: bool) -> Iterator[Line]:
    """`X pod.ngw.c1--pod.gw.c2--{tcp,udp}  blocked`: what a shell expands to the ids."""
    first = members[0]
    name = first.id
    if len(members) > 1 and (case := parse(first.id)) is not None:
        protocols = ",".join(parsed.protocol.value for r in members if (parsed := parse(r.id)))
        name = "--".join((f"{case.source}", f"{case.target}", f"{{{protocols}}}", *case.tags))
    yield (Span(f"  {first.verdict.letter} {name}", style(first.verdict)), Span(f"  {first.verdict.word}"))
    if not brief:
        yield from _about(first, width)


def _path(result: PathResult, width: int) -> Iterator[Line]:
    yield (Span(f"  {result.verdict.letter} {result.id}", style(result.verdict)), Span(f"  {result.verdict.word}"))
    yield from _about(result, width)
    if result.command:
        yield (Span(f"      by hand: {result.command}", "dim"),)


def _about(result: PathResult, width: int) -> Iterator[Line]:
    about = ": ".join(part for part in (route(result), result.detail) if part)
    if about:
        yield from folded(about, width, "      ")
    if result.verdict is Verdict.WRONG_SOURCE and (source := source_address(result)):
        yield from folded(f"source address: {source}", width, "      ")


def folded(text: str, width: int, indent: str, look: str = "") -> Iterator[Line]:
    """Lines of at most `width` columns, but for longer words; those after the first are set in by two more."""
    for line in textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    ):
        yield (Span(line, look),)


def _folded(head: str, rest: str, width: int) -> Iterator[Line]:
    """`head` in red, what follows plain."""
    first, *more = folded(head + rest, width, "")
    yield (Span(head, "bad"), Span(first[0].text[len(head) :]))
    yield from more


def _quoted(nodeid: str) -> str:
    return f"'{nodeid}'" if "'" not in nodeid else f'"{nodeid}"'

"""Findings as text for a terminal: each cause with where it sits, what proves it, what to do, and what it explains."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from pytest_submariner.model.finding import Finding
from pytest_submariner.report.text import count

WIDTH = 80
_PROOFS = 4
_PATHS = 4


def lines(
    findings: Sequence[Finding],
    *,
    asked: int,
    failing: Sequence[str],
    notes: Iterable[str] = (),
    verbose: bool = False,
) -> list[str]:
    """`failing` are the ids of failing paths, of `asked` in all. Lines of at most 80 columns where words allow."""
    said = [_verdict(findings, asked, failing)]
    for finding in findings:
        said.append("")
        said += _finding(finding, verbose)
    reasons = list(notes)
    if reasons:
        said += ["", "what could not be read or judged:"]
        said += [line for reason in reasons for line in _wrapped(reason, "  ")]
    return said


def _verdict(findings: Sequence[Finding], asked: int, failing: Sequence[str]) -> str:
    if not asked and not findings:
        return "No path was asked, and nothing was found."
    fail = f"{len(failing)} of {count(asked, 'path')} fail" if failing else f"all of {count(asked, 'path')} work"
    return f"{fail}; {count(len(findings), 'root cause') if findings else 'nothing is wrong'}."


def _finding(finding: Finding, verbose: bool) -> Iterator[str]:
    yield f"{finding.code} on {finding.node} ({finding.cluster}): {finding.object}"
    shown = finding.evidence if verbose else finding.evidence[:_PROOFS]
    for evidence in shown:
        yield from _wrapped(f"{evidence.kind.value}: {evidence.text}", "  ")
    if len(shown) < len(finding.evidence):
        yield f"  … {len(finding.evidence) - len(shown)} more with -v"
    yield from _wrapped(f"remedy: {finding.remedy}", "  ")
    if finding.paths:
        named = finding.paths if verbose else finding.paths[:_PATHS]
        yield f"  explains {count(len(finding.paths), 'path')}:"
        yield from (f"    {path}" for path in named)
        if len(named) < len(finding.paths):
            yield f"    … {len(finding.paths) - len(named)} more with -v"


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )

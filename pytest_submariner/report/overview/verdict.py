"""The run in a sentence, and what qualifies it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.verdict import Outcome, Verdict
from pytest_submariner.report.overview.causes import UNEXPLAINED, causes
from pytest_submariner.report.recorder import Recorder

_BAD = (Outcome.FAILED, Outcome.ERROR)


@dataclass(frozen=True)
class Headline:
    """`tone` is good, bad or unsure; `remarks` are sentences."""

    tone: str
    sentence: str
    remarks: tuple[str, ...]


def count(number: int, noun: str) -> str:
    """`1 path`, `9,900 paths`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def headline(recorder: Recorder) -> Headline:
    """What somebody who reads one sentence should know."""
    tone, sentence = _sentence(recorder)
    return Headline(tone, sentence, tuple(_remarks(recorder)))


def _sentence(recorder: Recorder) -> tuple[str, str]:
    if not recorder.measured:
        if figures := sum(figure.has_value for figure in recorder.figures):
            return "good", f"{count(figures, 'figure')} measured under load; no path was asked"
        return "bad", "Nothing was measured: this run says nothing about the network"
    failing = recorder.failures()
    if not failing:
        return _nothing_failed(recorder)
    asked = recorder.measured + recorder.counts.get(Verdict.ERROR, 0)
    sentence = f"{len(failing):,} of {count(asked, 'path')} {'is' if len(failing) == 1 else 'are'} not as expected"
    return "bad", sentence + _because([finding for finding, _ in causes(recorder)])


def _nothing_failed(recorder: Recorder) -> tuple[str, str]:
    reached, planned = len(recorder.results), recorder.planned
    if planned > reached:
        return "unsure", f"Nothing failed, but only {reached:,} of {planned:,} selected paths were reached"
    if recorder.measured == 1:
        sentence = "The one measured path does what Submariner promises"
    else:
        sentence = f"All {recorder.measured:,} measured paths do what Submariner promises"
    if recorder.findings:
        return "unsure", f"{sentence}; all the same there {_is_or_are(len(recorder.findings), 'finding')}"
    return "good", sentence


def _is_or_are(number: int, noun: str) -> str:
    return f"{'is' if number == 1 else 'are'} {count(number, noun)}"


def _because(findings: list[Finding]) -> str:
    known = [f for f in findings if f.code != UNEXPLAINED]
    if not known:
        return ""
    where = known[0].node or known[0].cluster
    first = f"{known[0].code} on {where}"
    return f": {first}" if len(known) == 1 else f": {first}, and {count(len(known) - 1, 'more cause')}"


def _remarks(recorder: Recorder) -> Iterator[str]:
    found = recorder.counts
    if number := found.get(Verdict.SKIPPED):
        yield f"{count(number, 'path')} {'was' if number == 1 else 'were'} not asked, because a requirement is not met."
    if number := found.get(Verdict.ERROR):
        yield f"{count(number, 'path')} could not be asked."
    if number := found.get(Verdict.KNOWN_ISSUE):
        yield f"{count(number, 'path')} {'fails' if number == 1 else 'fail'} as a known issue says."
    if number := found.get(Verdict.BY_DESIGN):
        yield f"{count(number, 'ping')} of a vx-submariner address: by design, whatever the answer."
    if (late := recorder.planned - len(recorder.results)) > 0:
        yield f"{count(late, 'selected path')} {'was' if late == 1 else 'were'} never reached: the run ended early."
    late_answers = sum(1 for r in recorder.results if r.attempts > 1 and r.verdict is Verdict.OK)
    if late_answers:
        yield f"{count(late_answers, 'path')} answered only at a later attempt."
    if recorder.comparison is not None:
        yield f"Stock subctl verify agrees on {recorder.comparison['agree']} and disagrees on {recorder.comparison['disagree']}."

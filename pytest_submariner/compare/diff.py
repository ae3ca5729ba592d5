"""Agreement with `subctl verify`: for each spec what subctl said, what we measured, and whether that is the same answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pytest_submariner.compare.ginkgo import GinkgoReport, SpecReport, State
from pytest_submariner.compare.mapping import CONNECTIVITY, SPECS, Spec
from pytest_submariner.compare.signatures import meaning, setup_problem
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Outcome, Verdict

ABSENT = "absent"
"""What `subctl` of an agreement is for a spec the report does not have."""

Measure = Callable[[str], PathResult | None]
"""Path id to result; None when the run has none."""

_NO_ANSWER = {
    State.DESELECTED: "subctl did not select it",
    State.NOT_REACHED: "subctl was interrupted before it",
    State.INTERRUPTED: "subctl was interrupted in it",
    State.PENDING: "pending in subctl",
    State.PANICKED: "subctl panicked",
    State.TIMEDOUT: "subctl ran out of time",
    State.ABORTED: "subctl aborted it",
    State.UNKNOWN: "its status in the report is not known",
}


@dataclass(frozen=True)
class Agreement:
    """One spec compared. `agree` is None when there was nothing to compare; `reason` then says why.
    `theirs` and `mine` are the evidence of each side, a line each."""

    spec_id: str
    name: str
    path_id: str | None
    subctl: str
    ours: str | None
    agree: bool | None
    reason: str = ""
    theirs: tuple[str, ...] = ()
    mine: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The shape of `comparison.specs[]` in results.json."""
        return {
            "id": self.spec_id or None,
            "name": self.name,
            "path_id": self.path_id,
            "subctl": self.subctl,
            "ours": self.ours,
            "agree": self.agree,
            "reason": self.reason or None,
            "evidence": {"subctl": list(self.theirs), "ours": list(self.mine)},
        }

    def explain(self) -> str:
        """Why a disagreement is one: both sides' evidence, for the failing test."""
        lines = [f"subctl verify disagrees on {self.spec_id} ({self.path_id}): subctl {self.subctl}, ours {self.ours}"]
        lines += [f"  subctl: {line}" for line in self.theirs]
        lines += [f"  ours: {line}" for line in self.mine]
        if self.reason:
            lines.append(f"note: {self.reason}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Comparison:
    """A run against a report."""

    source: str
    specs: tuple[Agreement, ...]

    def to_dict(self) -> dict[str, Any]:
        """`comparison` of results.json."""
        answers = [spec.agree for spec in self.specs]
        return {
            "source": self.source,
            "specs": [spec.to_dict() for spec in self.specs],
            "agree": answers.count(True),
            "disagree": answers.count(False),
            "not_compared": answers.count(None),
        }


def compare(report: GinkgoReport, results: Iterable[PathResult]) -> Comparison:
    """Judge every spec of the report, and the connectivity specs it lacks; specs newer than this table are not compared."""
    measured = {result.id: result for result in results}
    known = {spec.text for spec in SPECS}
    specs = [spec for spec in SPECS if report.spec(spec.text) is not None or spec in CONNECTIVITY]
    judged = [judge(spec, report, measured.get) for spec in specs]
    titles = dict.fromkeys(spec.text for spec in report.specs if spec.text not in known)
    judged += [_foreign(spec) for title in titles if (spec := report.spec(title)) is not None]
    return Comparison(report.source, tuple(judged))


def judge(spec: Spec, report: GinkgoReport, measure: Measure) -> Agreement:
    """Compare one spec. `measure` is asked only for paths that subctl has an answer on, so that nothing is measured in vain."""
    theirs = report.spec(spec.text)
    state = theirs.state.value if theirs else ABSENT
    reason = _no_answer(theirs) or (f"no counterpart: {spec.uncovered}" if not spec.path_ids else "")
    if theirs is None or reason:
        return _not_compared(spec, state, reason or "the report does not have it")
    results = [measure(path_id) for path_id in spec.path_ids]
    found = [result for result in results if result is not None]
    if len(found) < len(results):
        missing = ", ".join(path for path, result in zip(spec.path_ids, results, strict=True) if result is None)
        return _not_compared(
            spec, state, f"no counterpart: {spec.uncovered}" if spec.uncovered else f"{missing} was not measured"
        )
    ours = next((r for r in found if _reachable(r.verdict) is not True), found[0])
    word = ours.verdict.word
    if _reachable(ours.verdict) is None:
        return _not_compared(spec, state, f"we have no answer: {word}: {ours.detail or ours.verdict.meaning}", word)
    agree = _reachable(ours.verdict) is (theirs.state is State.PASSED)
    note = ""
    if not agree and ours.verdict is Verdict.WRONG_SOURCE and not spec.checks_source:
        note = "this spec does not look at the source address"
    return Agreement(spec.id, spec.text, spec.path_id, state, word, agree, note, _evidence(theirs), _ours(ours))


def _no_answer(theirs: SpecReport | None) -> str:
    """Why subctl's side is no answer; empty when it is one."""
    if theirs is None:
        return "the report does not have it"
    if theirs.state is State.SKIPPED:
        return f"subctl skipped it: {theirs.message}"
    if theirs.state is State.FAILED and (problem := setup_problem(theirs)):
        return f"subctl could not set it up: {problem}"
    return _NO_ANSWER.get(theirs.state, "")


def _reachable(verdict: Verdict) -> bool | None:
    """What a verdict answers to subctl's question; None when it is no answer."""
    if verdict is Verdict.KNOWN_ISSUE:
        return False
    return {Outcome.PASSED: True, Outcome.FAILED: False}.get(verdict.outcome)


def _not_compared(spec: Spec, state: str, reason: str, ours: str | None = None) -> Agreement:
    return Agreement(spec.id, spec.text, spec.path_id, state, ours, None, reason)


def _foreign(spec: SpecReport) -> Agreement:
    return Agreement("", spec.text, None, spec.state.value, None, None, "a spec this version does not know")


def _evidence(theirs: SpecReport) -> tuple[str, ...]:
    said = f"{theirs.state.value} after {theirs.duration_s:.1f} s"
    if theirs.state is State.PASSED:
        return (said,)
    where = f" at {theirs.place}" if theirs.place else ""
    message = " ".join(theirs.message.split())
    return (f"{said}{where}: {meaning(theirs)}", f"message: {message[:400]}")


def _ours(result: PathResult) -> tuple[str, ...]:
    first = f"{result.verdict.word}: {result.detail or result.verdict.meaning}"
    return (first, *result.evidence, *((f"by hand: {result.command}",) if result.command else ()))

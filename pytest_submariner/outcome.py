"""From a verdict to what pytest reports: recorded once, then passed, failed, error, skipped or expected to fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from pytest_submariner import items, marks
from pytest_submariner.errors import (
    LabUnavailable,
    PathFailed,
    ProbeInconclusive,
    RequirementUnmet,
    SubmarinerError,
    TransportError,
)
from pytest_submariner.keys import RECORDED, SESSION
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Expectation, Outcome, Verdict
from pytest_submariner.report import group, junit, text
from pytest_submariner.report.text import parse
from pytest_submariner.session import Session

NOT_TOLD = "submariner_not_told"
"""Attribute of a report whose test body ended because we could not tell, not because something is wrong."""


def record(session: Session, item: pytest.Item, result: PathResult) -> PathResult:
    """Keep a result under the item that asked, for every writer. Returns it as recorded: with its place, and as a known
    issue when it failed and a mark says why."""
    placed = replace(
        result,
        suite=result.suite or item.path.parent.name,
        nodeid=item.nodeid,
        subctl_spec=result.subctl_spec or marks.subctl_spec(item),
    )
    issue = marks.known_issue(item)
    if issue is not None and placed.verdict.outcome is Outcome.FAILED:
        extra = {**placed.extra, "measured": placed.verdict.word, "known_issue": issue.url}
        placed = replace(placed, verdict=Verdict.KNOWN_ISSUE, extra=extra)
    session.recorder.add(placed)
    item.stash.setdefault(RECORDED, []).append(placed)
    item.user_properties.extend(junit.properties(placed))
    _tell_allure(session, item, placed)
    item.config.hook.pytest_submariner_path_finished(config=item.config, result=placed)
    return placed


def judge(session: Session, result: PathResult) -> None:
    """Raise what the verdict means: PathFailed, ProbeInconclusive, TransportError, RequirementUnmet (a skip), or nothing."""
    __tracebackhide__ = True
    outcome = result.verdict.outcome
    if outcome is Outcome.PASSED:
        return
    if outcome is Outcome.SKIPPED:
        raise RequirementUnmet(result.detail or f"{result.id}: a requirement is not met")
    message = text.failure(result, session.recorder.causes(result.id))
    if result.verdict is Verdict.INCONCLUSIVE:
        raise ProbeInconclusive(message)
    if outcome is Outcome.ERROR:
        raise TransportError(message)
    raise PathFailed(message)


def record_many(session: Session, item: pytest.Item, results: Sequence[PathResult]) -> None:
    """Keep the results of an item that asked many paths. Those which are as expected are kept brief: there are thousands of them. A
    path that has an item of its own is recorded there."""
    for result in results:
        if result.id in session.selected:
            continue
        brief = result if result.verdict is not Verdict.OK else replace(result, evidence=(), command="")
        placed = replace(brief, suite=brief.suite or item.path.parent.name, nodeid=item.nodeid)
        session.recorder.add(placed)
        item.stash.setdefault(RECORDED, []).append(placed)
        item.config.hook.pytest_submariner_path_finished(config=item.config, result=placed)
    item.user_properties.extend(junit.group_properties(results))
    from pytest_submariner.report import allure

    if allure.is_active(item.config):
        allure.record_many(results)


def judge_many(session: Session, name: str, results: Sequence[PathResult]) -> None:
    """As `judge`, for the whole of an item: failed when any path failed, else an error when nobody can tell about one, else skipped
    when none could be."""
    __tracebackhide__ = True
    by_outcome = {o: [result for result in results if result.verdict.outcome is o] for o in Outcome}
    if by_outcome[Outcome.FAILED]:
        raise PathFailed(group.failure(name, results, session.recorder.causes))
    if errors := by_outcome[Outcome.ERROR]:
        is_unsure = any(result.verdict is Verdict.INCONCLUSIVE for result in errors)
        raise (ProbeInconclusive if is_unsure else TransportError)(
            group.failure(name, results, session.recorder.causes)
        )
    if not by_outcome[Outcome.PASSED]:
        raise RequirementUnmet(by_outcome[Outcome.SKIPPED][0].detail or f"{name}: a requirement is not met")


@contextmanager
def skips(item: pytest.Item) -> Iterator[None]:
    """What a run lacks is a skip that says so, whichever fixture or call found out."""
    __tracebackhide__ = True
    try:
        yield
    except (RequirementUnmet, LabUnavailable) as reason:
        if not items.is_ours(item):
            raise
        raise pytest.skip.Exception(str(reason)) from reason


def record_unasked(session: Session, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """An item that ended before its path was asked leaves a result as well, so that no path is missing without a reason."""
    if call.excinfo is None or call.when == "teardown":
        return
    case = items.path_of(item)
    if case is None or any(result.id == case.id for result in item.stash.get(RECORDED, [])):
        return
    error = call.excinfo.value
    verdict = Verdict.SKIPPED if isinstance(error, pytest.skip.Exception) else Verdict.ERROR
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    record(session, item, PathResult(case.id, _expected(case), verdict, detail=reason))


def record_crashed(session: Session) -> None:
    """Paths whose pytest-xdist worker died while it ran their item: nobody can tell about them."""
    for nodeid, message in session.crashed:
        case = parse(nodeid.partition("[")[2].removesuffix("]"))
        if case is None:
            session.recorder.note(message)
        elif session.recorder.result(case.id) is None:
            session.recorder.add(PathResult(case.id, _expected(case), Verdict.ERROR, detail=message, nodeid=nodeid))


def prepare(item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
    """What has to happen before pytest makes its report. Whether the report shall be brief."""
    session = item.config.stash.get(SESSION, None)
    if session is None or call.excinfo is None or not items.is_ours(item):
        return False
    record_unasked(session, item, call)
    return _shorten(item, call)


def _shorten(item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
    """An error of a set-up is the same for every item that needs the clusters, and where our own code found out is nobody's
    concern: one line each, unless --tb asks for more. To be called before pytest formats the traceback, which takes its time."""
    if call.excinfo is None or call.when != "setup" or item.config.option.tbstyle != "auto":
        return False
    error, last, frame = call.excinfo.value, call.excinfo.tb, call.excinfo.tb.tb_next
    if not isinstance(error, SubmarinerError):
        return False
    while frame is not None:
        last = last if "__tracebackhide__" in frame.tb_frame.f_locals else frame
        frame = frame.tb_next
    call.excinfo = pytest.ExceptionInfo.from_exc_info((type(error), error, last))
    return True


def mark_report(item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None], *, brief: bool) -> None:
    """Say things as they are meant: pytest calls every exception in a test's body a failure, and when it means that we could not tell,
    `status` calls it an error; a skip is the item's, not that of the line here which raised it."""
    if call.excinfo is None or not items.is_ours(item):
        return
    if report.skipped and isinstance(call.excinfo.value.__cause__, SubmarinerError):
        file, line, _ = report.location
        report.longrepr = (file, (line or 0) + 1, f"Skipped: {call.excinfo.value.__cause__}")
    if not report.failed or not isinstance(call.excinfo.value, SubmarinerError):
        return
    if brief:
        report.longrepr = call.excinfo.getrepr(style="value")
    elif call.when == "call":
        setattr(report, NOT_TOLD, True)


def status(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """Category, letter and word for such a report; None leaves all others to pytest."""
    return ("error", "E", "ERROR") if report.failed and getattr(report, NOT_TOLD, False) else None


def _expected(case: PathCase) -> Expectation:
    from pytest_submariner.paths.expectations import promise

    try:
        return promise(case).expected
    except ValueError:
        return Expectation.OK


def _tell_allure(session: Session, item: pytest.Item, result: PathResult) -> None:
    from pytest_submariner.report import allure

    if allure.is_active(item.config):
        allure.record(result, session.recorder.causes(result.id))

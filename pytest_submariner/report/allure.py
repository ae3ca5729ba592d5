"""Allure: what a path's item says about itself, and what surrounds the results. The only module that imports `allure`.

All functions that take a result act on the item which is running, in any of its phases. Without an active listener
(`--alluredir`) callers skip them: see `is_active`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Expectation, Outcome, Verdict
from pytest_submariner.report import allure_place
from pytest_submariner.report.allure_run import paths_table
from pytest_submariner.report.text import parse, source_address, title

if TYPE_CHECKING:
    import pytest

FAMILIES = {
    "TCP": "Data plane",
    "GWS": "Gateway status",
    "GN": "Data plane with Globalnet",
    "GWF": "Gateway fail-over",
    "RAR": "Route agent restart",
    "LE": "Leader election",
    "SD": "Service discovery",
    "HL": "Headless services",
    "SS": "Stateful sets",
    "CSIP": "Clusterset IP",
    "FIPS": "Compliance",
}
"""Families of the stock specs, by the first part of their ids."""
DEVIATIONS_SHOWN = 20
"""Steps of an item that asked many paths at once (mesh); the table attached to it has all."""


@dataclass(frozen=True)
class _Plain:
    """A parameter's text as it is: of a str allure-pytest shows the `repr`, quotes included."""

    text: str

    def __repr__(self) -> str:
        return self.text


class _Seen(AssertionError):
    """What colours a step red. Allure shows `TYPE: MESSAGE` as the step's error, so the type's name reads as words."""


_Seen.__module__, _Seen.__qualname__ = "builtins", "seen"


def is_active(config: pytest.Config) -> bool:
    """Whether allure-pytest writes results in this process."""
    return bool(config.pluginmanager.hasplugin("allure_listener"))


def describe(path_id: str, references: Iterable[str] = ()) -> None:
    """Title, hierarchy, severity and links of a path's item. Needs no result: skipped items get their place as well.
    An id of another grammar gets the id as its title only."""
    dynamic = _dynamic()
    case = parse(path_id)
    # Not excluded from history: the suites' own parameter has this name, and whichever comes first decides for both.
    dynamic.parameter("path", _Plain(path_id))
    if case is None:
        dynamic.title(path_id)
        return
    dynamic.title(title(case))
    for name, value in allure_place.labels(case):
        dynamic.label(name, value)
    for link in allure_place.links(case, references):
        dynamic.link(link.url, link_type=link.kind, name=link.name)


def describe_spec(spec_id: str, text: str, path_id: str | None) -> None:
    """Title and place of an item that compares with a stock spec of `subctl verify`; its own title becomes the description."""
    dynamic = _dynamic()
    case = parse(path_id) if path_id else None
    dynamic.title(f"{spec_id}: {title(case) if case else text}")
    dynamic.description(text)
    dynamic.epic("Agreement with subctl verify")
    dynamic.feature(FAMILIES.get(spec_id.partition("-")[0], "Other specs"))
    if path_id:
        dynamic.parameter("path", _Plain(path_id), excluded=True)


def record(result: PathResult, findings: Sequence[Finding] = (), references: Iterable[str] = ()) -> None:
    """All of `describe`, then what was measured: labels, parameters that do not split history, steps and evidence. Of causes
    the names: their evidence comes at the end of the run, from `allure_causes`, when all of it is known."""
    import allure

    dynamic = _dynamic()
    describe(result.id, references)
    dynamic.label("verdict", result.verdict.word)
    for code in _causes(result, findings):
        dynamic.label("root_cause", code)
    if result.subctl_spec:
        dynamic.tag("subctl verify")
        dynamic.label("subctl_spec", result.subctl_spec)
    volatile = {
        "from node": result.source_node,
        "to node": result.target_node,
        "to address": result.target_address,
        "source seen": result.source_seen or "",
        "attempts": str(result.attempts) if result.attempts else "",
        "rtt": "" if result.rtt_ms is None else f"{result.rtt_ms:.2f} ms",
    }
    for name, value in volatile.items():
        if value:
            dynamic.parameter(name, _Plain(value), excluded=True)
    for text, good in steps(result):
        _step(text, None if good else result.verdict.meaning)
    if result.extra:
        body = json.dumps(result.extra, indent=1, ensure_ascii=False, default=str)
        allure.attach(body, "details", allure.attachment_type.JSON)


def record_many(results: Sequence[PathResult]) -> None:
    """For an item that asked many paths (mesh): a table of all, and a step for each that is not as expected."""
    import allure

    allure.attach(paths_table(results), f"{len(results)} paths", allure.attachment_type.CSV)
    bad = [r for r in results if r.verdict.outcome is not Outcome.PASSED]
    for result in bad[:DEVIATIONS_SHOWN]:
        _step(f"{result.id}: {result.verdict.word}", result.detail or result.verdict.meaning)


def steps(result: PathResult) -> list[tuple[str, bool]]:
    """The story of a path in steps: (text, as expected). One step at most is not: the one where it went wrong."""
    fine = result.verdict.outcome in (Outcome.PASSED, Outcome.SKIPPED)
    wrong_source = result.verdict is Verdict.WRONG_SOURCE
    said: list[tuple[str, bool]] = []
    if target := " at ".join(filter(None, (result.target_node, result.target_address))):
        said.append((f"Listener: {target}", True))
    if result.attempts:
        where = f" from {result.source_node}" if result.source_node else ""
        tries = "once" if result.attempts == 1 else f"{result.attempts} times"
        after = "" if result.rtt_ms is None else f", round trip {result.rtt_ms:.2f} ms"
        asked = f"Connect: asked{where} {tries}{after}" + (f": {result.detail}" if result.detail else "")
        said.append((asked, fine or wrong_source))
    elif result.detail:
        said.append((result.detail, fine))
    if source := source_address(result):
        said.append((f"Source address: {source}", not wrong_source))
    if result.answered is not None:
        answered = "answered" if result.answered else "not answered"
        said.append((f"The ping was {answered} (recorded, not judged: Submariner promises no such path)", True))
    said += [(f"Evidence: {line}", True) for line in result.evidence]
    judged = f"Verdict: {result.verdict.word}: {result.verdict.meaning}"
    by_design = result.expected is Expectation.BY_DESIGN
    expected = "not judged by whether it answers" if by_design else f"expected {result.expected.value}"
    said.append((f"{judged} ({expected})", fine or not all(good for _, good in said)))
    if result.command:
        said.append((f"By hand: {result.command}", True))
    return said


def _dynamic() -> Any:
    """`allure.dynamic`, whose functions carry no types."""
    import allure

    return allure.dynamic


def _step(text: str, problem: str | None = None) -> None:
    """A step, red when there is a problem. Its exception is handed over, not raised: a raised one would bring a traceback
    through this file into the report."""
    import allure

    step: Any = allure.step(text)
    step.__enter__()
    step.__exit__(*((None, None, None) if problem is None else (_Seen, _Seen(problem), None)))


def _causes(result: PathResult, findings: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys([f.code for f in findings] or [c for c in (result.root_cause,) if c]))

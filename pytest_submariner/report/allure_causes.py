"""Causes in Allure results, told when the run is over: only then is all of it known, with pytest-xdist as without.

A result of a failing path gets the names of its causes, a step for each with evidence and remedy, the topology with the path
drawn on it, and what a diagnosis saw on its way. A test whose worker died gets a result, which allure-pytest does not write.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Outcome
from pytest_submariner.report import allure_place, allure_results, group
from pytest_submariner.report.allure_place import Link
from pytest_submariner.report.allure_results import Attachment
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import failure, parse, title

DETAILED = 80
"""Failing paths that get a picture and what was seen on their way: some 30 kB each, and the report is one file."""
_BAD = (Outcome.FAILED, Outcome.ERROR)


class Proofs(Protocol):
    """What a diagnosis adds to its findings."""

    def attachments(self, path_id: str) -> Sequence[Attachment]:
        """What was seen on the way of a path."""
        ...

    def mechanism(self, code: str) -> str:
        """How a cause breaks paths, in a sentence; empty when the code is not known."""
        ...

    def links(self, code: str) -> Sequence[Link]:
        """Where to read on."""
        ...


class NoProofs:
    """Of a run without a diagnosis."""

    def attachments(self, path_id: str) -> Sequence[Attachment]:
        return ()

    def mechanism(self, code: str) -> str:
        return ""

    def links(self, code: str) -> Sequence[Link]:
        return ()


def tell_causes(folder: Path, recorder: Recorder, proofs: Proofs) -> int:
    """Add to every result of a failing path what is known about it; returns how many were changed."""
    told = 0
    groups = _groups(recorder)
    for file, result in allure_results.every(folder):
        path_id = allure_results.path_of(result)
        found = recorder.result(path_id) if path_id else None
        if found is not None and found.verdict.outcome in _BAD:
            _tell(result, found, recorder, proofs, folder if told < DETAILED else None)
        elif members := next((m for nodeid, m in groups if allure_results.is_of(result, nodeid)), None):
            _tell_group(result, members, recorder, proofs)
        else:
            continue
        allure_results.save(file, result)
        told += 1
    return told


def tell_crashes(folder: Path, crashed: Iterable[tuple[str, str]]) -> int:
    """A result for each (nodeid, message) that has none; returns how many were written."""
    known = [result for _, result in allure_results.every(folder)]
    written = 0
    for nodeid, message in dict(crashed).items():
        if any(allure_results.is_of(result, nodeid) for result in known):
            continue
        result = allure_results.blank(nodeid, at_ms=round(time.time() * 1000))
        result |= {"status": "broken", "statusDetails": {"message": message}}
        case = parse(allure_results.path_of(result) or "")
        if case is not None:
            result["name"] = title(case)
            for name, value in allure_place.labels(case):
                allure_results.add_label(result, name, value)
            for link in allure_place.links(case):
                allure_results.add_link(result, link.url, link.name, link.kind)
        allure_results.save(folder / f"{result['uuid']}-result.json", result)
        written += 1
    return written


def _tell(result: dict[str, Any], found: PathResult, recorder: Recorder, proofs: Proofs, folder: Path | None) -> None:
    """Without a folder nothing is attached. Each result has files of its own: Allure 3 gives a file to one result only."""
    causes = recorder.causes(found.id)
    _name(result, failure(found, causes), found.id, [c.code for c in causes] or [found.root_cause or ""], proofs)
    steps = [diagnosis(cause, proofs) for cause in causes]
    attached = list(_attachments(found, recorder, proofs)) if folder is not None else []
    if folder is not None and attached:
        evidence = allure_results.step("What was seen on its way")
        evidence["attachments"] = [attachment.save(folder) for attachment in attached]
        steps.append(evidence)
    _append(result, steps)


def _attachments(found: PathResult, recorder: Recorder, proofs: Proofs) -> Iterator[Attachment]:
    if recorder.topology is not None:
        from pytest_submariner.report.topology_svg import render_topology

        picture = render_topology(recorder.topology, recorder.results, recorder.findings, found.id)
        yield Attachment("Where the path is lost", picture, "image/svg+xml", "svg")
    yield from proofs.attachments(found.id)


def _tell_group(result: dict[str, Any], members: list[PathResult], recorder: Recorder, proofs: Proofs) -> None:
    causes = list({id(c): c for r in members for c in recorder.causes(r.id)}.values())
    if not causes:
        return
    name = str(result.get("statusDetails", {}).get("message", "")).partition(": ")[2].partition(":")[0]
    message = group.failure(name or str(result.get("name", "")), members, recorder.causes)
    _name(result, message, name, [cause.code for cause in causes], proofs)
    _append(result, [diagnosis(cause, proofs) for cause in causes])


def diagnosis(finding: Finding, proofs: Proofs) -> dict[str, Any]:
    """The step that tells a cause."""
    where = ", ".join(filter(None, (finding.node, finding.cluster)))
    lines = [f"{evidence.kind.value}: {evidence.text}" for evidence in finding.evidence]
    if mechanism := proofs.mechanism(finding.code):
        lines.append(f"How it breaks paths: {mechanism}")
    lines.append(f"Remedy: {finding.remedy}")
    steps = [allure_results.step(line) for line in lines]
    return allure_results.step(f"Cause: {finding.code} on {where}: {finding.object}", good=False, steps=steps)


def _name(result: dict[str, Any], message: str, begins: str, codes: Sequence[str], proofs: Proofs) -> None:
    """Causes as labels, in the message (behind the name of the exception, which stands before `begins`), and as links."""
    for code in filter(None, dict.fromkeys(codes)):
        allure_results.add_label(result, "root_cause", code)
        for link in proofs.links(code):
            allure_results.add_link(result, link.url, link.name, link.kind)
    details = result.setdefault("statusDetails", {})
    said = str(details.get("message", ""))
    head, found, _ = said.partition(begins)
    details["message"] = f"{head if found else ''}{message}"


def _append(result: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    """At the end of the story, at the time it ended."""
    at = result.get("stop")
    for step in steps:
        _stamp(step, at)
    result.setdefault("steps", []).extend(steps)


def _stamp(step: dict[str, Any], at: Any) -> None:
    step["start"] = step["stop"] = at
    for inner in step["steps"]:
        _stamp(inner, at)


def _groups(recorder: Recorder) -> list[tuple[str, list[PathResult]]]:
    """(nodeid, its paths) of items that asked several and failed."""
    by_item: dict[str, list[PathResult]] = {}
    for result in recorder.results:
        by_item.setdefault(result.nodeid, []).append(result)
    return [
        (nodeid, members)
        for nodeid, members in by_item.items()
        if nodeid and len(members) > 1 and any(m.verdict.outcome in _BAD for m in members)
    ]

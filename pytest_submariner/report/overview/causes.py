"""Findings in the order somebody should read them, each with what it explains."""

from __future__ import annotations

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.report.recorder import Recorder

UNEXPLAINED = "UNEXPLAINED"
"""The code of a finding that has a lost hop and no cause."""


def causes(recorder: Recorder) -> list[tuple[Finding, list[PathResult]]]:
    """(finding, the paths it explains that are not as expected): named causes first, those that explain most ahead."""
    failing = {result.id: result for result in recorder.failures()}
    found = [(finding, [failing[p] for p in finding.paths if p in failing]) for finding in recorder.findings]
    return sorted(found, key=lambda pair: (pair[0].code == UNEXPLAINED, -len(pair[1])))


def without_cause(recorder: Recorder) -> list[PathResult]:
    """Paths that are not as expected and that no finding explains."""
    explained = {path for finding in recorder.findings for path in finding.paths}
    return [result for result in recorder.failures() if result.id not in explained]

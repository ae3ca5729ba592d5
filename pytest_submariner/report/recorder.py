"""Everything a run found out, recorded once as plain data; the writers of this package only read it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pytest_submariner.model.finding import Evidence, EvidenceKind, Finding
from pytest_submariner.model.performance import Figure
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Topology
from pytest_submariner.model.verdict import Outcome, Verdict

NOT_MEASURED = frozenset({Verdict.SKIPPED, Verdict.ERROR})
"""Verdicts which say nothing about the network: nobody asked, or nobody could."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Recorder:
    """Results of one pytest process, and of a whole run once workers were merged in.

    A path id has one result: a later one replaces it (a rerun's last attempt counts). Nothing here touches a cluster or
    pytest; `to_dict` and `merge` carry it from pytest-xdist workers to the controller.
    """

    provider: str = ""
    started: str = field(default_factory=_now)
    """ISO 8601, UTC, seconds."""
    planned: int = 0
    """Path items that were selected to run; what was not recorded at the end was never reached."""
    duration_s: float | None = None
    topology: Topology | None = None
    comparison: dict[str, Any] | None = None
    """`comparison` of results.json (`compare.diff.Comparison.to_dict`), or None."""
    timings: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Sentences for the summary: what no path shows (how nodes were reached, why nothing could be measured)."""
    _results: dict[str, PathResult] = field(default_factory=dict)
    _findings: dict[tuple[str, str, str, str], Finding] = field(default_factory=dict)
    _figures: dict[str, Figure] = field(default_factory=dict)
    _clock: float = field(default_factory=time.monotonic, repr=False, compare=False)

    def add(self, result: PathResult) -> None:
        """Record a path. A result without a place (suite, nodeid) keeps the place its path had before."""
        known = self._results.pop(result.id, None)
        if known is not None and not result.nodeid:
            result = replace(result, suite=known.suite, nodeid=known.nodeid)
        self._results[result.id] = result
        self._name_cause(result.id)

    def add_finding(self, finding: Finding) -> None:
        """Record a cause. The same cause found again on the same object adds the paths it explains."""
        key = (finding.code, finding.cluster, finding.node, finding.object)
        known = self._findings.get(key)
        if known is not None:
            finding = replace(finding, paths=tuple(dict.fromkeys((*known.paths, *finding.paths))))
        self._findings[key] = finding
        for path_id in finding.paths:
            self._name_cause(path_id)

    def _name_cause(self, path_id: str) -> None:
        """A path that has no root cause yet gets the code of the first finding that explains it."""
        result = self._results.get(path_id)
        causes = self.causes(path_id)
        if result is not None and result.root_cause is None and causes:
            self._results[path_id] = replace(result, root_cause=causes[0].code)

    def add_figure(self, figure: Figure) -> None:
        """Record a measurement under load; a later one of the same id replaces it."""
        self._figures[figure.id] = figure

    def add_timing(self, name: str, seconds: float) -> None:
        """`name` is a key of results.json `timings` (boot_s, probe_s, …); a name that comes again is summed up."""
        self.timings[name] = self.timings.get(name, 0.0) + seconds

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def finish(self) -> None:
        """Stop the clock; the first call counts."""
        if self.duration_s is None:
            self.duration_s = time.monotonic() - self._clock

    @property
    def results(self) -> list[PathResult]:
        """By path id, so that reports of two runs can be compared line by line."""
        return [self._results[key] for key in sorted(self._results)]

    @property
    def findings(self) -> list[Finding]:
        """In the order they were found: what explains most first, cause before effect."""
        return list(self._findings.values())

    @property
    def figures(self) -> list[Figure]:
        """In the order they were measured: those inside clusters first."""
        return list(self._figures.values())

    def result(self, path_id: str) -> PathResult | None:
        return self._results.get(path_id)

    def causes(self, path_id: str) -> list[Finding]:
        """The findings which explain a path."""
        return [f for f in self.findings if path_id in f.paths]

    @property
    def counts(self) -> dict[Verdict, int]:
        """Paths by verdict, in the order of `Verdict`; verdicts that did not occur are left out."""
        found = Counter(r.verdict for r in self._results.values())
        return {verdict: found[verdict] for verdict in Verdict if found[verdict]}

    @property
    def measured(self) -> int:
        """Paths that got an answer, good or bad."""
        return sum(1 for r in self._results.values() if r.verdict not in NOT_MEASURED)

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to report: no path was planned, none recorded, no figure, nothing compared."""
        return not (self._results or self.planned or self.comparison or self._figures)

    def failures(self) -> list[PathResult]:
        """Paths that are not as expected: failed, or not answered in a way one can trust."""
        return [r for r in self.results if r.verdict.outcome in (Outcome.FAILED, Outcome.ERROR)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-like data for pytest-xdist's workeroutput; `merge` is its inverse."""
        return {
            "provider": self.provider,
            "planned": self.planned,
            "topology": self.topology.to_dict() if self.topology else None,
            "timings": dict(self.timings),
            "notes": list(self.notes),
            "results": [r.to_dict() for r in self.results],
            "findings": [f.to_dict() for f in self.findings],
            "performance": [f.to_dict() for f in self.figures],
        }

    def merge(self, data: dict[str, Any]) -> None:
        """Take in what a worker recorded. Workers run side by side: of a timing the longest counts, not the sum."""
        self.provider = self.provider or data.get("provider", "")
        self.planned = max(self.planned, data.get("planned", 0))
        if self.topology is None and data.get("topology"):
            self.topology = Topology.from_dict(data["topology"])
        for name, seconds in data.get("timings", {}).items():
            self.timings[name] = max(self.timings.get(name, 0.0), seconds)
        for sentence in data.get("notes", ()):
            self.note(sentence)
        for result in data.get("results", ()):
            self.add(PathResult.from_dict(result))
        for finding in data.get("findings", ()):
            self.add_finding(_finding(finding))
        for figure in data.get("performance", ()):
            self.add_figure(Figure.from_dict(figure))


def _finding(data: dict[str, Any]) -> Finding:
    return Finding(
        code=data["code"],
        cluster=data["cluster"],
        node=data["node"],
        object=data["object"],
        evidence=tuple(Evidence(EvidenceKind(e["kind"]), e["text"]) for e in data["evidence"]),
        remedy=data["remedy"],
        paths=tuple(data["paths"]),
    )


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that must not be overlooked; ValueError for none at all."""
    return min(verdicts, key=_SEVERITY.index)


_SEVERITY = (
    Verdict.BLOCKED,
    Verdict.UNEXPECTED,
    Verdict.STALLED,
    Verdict.WRONG_SOURCE,
    Verdict.ERROR,
    Verdict.INCONCLUSIVE,
    Verdict.KNOWN_ISSUE,
    Verdict.SKIPPED,
    Verdict.BY_DESIGN,
    Verdict.OK,
)

"""Every path of a run, packed into the page: JSON, deflated, base64. The page's script unpacks it and shows rows when asked."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.overview.causes import causes
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import parse, source_address, title

FIELDS = (
    "id",
    "title",
    "verdict",
    "expected",
    "detail",
    "rtt_ms",
    "attempts",
    "source",
    "source_node",
    "target_node",
    "target_address",
    "evidence",
    "command",
    "causes",
    "suite",
    "nodeid",
    "subctl_spec",
)
"""The order of a path's values, so that names are said once and not ten thousand times."""


def packed(recorder: Recorder) -> str:
    """base64 of a zlib stream of UTF-8 JSON: `{"fields": […], "paths": [[…], …], "verdicts": {word: {letter, meaning}}}`."""
    named: dict[str, list[str]] = {}
    for number, (finding, _) in enumerate(causes(recorder), 1):
        for path in finding.paths:
            named.setdefault(path, []).append(f"finding-{number} {finding.code}")
    document = {
        "fields": FIELDS,
        "paths": [_values(result, named.get(result.id, [])) for result in _worst_first(recorder.results)],
        "verdicts": {v.word: {"letter": glyph(v), "meaning": v.meaning, "tone": tone(v)} for v in Verdict},
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode("ascii")


def _worst_first(results: Sequence[PathResult]) -> list[PathResult]:
    order = {word: rank for rank, word in enumerate(("bad", "unsure", "design", "good"))}
    return sorted(results, key=lambda result: order[tone(result.verdict)])


def _values(result: PathResult, explained_by: list[str]) -> list[Any]:
    case = parse(result.id)
    named = explained_by or ([f" {result.root_cause}"] if result.root_cause else [])
    return [
        result.id,
        title(case) if case else result.id,
        result.verdict.word,
        result.expected.value,
        result.detail,
        result.rtt_ms,
        result.attempts,
        source_address(result),
        result.source_node,
        result.target_node,
        result.target_address,
        list(result.evidence),
        result.command,
        named,
        result.suite,
        result.nodeid,
        result.subctl_spec,
    ]


def glyph(verdict: Verdict) -> str:
    """The verdict's letter; the full stop of `ok` in the middle of its line, where it is a mark and no speck."""
    return "·" if verdict is Verdict.OK else verdict.letter


def tone(verdict: Verdict) -> str:
    """The colour of a verdict: good, bad, design or unsure."""
    if verdict is Verdict.BY_DESIGN:
        return "design"
    return {"passed": "good", "failed": "bad", "error": "bad", "skipped": "unsure", "xfailed": "unsure"}[
        verdict.outcome.value
    ]

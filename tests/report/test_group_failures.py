"""The message of an item that asked many paths."""

from __future__ import annotations

from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Expectation, Verdict
from pytest_submariner.report.group import failure


def result(source: int, target: int, verdict: Verdict) -> PathResult:
    return PathResult(
        f"pod.ngw{source}.c1--pod.ngw{target}.c2--tcp",
        Expectation.OK,
        verdict,
        detail="not reachable",
        source_node=f"c1-w{source}",
        target_node=f"c2-w{target}",
    )


def test_the_end_that_all_have_in_common_comes_first() -> None:
    results = [
        result(source, target, Verdict.BLOCKED if target == 7 else Verdict.OK)
        for source in range(2, 12)
        for target in range(2, 12)
    ]
    lines = failure("pod.ngw.c1--pod.c2--tcp", results, lambda path: []).splitlines()
    assert lines[0] == "pod.ngw.c1--pod.c2--tcp: 10 blocked of 100 paths"
    assert "  to c2-w7: 10 of 10" in lines
    assert [line for line in lines if line.startswith("  from")][-1] == "  from 5 more nodes"
    assert lines[-1] == "… and 5 more, all of them in the JSON report"
    assert len(lines) < 20


def test_verdicts_are_counted_and_skips_are_no_failures() -> None:
    results = [result(2, 2, Verdict.ERROR), result(2, 3, Verdict.STALLED), result(3, 3, Verdict.SKIPPED)]
    text = failure("row", results, lambda path: [])
    assert text.startswith("row: 1 error, 1 stalled of 3 paths\n")
    assert "ngw3.c1" not in text

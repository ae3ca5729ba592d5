"""Promises: every generated path has one, and the interesting ones are what Submariner says."""

from __future__ import annotations

import pytest

from pytest_submariner.model.path import PathCase
from pytest_submariner.paths import expectations
from pytest_submariner.paths.cases import SUITES, cases
from pytest_submariner.paths.expectations import promise


def test_every_generated_path_has_exactly_one_row_and_every_row_a_path() -> None:
    used = set()
    for case in (case for suite in SUITES for case in cases(suite, ["c1", "c2"])):
        rows = [row for row in expectations._ROWS if row.matches(case)]
        assert len(rows) == 1, case.id
        used.update(rows)
    assert used == set(expectations._ROWS)


@pytest.mark.parametrize(
    ("path", "expected", "source"),
    [
        ("pod.ngw.c1--pod.ngw.c2--tcp", "ok", "preserved"),
        ("pod.gw.c2--svc.ngw.c1--udp", "ok", "preserved"),
        ("hostpod.ngw.c1--pod.gw.c2--tcp", "ok", "node"),
        ("hostpod.gw.c1--svc.gw.c2--udp", "ok", "node"),
        ("hostpod.ngw.c1--pod.gw.c2--icmp", "ok", "any"),
        ("pod.ngw.c1--pod.gw.c2--icmp--pmtu", "ok", "any"),
        ("pod.ngw.c1--pod.gw.c2--tcp--bulk", "ok", "preserved"),
        ("hostpod.ngw.c1--pod.gw.c2--tcp--bulk", "ok", "node"),
        ("gateway.gw.c1--gateway.gw.c2--status", "ok", "any"),
        ("pod.gw.c1--pod.gw.c1--tcp--samenode", "ok", "preserved"),
        ("pod.ngw.c1--svc.gw.c1--tcp", "ok", "any"),
        ("pod.ngw.c1--hostpod.gw.c1--tcp", "ok", "any"),
        ("hostpod.ngw.c1--pod.gw.c1--tcp", "ok", "any"),
        ("hostpod.ngw.c1--vx.gw.c1--icmp", "by-design", "any"),
    ],
)
def test_promises(path: str, expected: str, source: str) -> None:
    made = promise(PathCase.parse(path))
    assert (made.expected.value, made.source.value) == (expected, source)


@pytest.mark.parametrize(
    "path",
    [
        "pod.gw.c1--node.gw.c2--icmp",
        "pod.gw.c1--hostpod.gw.c2--tcp",
        "pod.gw.c1--svc.gw.c2--icmp",
        "pod.gw.c1--vx.gw.c1--tcp",
    ],
)
def test_a_path_nobody_promises_is_refused_by_name(path: str) -> None:
    with pytest.raises(ValueError, match=rf"{path}: neither Kubernetes nor Submariner promises"):
        promise(PathCase.parse(path))


def test_every_row_says_why_and_who_says_so() -> None:
    for row in expectations._ROWS:
        assert len(row.promise.reason) > 40
        assert row.promise.reference

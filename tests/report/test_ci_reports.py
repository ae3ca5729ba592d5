"""Markdown and GitHub's summary and annotations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_submariner.model.finding import Evidence, EvidenceKind, Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.report.github import MOST_ANNOTATIONS, bounded, commands, summarise
from pytest_submariner.report.markdown import escape, page
from pytest_submariner.report.recorder import Recorder

GITHUB = {"GITHUB_ACTIONS": "true"}


def test_page_has_verdict_causes_matrices_and_comparison(recorder: Recorder) -> None:
    said = page(recorder)
    assert "**5 of 43 paths are not as expected: NF\\_HOSTNET\\_SNAT\\_MISSING on c1-w1.**" in said
    assert "### NF\\_HOSTNET\\_SNAT\\_MISSING on c1-w1, c1: nat/SUBMARINER-POSTROUTING" in said
    assert "**Remedy:** restart the route agent on c1-w1; it writes the rule anew" in said
    assert "### Failing, cause not known" in said
    assert "hostpod  ngw  X.. X..  .~ .." in said
    assert "| TCP-09 | `hostpod.ngw.c1--pod.ngw.c2--tcp` | passed | blocked |" in said


def test_texts_of_others_cannot_become_markup(recorder: Recorder, snat_missing: Finding) -> None:
    hostile = "<script>x</script> | [a](http://b) *c*\n# d `e`"
    evidence = (Evidence(EvidenceKind.STATE, hostile),)
    recorder.add_finding(replace(snat_missing, node="<img>", evidence=evidence, remedy=hostile))
    said = page(recorder)
    assert "<script>" not in said
    assert "<img>" not in said
    assert "\n# d" not in said
    assert escape(hostile) == r"\<script\>x\</script\> \| \[a\](http://b) \*c\* \# d `e`"


def test_nothing_outside_github(recorder: Recorder, tmp_path: Path) -> None:
    assert commands(recorder, {}) == []
    assert summarise(recorder, {"GITHUB_STEP_SUMMARY": str(tmp_path / "x")}) is None
    assert list(tmp_path.iterdir()) == []


def test_summary_stays_below_what_github_takes(recorder: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "summary"
    file.write_text("x" * 999_000, encoding="utf-8")
    assert summarise(recorder, {**GITHUB, "GITHUB_STEP_SUMMARY": str(file)}) == file
    assert 999_000 < file.stat().st_size <= 1_000_000
    assert "does not fit" in file.read_text(encoding="utf-8")
    assert bounded("ä" * 10, 20) == "ä" * 10
    assert len(bounded("ä\n" * 200, 101).encode()) <= 101
    assert bounded("ä" * 100, 3) == ""


def test_annotations_are_causes_and_at_most_ten(recorder: Recorder, snat_missing: Finding, blocked: PathResult) -> None:
    first, unknown = commands(recorder, GITHUB)
    assert first.startswith("::error title=NF_HOSTNET_SNAT_MISSING on c1-w1%2C c1::2 failing paths: nat/SUBMARINER")
    assert "%0Aremedy: restart" in first
    assert unknown.startswith("::error title=3 failing paths%2C cause not known::")
    for number in range(30):
        recorder.add(replace(blocked, id=f"pod.ngw{number + 2}.c1--pod.gw.c2--tcp"))
        paths = (f"pod.ngw{number + 2}.c1--pod.gw.c2--tcp",)
        recorder.add_finding(replace(snat_missing, node=f"c1-w{number}", paths=paths))
    lines = commands(recorder, GITHUB)
    assert len(lines) == MOST_ANNOTATIONS
    assert lines[-1].startswith("::error title=")
    assert "more causes" in lines[-1]
    assert all("\n" not in line for line in lines)


def test_a_cause_that_breaks_nothing_is_a_warning(snat_missing: Finding, blocked: PathResult) -> None:
    recorder = Recorder(planned=1)
    recorder.add(replace(blocked, id="pod.gw.c1--pod.gw.c2--tcp", verdict=type(blocked.verdict).OK))
    recorder.add_finding(replace(snat_missing, paths=()))
    (line,) = commands(recorder, GITHUB)
    assert line.startswith("::warning title=NF_HOSTNET_SNAT_MISSING")


def test_a_run_that_measured_nothing_is_an_error() -> None:
    (line,) = commands(Recorder(planned=3), GITHUB)
    assert line.startswith("::error title=Nothing was measured::")


@pytest.mark.parametrize("text", ["", "`", "``", "a ` b"])
def test_single_backticks_stay(text: str) -> None:
    assert escape(text).count("`") in (0, text.count("`"))

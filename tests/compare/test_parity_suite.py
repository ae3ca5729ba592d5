"""The suite `parity` as users run it: against real reports of subctl, with verdicts of our own choosing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_run import Fake

pytest_plugins = ["pytester"]

DATA = Path(__file__).with_name("data")
SUITE = Path(__file__).parents[2] / "suites" / "parity" / "test_subctl_verify.py"
TCP_09 = "hostpod.ngw.c1--pod.ngw.c2--tcp"


@pytest.fixture
def fake(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Fake:
    for name in list(os.environ):
        if name in ("CI", "KUBECONFIG") or name.startswith(("GITHUB_", "PYTEST_SUBMARINER_", "PYTEST_XDIST_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:asyncio")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    made = Fake(pytester)
    shutil.copy(SUITE, pytester.path)
    return made


def run(fake: Fake, report: Path | None, *arguments: str) -> pytest.RunResult:
    name = [f"--submariner-subctl-junit={report}"] if report else []
    return fake.pytester.runpytest("-rs", "--submariner-results=results.json", *name, *arguments)


def comparison(fake: Fake) -> Any:
    return json.loads((fake.pytester.path / "results.json").read_text(encoding="utf-8"))["comparison"]


def test_healthy_clusters_agree_on_all_twelve(fake: Fake) -> None:
    result = run(fake, DATA / "healthy.junit.xml")
    result.assert_outcomes(passed=12, skipped=36)
    result.stdout.fnmatch_lines(
        ["subctl verify: 12 agree, 0 disagree, 36 not*", "SKIPPED *36* not compared: subctl did not select it"]
    )
    assert (comparison(fake)["agree"], comparison(fake)["not_compared"]) == (12, 36)


def test_same_fault_agrees_and_still_fails_nothing(fake: Fake) -> None:
    fake.verdicts({TCP_09: "blocked"})
    run(fake, DATA / "no-snat.junit.xml").assert_outcomes(passed=12, skipped=36)


def test_disagreement_fails_with_the_evidence_of_both(fake: Fake) -> None:
    result = run(fake, DATA / "no-snat.junit.xml")
    result.assert_outcomes(passed=11, failed=1, skipped=36)
    result.stdout.fnmatch_lines(
        [
            f"subctl verify disagrees on TCP-09 ({TCP_09}): subctl failed, ours ok",
            "  subctl: failed after 31.2 s at shipyard/*network_pods.go:196: nobody reached the listener",
            f"  ours: ok: detail of {TCP_09}",
            f"  {TCP_09}: subctl failed, ours ok",
        ]
    )
    assert comparison(fake)["disagree"] == 1


def test_path_nobody_could_ask_is_not_compared(fake: Fake) -> None:
    fake.verdicts({TCP_09: "error"})
    result = run(fake, DATA / "healthy.junit.xml")
    result.assert_outcomes(passed=11, skipped=37)
    result.stdout.fnmatch_lines([f"SKIPPED *not compared: we have no answer: error: detail of {TCP_09}"])


def test_without_a_report_the_suite_skips_with_one_reason_and_asks_nothing(fake: Fake) -> None:
    result = run(fake, None)
    result.assert_outcomes(skipped=48)
    reasons = {line.partition(": ")[2] for line in result.outlines if line.startswith("SKIPPED")}
    assert len(reasons) == 1
    assert "--submariner-subctl-junit" in reasons.pop()
    assert fake.logged("measure") == []


def test_file_that_is_no_report_is_a_usage_error(fake: Fake) -> None:
    (fake.pytester.path / "broken.xml").write_text("<testsuites><testsui", encoding="utf-8")
    result = run(fake, Path("broken.xml"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *--submariner-subctl-junit*broken.xml*no complete XML*"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_one_spec_can_be_chosen(fake: Fake) -> None:
    run(fake, DATA / "healthy.junit.xml", "-k", "tcp-09").assert_outcomes(passed=1, deselected=47)
    assert fake.logged("measure") == [TCP_09]

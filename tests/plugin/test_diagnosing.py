"""When a run looks for causes, and where they are told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_diagnosis import STAND_IN
from fake_run import CONFTEST, Fake

FAILING = "pod.ngw.c1--pod.gw.c2--tcp"


@pytest.fixture
def project(pytester: pytest.Pytester) -> Fake:
    fake = Fake(pytester)
    pytester.makeconftest(CONFTEST + STAND_IN)
    fake.paths()
    fake.verdicts({FAILING: "blocked"})
    return fake


def results(fake: Fake) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((fake.pytester.path / "reports/results.json").read_text())
    return found


def test_a_failing_path_says_why_and_so_do_the_reports(project: Fake) -> None:
    done = project.pytester.runpytest("-p", "no:xdist")
    done.stdout.fnmatch_lines([f"E*{FAILING}: blocked*[[]OVERLAY_LINK_DOWN[]]", "E*cause: OVERLAY_LINK_DOWN on c1-w1*"])
    done.stdout.fnmatch_lines(["*could not read node 0*", "*could not read 2 more*"])
    assert project.logged("diagnose") == [FAILING]
    told = results(project)
    assert [f["code"] for f in told["findings"]] == ["OVERLAY_LINK_DOWN"]
    assert {p["id"]: p["root_cause"] for p in told["paths"]}[FAILING] == "OVERLAY_LINK_DOWN"
    assert told["timings"]["diagnose_s"] == 0.5


def test_never_looks_when_told_so_nor_when_all_is_well(project: Fake) -> None:
    project.pytester.runpytest("-p", "no:xdist", "--submariner-diagnose=never")
    project.verdicts({})
    project.pytester.runpytest("-p", "no:xdist")
    assert project.logged("diagnose") == []
    assert results(project)["findings"] == []


def test_always_looks_also_when_all_is_well(project: Fake) -> None:
    project.verdicts({})
    done = project.pytester.runpytest("-p", "no:xdist", "--submariner-diagnose=always")
    assert done.ret == 0
    assert len(project.logged("diagnose")) == 1
    assert [f["code"] for f in results(project)["findings"]] == ["OVERLAY_LINK_DOWN"]


def test_workers_leave_it_to_the_controller(project: Fake) -> None:
    project.pytester.runpytest_subprocess("-n2")
    assert project.logged("diagnose") == [FAILING]
    assert {p["id"]: p["root_cause"] for p in results(project)["paths"]}[FAILING] == "OVERLAY_LINK_DOWN"


def test_paths_asked_afresh_are_not_explained(project: Fake) -> None:
    """Whoever asks again is changing something on purpose."""
    project.pytester.makepyfile(
        test_paths=f"def test_again(reach):\n    assert reach('{FAILING}', fresh=True).verdict.word == 'blocked'\n"
    )
    project.pytester.runpytest("-p", "no:xdist").assert_outcomes(passed=1)
    assert project.logged("diagnose") == []


def test_a_diagnosis_that_fails_is_noted_and_fails_nothing_else(project: Fake) -> None:
    project.write("broken", "")
    done = project.pytester.runpytest("-p", "no:xdist")
    done.stdout.fnmatch_lines(["*causes could not be looked for: the API is gone*"])
    done.assert_outcomes(passed=2, failed=1)

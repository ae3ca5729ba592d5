"""--submariner-subctl as users run it, with a binary that only pretends: one run, one report, the same comparison as with a report."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_run import Fake
from fake_subctl import PANICS, WAITS, calls, fake_subctl

pytest_plugins = ["pytester"]

SUITE = Path(__file__).parents[2] / "suites" / "parity" / "test_subctl_verify.py"


@pytest.fixture
def fake(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Fake:
    for name in list(os.environ):
        if name == "CI" or name.startswith(("GITHUB_", "PYTEST_SUBMARINER_", "PYTEST_XDIST_", "SUBMARINER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:asyncio -p no:cacheprovider")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    names = ("c1", "c2")
    config = {
        "clusters": [{"name": "same", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "same", "user": {"token": "letmein"}}],
        "contexts": [{"name": name, "context": {"cluster": "same", "user": "same"}} for name in names],
    }
    file = pytester.path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(file))
    return Fake(pytester)


@pytest.fixture
def program(pytester: pytest.Pytester) -> Path:
    return fake_subctl(pytester.path / "bin")


def suite(fake: Fake, program: Path, *arguments: str) -> pytest.RunResult:
    shutil.copy(SUITE, fake.pytester.path)
    return fake.pytester.runpytest_subprocess(
        "-rsE", f"--submariner-subctl={program}", "--submariner-results=out/results.json", *arguments
    )


def comparison(fake: Fake) -> Any:
    return json.loads((fake.pytester.path / "out" / "results.json").read_text())["comparison"]


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_binary_runs_once_and_is_compared_as_its_report_would_be(
    fake: Fake, program: Path, workers: tuple[str, ...]
) -> None:
    result = suite(fake, program, *workers)
    result.assert_outcomes(passed=12, skipped=36)
    assert len(calls(program)) == 1
    said = comparison(fake)
    assert (said["agree"], said["not_compared"]) == (12, 36)
    assert said["source"] == str(fake.pytester.path / "out" / "subctl-verify.junit.xml")
    assert (fake.pytester.path / "out" / "subctl-verify.log").read_text().startswith("Will run 12 of 48 specs")
    result.stdout.fnmatch_lines(["subctl verify: 12 agree, 0 disagree, 36 not compared*", "subctl  *junit.xml"])


def test_clusters_get_names_that_cannot_collide_and_credentials_do_not_stay(fake: Fake, program: Path) -> None:
    suite(fake, program)
    given = yaml.safe_load(program.with_name("kubeconfig").read_text())
    assert [cluster["name"] for cluster in given["clusters"]] == ["c1", "c2"]
    assert [user["user"]["token"] for user in given["users"]] == ["letmein", "letmein"]
    kubeconfig = Path(calls(program)[0].split()[0])
    assert not kubeconfig.parent.exists()


def test_progress_is_a_line_per_spec_unless_quiet(fake: Fake, program: Path) -> None:
    expected = "  TCP-01  passed     1.1 s  pod.ngw.c1--pod.ngw.c2--tcp"
    shown = suite(fake, program).outlines
    assert expected in shown
    assert "subctl verify (v0.19.0) on c1 and c2" in shown
    assert expected not in suite(fake, program, "-q").outlines
    assert "\x1b" not in "".join(shown)


def test_panic_is_one_error_with_the_last_lines(fake: Fake) -> None:
    program = fake_subctl(fake.pytester.path / "bin", PANICS)
    result = suite(fake, program)
    result.assert_outcomes(errors=1, skipped=47)
    assert result.ret == 1
    assert len(calls(program)) == 1
    result.stdout.fnmatch_lines(
        ["E *subctl verify ended with exit status 2 and left no report*", "*panic: runtime error*"]
    )
    result.stdout.fnmatch_lines(["SKIPPED [[]47[]] *subctl verify gave no report, as was said before"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_panic_under_xdist_is_one_error_too(fake: Fake) -> None:
    program = fake_subctl(fake.pytester.path / "bin", PANICS)
    result = suite(fake, program, "-n2")
    result.assert_outcomes(errors=1, skipped=47)
    assert len(calls(program)) == 1


def test_paths_without_the_suite_are_compared_at_the_end(fake: Fake, program: Path) -> None:
    fake.paths()
    arguments = (f"--submariner-subctl={program}", "--submariner-results=out/results.json")
    fake.pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=3)
    assert comparison(fake)["agree"] == 3
    fake.pytester.runpytest_subprocess(*arguments, "-n2").assert_outcomes(passed=3)
    assert comparison(fake)["agree"] == 3
    assert len(calls(program)) == 2


def test_panic_at_the_end_fails_the_run(fake: Fake) -> None:
    fake.paths()
    program = fake_subctl(fake.pytester.path / "bin", PANICS)
    result = fake.pytester.runpytest_subprocess(f"--submariner-subctl={program}")
    result.assert_outcomes(passed=3)
    assert result.ret == 1
    result.stderr.fnmatch_lines(["submariner: subctl verify ended with exit status 2*", "*panic: runtime error*"])


def test_run_that_measures_nothing_does_not_start_it(fake: Fake, program: Path) -> None:
    fake.pytester.makepyfile("def test_it(): pass")
    assert fake.pytester.runpytest_subprocess(f"--submariner-subctl={program}").ret == 0
    assert calls(program) == []


def test_one_cluster_is_a_skip(fake: Fake, program: Path) -> None:
    conftest = fake.pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('for p in ("c1", "c2")', 'for p in ("c1",)'))
    result = suite(fake, program)
    result.assert_outcomes(skipped=48)
    result.stdout.fnmatch_lines(["SKIPPED *subctl verify needs two clusters; this run has 1"])
    assert calls(program) == []


def test_binary_and_report_contradict_each_other(fake: Fake, program: Path) -> None:
    result = suite(fake, program, "--submariner-subctl-junit=report.xml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --submariner-subctl */subctl * contradicts --submariner-subctl-junit *"])


def test_binary_that_is_none_is_a_usage_error(fake: Fake) -> None:
    (fake.pytester.path / "subctl").write_text("#!/bin/sh\necho kubectl\n")
    for arguments in (["./subctl"], ["nowhere/subctl"], ["no-such-subctl"]):
        result = suite(fake, Path(arguments[0]), f"--submariner-subctl={arguments[0]}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        lines = [line for line in result.errlines if line.startswith("ERROR: ")]
        assert len(lines) == 1
        assert f"--submariner-subctl: '{fake.pytester.path / arguments[0]}'" in lines[0] or "not in PATH" in lines[0]


def test_name_is_looked_up_in_path(fake: Fake, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    suite(fake, Path("subctl")).assert_outcomes(passed=12, skipped=36)


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_interrupted_pytest_leaves_no_process(fake: Fake, workers: tuple[str, ...]) -> None:
    folder = fake.pytester.path / "bin"
    program = fake_subctl(folder, WAITS)
    shutil.copy(SUITE, fake.pytester.path)
    # A shell's background job, which we may be part of, ignores SIGINT.
    argv = ["env", "--default-signal=INT", sys.executable, "-m", "pytest", f"--submariner-subctl={program}", *workers]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        deadline = time.monotonic() + 30
        while not (folder / "pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        process.communicate(timeout=30)
    assert (folder / "cleaned").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_session_timeout_ends_it(fake: Fake) -> None:
    """The run ends when pytest-timeout says the session does, whatever subctl would have allowed itself."""
    pytest.importorskip("pytest_timeout")
    program = fake_subctl(fake.pytester.path / "bin", WAITS)
    started = time.monotonic()
    suite(fake, program, "--session-timeout=3")
    assert time.monotonic() - started < 20
    assert (program.parent / "cleaned").exists()

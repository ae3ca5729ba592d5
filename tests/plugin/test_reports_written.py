"""What a run writes, however it ends: sysdump, Markdown, JUnit, GitHub's summary and annotations, progress on the terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from fake_diagnosis import STAND_IN
from fake_run import CONFTEST, Fake

FAILING = "pod.ngw.c1--pod.gw.c2--tcp"
ENDINGS = {
    "interrupt": ("raise KeyboardInterrupt", "The run was interrupted", 2),
    "exit": ("pytest.exit('enough of this', returncode=77)", "The run was ended early: enough of this", 77),
    "terminated": ("os.kill(os.getpid(), signal.SIGTERM)", "The run was interrupted: terminated by SIGTERM", 2),
}
TWO = """
import os, signal
import pytest

@pytest.mark.parametrize("path", ["pod.gw.c1--pod.gw.c2--tcp", "pod.gw.c1--pod.ngw.c2--tcp"])
def test_path(assert_path, path):
    if "ngw" in path:
        {end}
    assert_path(path)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> Fake:
    """Three paths, one of which fails for a cause that is found."""
    fake = Fake(pytester)
    pytester.makeconftest(CONFTEST + STAND_IN)
    fake.paths()
    fake.verdicts({FAILING: "blocked"})
    return fake


def results(fake: Fake, name: str = "reports/results.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((fake.pytester.path / name).read_text(encoding="utf-8"))
    return found


def names(file: Path) -> set[str]:
    with tarfile.open(file) as archive:
        return set(archive.getnames())


def test_a_failing_run_leaves_a_sysdump_and_a_healthy_one_none(project: Fake) -> None:
    project.verdicts({})
    project.pytester.runpytest("-p", "no:xdist")
    file = project.pytester.path / "reports/sysdump.tar.gz"
    assert not file.exists()
    project.verdicts({FAILING: "blocked"})
    run = project.pytester.runpytest("-p", "no:xdist")
    run.stdout.fnmatch_lines(["sysdump *reports/sysdump.tar.gz"])
    assert {f"submariner-sysdump/{name}" for name in ("index.html", "observation.json", "report.md")} <= names(file)


def test_a_sysdump_that_is_asked_for_is_made_of_a_healthy_run_too(project: Fake) -> None:
    project.verdicts({})
    project.pytester.runpytest("-p", "no:xdist", "--submariner-sysdump=a/b.tar.gz")
    assert "submariner-sysdump/index.html" in names(project.pytester.path / "a/b.tar.gz")


def test_no_archive_of_anybody_else_is_replaced(project: Fake) -> None:
    mine = project.pytester.path / "reports" / "sysdump.tar.gz"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    project.pytester.runpytest("-p", "no:xdist")
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (("--submariner-sysdump=x", "--submariner-diagnose=never"), "*--submariner-sysdump * contradicts *never*"),
        (("--submariner-markdown=reports/results.json",), "*--submariner-markdown*another report goes*"),
    ],
)
def test_contradictions_are_one_line(project: Fake, given: tuple[str, ...], complaint: str) -> None:
    run = project.pytester.runpytest(*given)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines([complaint])


def test_markdown_says_the_same(project: Fake) -> None:
    project.pytester.runpytest("-p", "no:xdist", "--submariner-markdown=run.md")
    page = (project.pytester.path / "run.md").read_text(encoding="utf-8")
    assert "**1 of 3 paths is not as expected: OVERLAY\\_LINK\\_DOWN on c1-w1.**" in page
    assert f"`{FAILING}`" in page


@pytest.mark.parametrize("workers", [("-p", "no:xdist"), ("-n2",)], ids=["alone", "xdist"])
def test_junit_has_the_cause_though_it_was_found_at_the_end(project: Fake, workers: tuple[str, ...]) -> None:
    if "-n2" in workers:
        pytest.importorskip("xdist")
    project.pytester.runpytest_subprocess("--junitxml=junit.xml", *workers)
    cases = ET.parse(project.pytester.path / "junit.xml").iter("testcase")
    failed = next(case for case in cases if case.find("failure") is not None)
    told = {p.get("name"): p.get("value") for p in failed.iter("property")}
    assert (told["submariner.path_id"], told["submariner.root_cause"]) == (FAILING, "OVERLAY_LINK_DOWN")
    failure = failed.find("failure")
    assert failure is not None
    assert "[OVERLAY_LINK_DOWN]" in failure.get("message", "").splitlines()[0]
    assert "remedy: set it up" in (failure.text or "")


@pytest.mark.parametrize("end", ENDINGS)
def test_a_run_that_ends_early_says_so_in_every_report(fake: Fake, end: str) -> None:
    code, sentence, status = ENDINGS[end]
    fake.pytester.makepyfile(test_two=TWO.format(end=code))
    run = fake.pytester.runpytest_subprocess("--junitxml=junit.xml", "--submariner-markdown=run.md")
    assert run.ret == status
    told = results(fake)
    assert any(note.startswith(sentence) for note in told["notes"]), told["notes"]
    assert (told["planned"], len(told["paths"])) == (2, 1)
    assert sentence in (fake.pytester.path / "run.md").read_text(encoding="utf-8")
    assert sentence in (fake.pytester.path / "reports/index.html").read_text(encoding="utf-8")
    assert ET.parse(fake.pytester.path / "junit.xml").getroot() is not None


def test_an_internal_error_leaves_reports(fake: Fake) -> None:
    fake.paths()
    conftest = fake.pytester.path / "conftest.py"
    broken = "\ndef pytest_runtest_logfinish(nodeid):\n    raise RuntimeError('a plugin broke')\n"
    conftest.write_text(conftest.read_text(encoding="utf-8") + broken, encoding="utf-8")
    run = fake.pytester.runpytest_subprocess("--junitxml=junit.xml")
    assert run.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "The run was ended by an internal error: RuntimeError: a plugin broke" in results(fake)["notes"][0]
    assert ET.parse(fake.pytester.path / "junit.xml").getroot() is not None


def test_sigterm_is_left_alone_by_runs_that_ask_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import time, pathlib\ndef test_x():\n    pathlib.Path('up').touch()\n    time.sleep(60)")
    running = subprocess.Popen([sys.executable, "-m", "pytest", "-q"], cwd=pytester.path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (pytester.path / "up").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.terminate()
    assert running.wait(30) == -signal.SIGTERM


def test_a_worker_that_dies_leaves_results_of_its_item(project: Fake) -> None:
    pytest.importorskip("xdist")
    project.pytester.makepyfile(
        test_dies="""
        import os
        import pytest

        @pytest.mark.parametrize("path", ["pod.ngw.c1--pod.ngw.c2--udp"])
        def test_dies(assert_path, path):
            os._exit(3)
        """
    )
    project.pytester.runpytest_subprocess("-n1", "--alluredir=allure", "test_dies.py", "test_paths.py")
    told = {path["id"]: path for path in results(project)["paths"]}
    assert told["pod.ngw.c1--pod.ngw.c2--udp"]["verdict"] == "error"
    found = [
        json.loads(f.read_text(encoding="utf-8")) for f in (project.pytester.path / "allure").glob("*-result.json")
    ]
    crashed = next(f for f in found if f["fullName"].endswith("test_dies#test_dies"))
    assert crashed["status"] == "broken"
    assert "crashed while running" in crashed["statusDetails"]["message"]
    assert crashed["name"] == "Pod on a non-gateway node → Pod on a non-gateway node, c1 → c2, UDP"
    failed = next(f for f in found if f["status"] == "failed")
    assert {"name": "root_cause", "value": "OVERLAY_LINK_DOWN"} in failed["labels"]
    assert "[OVERLAY_LINK_DOWN]" in failed["statusDetails"]["message"]
    assert failed["steps"][-2]["name"] == "Cause: OVERLAY_LINK_DOWN on c1-w1, c1: vx-submariner"


def test_github_gets_a_summary_and_annotations(project: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project.write("step.md", "# Before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    run = project.pytester.runpytest("-p", "no:xdist", "--tb=no")
    run.stdout.fnmatch_lines(["::error title=OVERLAY_LINK_DOWN on c1-w1%2C c1::1 failing path: vx-submariner%0A*"])
    page = file.read_text(encoding="utf-8")
    assert page.startswith("# Before\n")
    assert page.count("## Submariner conformance") == 1


def test_elsewhere_nothing_of_the_kind(project: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.pytester.path / "step.md"))
    run = project.pytester.runpytest("-p", "no:xdist")
    run.stdout.no_fnmatch_line("::error*")
    assert not (project.pytester.path / "step.md").exists()


@pytest.mark.parametrize(("how", "told"), [((), True), (("-v",), True), (("-s",), True), (("-q",), False)])
def test_a_log_says_once_what_is_asked(project: Fake, how: tuple[str, ...], told: bool) -> None:
    run = project.pytester.runpytest_subprocess("-p", "no:xdist", *how)
    lines = [line for line in run.outlines if line.startswith(("submariner: asking", "submariner: looking"))]
    wanted = ["submariner: asking 3 paths between c1, c2", "submariner: looking for the causes of 1 failing path"]
    assert lines == (wanted if told else [])
    assert all("\x1b" not in line for line in run.outlines)


def test_progress_leaves_the_letters_of_a_file_behind_its_name(fake: Fake) -> None:
    fake.paths()
    run = fake.pytester.runpytest_subprocess("-p", "no:xdist")
    run.stdout.fnmatch_lines(["submariner: asking 3 paths between c1, c2", "test_paths.py ...*100%*"])

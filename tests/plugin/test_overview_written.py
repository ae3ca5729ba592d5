"""When a run writes its overview, and what stands in its place when the run cannot."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fake_run import Fake

NOT_ENDED = "This run has not ended."


def page(fake: Fake, name: str = "reports/index.html") -> str:
    return (fake.pytester.path / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_every_run_writes_it_beside_the_results(fake: Fake, workers: tuple[str, ...]) -> None:
    if workers:
        pytest.importorskip("xdist")
    fake.paths()
    fake.verdicts({"pod.gw.c1--pod.gw.c2--tcp": "blocked"})
    run = fake.pytester.runpytest_subprocess(*workers) if workers else fake.pytester.runpytest()
    run.stdout.fnmatch_lines(["*overview*reports/index.html"])
    assert "1 of 3 paths is not as expected" in page(fake)


def test_the_settings_of_the_run_are_on_it(fake: Fake) -> None:
    fake.paths()
    fake.pytester.runpytest("--submariner-timeout=7", "--submariner-overview=a/b.html")
    text = page(fake, "a/b.html")
    assert "<dt>timeout</dt><dd>7 <span" in text
    assert "from option" in text
    assert not (fake.pytester.path / "reports/index.html").exists()


def test_a_run_that_asks_nothing_leaves_it_alone(fake: Fake) -> None:
    fake.pytester.makepyfile("def test_clusters(clusters): pass")
    fake.pytester.runpytest().assert_outcomes(passed=1)
    assert not (fake.pytester.path / "reports").exists()


@pytest.mark.parametrize("option", ["--collect-only", "--submariner-plan"])
def test_a_run_that_only_shows_leaves_it_alone(fake: Fake, option: str) -> None:
    fake.paths()
    fake.pytester.runpytest(option)
    assert not (fake.pytester.path / "reports").exists()


def test_nothing_measured_says_so(fake: Fake) -> None:
    fake.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("path", ["pod.gw.c1--pod.gw.c2--tcp"])
        def test_path(assert_path, path):
            pytest.skip("not today")
        """
    )
    fake.pytester.runpytest()
    assert "Nothing was measured" in page(fake)


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_killed_run_leaves_a_page_that_says_so(fake: Fake, workers: tuple[str, ...]) -> None:
    if workers:
        pytest.importorskip("xdist")
    fake.pytester.makepyfile(
        test_killed="""
        import os, signal
        import pytest

        @pytest.mark.parametrize("path", ["pod.gw.c1--pod.gw.c2--tcp"])
        def test_path(assert_path, path):
            if "PYTEST_XDIST_WORKER" in os.environ:
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "test_killed.py", *workers],
        cwd=fake.pytester.path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -9
    assert NOT_ENDED in page(fake)


def test_an_interrupted_run_counts_what_it_did_not_reach(fake: Fake) -> None:
    fake.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("path", ["pod.gw.c1--pod.gw.c2--tcp", "pod.gw.c1--pod.ngw.c2--tcp"])
        def test_path(assert_path, path):
            if "ngw" in path:
                raise KeyboardInterrupt
            assert_path(path)
        """
    )
    fake.pytester.runpytest_subprocess()
    assert "only 1 of 2 selected paths were reached" in page(fake)


def test_a_page_of_somebody_else_is_never_replaced_unless_named(fake: Fake) -> None:
    fake.paths()
    mine = fake.pytester.path / "index.html"
    mine.write_text("<h1>My homepage</h1>", encoding="utf-8")
    run = fake.pytester.runpytest("--submariner-results=results.json")
    assert mine.read_text(encoding="utf-8") == "<h1>My homepage</h1>"
    run.stdout.no_fnmatch_line("*overview *index.html*")
    fake.pytester.runpytest("--submariner-overview=index.html")
    assert "Submariner conformance" in mine.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_exit_1(fake: Fake) -> None:
    fake.paths()
    (fake.pytester.path / "file").write_text("", encoding="utf-8")
    run = fake.pytester.runpytest("--submariner-overview=file/index.html")
    assert run.ret == pytest.ExitCode.TESTS_FAILED
    run.stderr.fnmatch_lines(["submariner: cannot write */file*"])
    assert "Traceback" not in run.stderr.str()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--submariner-overview=."], "*--submariner-overview: * is a folder; name a file*"),
        (["--submariner-results=index.html"], "*--submariner-results: *is where the overview goes; name another file*"),
    ],
)
def test_names_that_cannot_be(fake: Fake, options: list[str], message: str) -> None:
    fake.paths()
    run = fake.pytester.runpytest(*options)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines([message])

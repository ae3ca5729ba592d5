"""Under pytest-xdist: one world, the same results, disruptive items alone, and a dead worker hides nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_run import Fake

pytest.importorskip("xdist")

PATH = "pod.gw.c1--pod.gw.c2--tcp"


def results(fake: Fake) -> dict[str, Any]:
    paths = json.loads((fake.pytester.path / "results.json").read_text())["paths"]
    return {path["id"]: path for path in paths}


def test_the_world_is_found_once_and_results_come_together(fake: Fake) -> None:
    fake.paths()
    fake.verdicts({PATH: "blocked"})
    run = fake.pytester.runpytest_subprocess(
        "-n3", "--submariner-results=results.json", "--dist=load", "--maxschedchunk=1"
    )
    assert run.parseoutcomes() == {"passed": 2, "failed": 1}
    assert "Error" not in run.stderr.str()
    assert len(fake.logged("topology")) == 1
    assert len(fake.logged("close")) == len({line.split()[0] for line in fake.logged("close")})
    assert {path: r["verdict"] for path, r in results(fake).items()} == {
        PATH: "blocked",
        "pod.gw.c1--pod.ngw.c2--tcp": "ok",
        "pod.ngw.c1--pod.gw.c2--tcp": "ok",
    }
    run.stdout.fnmatch_lines(["*= submariner =*", "c1 is c1*", "*3 paths: 2 ok, 1 blocked*"])


def test_nothing_measured_is_exit_1(fake: Fake) -> None:
    fake.paths()
    fake.verdicts(dict.fromkeys([PATH, "pod.gw.c1--pod.ngw.c2--tcp", "pod.ngw.c1--pod.gw.c2--tcp"], "skipped"))
    run = fake.pytester.runpytest_subprocess("-n2")
    assert run.parseoutcomes() == {"skipped": 3}
    assert run.ret == 1
    run.stdout.fnmatch_lines(["*NOTHING WAS MEASURED*"])


def test_what_we_cannot_tell_is_an_error_there_too(fake: Fake) -> None:
    fake.verdicts({PATH: "error"})
    fake.pytester.makepyfile(f"def test_it(assert_path): assert_path({PATH!r})")
    assert fake.pytester.runpytest_subprocess("-n1").parseoutcomes() == {"errors": 1}


def test_a_worker_that_dies_does_not_take_the_run_with_it(fake: Fake) -> None:
    fake.pytester.makepyfile(f"""
        import os
        import pytest

        @pytest.mark.parametrize("path", [{PATH!r}])
        def test_path(assert_path, path):
            assert_path(path)

        def test_dies():
            os._exit(3)
    """)
    run = fake.pytester.runpytest_subprocess("-n1", "--submariner-results=results.json")
    assert run.ret == 1
    run.stdout.fnmatch_lines(["*worker 'gw0' crashed while running *::test_dies*"])
    assert results(fake)[PATH]["verdict"] == "ok"


def test_disruptive_items_are_alone(fake: Fake) -> None:
    fake.pytester.makepyfile("""
        import time
        from pathlib import Path
        import pytest

        HERE = Path(__file__).parent

        def inside(name):
            file = HERE / f"running-{name}"
            file.write_text("")
            time.sleep(0.15)
            others = sorted(p.name for p in HERE.glob("running-*") if p != file)
            file.unlink()
            return others

        @pytest.mark.submariner_disruptive
        @pytest.mark.parametrize("n", range(3))
        def test_breaks(clusters, n):
            assert inside(f"breaks{n}") == []

        @pytest.mark.parametrize("n", range(6))
        def test_ordinary(clusters, n):
            assert not any("breaks" in name for name in inside(f"ordinary{n}"))
    """)
    run = fake.pytester.runpytest_subprocess("-n3", "--dist=load", "--maxschedchunk=1")
    assert run.parseoutcomes() == {"passed": 9}


FAILING = """
def pytest_submariner_topology(config):
    from pytest_submariner.errors import {error}
    with open("tries.txt", "a") as file:
        file.write("tried\\n")
    raise {error}("no such luck")
"""


@pytest.mark.parametrize(("error", "outcome"), [("TopologyError", "errors"), ("LabUnavailable", "skipped")])
@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_world_that_is_not_there_is_tried_once(
    fake: Fake, error: str, outcome: str, workers: tuple[str, ...]
) -> None:
    fake.pytester.makeconftest(FAILING.format(error=error))
    fake.paths()
    run = fake.pytester.runpytest_subprocess("-rsE", *workers)
    assert run.parseoutcomes() == {outcome: 3}
    assert run.ret == 1
    assert (fake.pytester.path / "tries.txt").read_text() == "tried\n"
    run.stdout.fnmatch_lines(["*no such luck"])
    assert "Traceback" not in run.stdout.str()
    assert len(run.outlines) < 60


def test_nothing_is_left_in_the_temporary_folder(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake.pytester.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    fake.paths()
    run = fake.pytester.runpytest_subprocess("-n2", "--basetemp", str(fake.pytester.path / "base"))
    assert run.parseoutcomes() == {"passed": 3}
    assert list(folder.glob("pytest-submariner*")) == []


def test_a_wrong_mark_is_named(fake: Fake) -> None:
    fake.pytester.makepyfile("import pytest\n@pytest.mark.submariner_requires(gateway=2)\ndef test_it(): pass")
    run = fake.pytester.runpytest_subprocess("-n2")
    assert run.ret != 0
    run.stdout.fnmatch_lines(["*submariner_requires*unexpected keyword argument 'gateway'*"])


def test_a_plan_needs_no_workers(fake: Fake) -> None:
    fake.paths()
    run = fake.pytester.runpytest_subprocess("-n2", "--submariner-plan")
    run.stdout.fnmatch_lines(["*submariner plan*", f"{PATH} *ok *Pod on a gateway node*"])
    assert fake.log == []
    assert run.ret == 0

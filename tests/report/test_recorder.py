"""One result per path, findings without doubles, and a way through pytest-xdist."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Outcome, Verdict
from pytest_submariner.report.recorder import Recorder, worst


def test_later_result_replaces_the_earlier(blocked: PathResult) -> None:
    recorder = Recorder()
    recorder.add(blocked)
    recorder.add(replace(blocked, verdict=Verdict.OK, attempts=1))
    assert [r.verdict for r in recorder.results] == [Verdict.OK]


def test_result_without_place_keeps_the_place_its_path_had(blocked: PathResult) -> None:
    recorder = Recorder()
    recorder.add(blocked)
    recorder.add(replace(blocked, suite="", nodeid="", verdict=Verdict.OK))
    assert (recorder.results[0].suite, recorder.results[0].nodeid) == (blocked.suite, blocked.nodeid)


def test_same_cause_twice_is_one_finding_with_the_paths_of_both(snat_missing: Finding) -> None:
    recorder = Recorder()
    recorder.add_finding(snat_missing)
    recorder.add_finding(replace(snat_missing, paths=("hostpod.ngw.c1--svc.gw.c2--tcp", snat_missing.paths[0])))
    assert [f.paths for f in recorder.findings] == [(*snat_missing.paths, "hostpod.ngw.c1--svc.gw.c2--tcp")]
    assert recorder.causes("hostpod.ngw.c1--svc.gw.c2--tcp") == recorder.findings


def test_finding_names_the_root_cause_of_its_paths_whichever_comes_first(
    blocked: PathResult, snat_missing: Finding
) -> None:
    for cause_first in (True, False):
        recorder = Recorder()
        if cause_first:
            recorder.add_finding(snat_missing)
        recorder.add(blocked)
        if not cause_first:
            recorder.add_finding(snat_missing)
        assert [r.root_cause for r in recorder.results] == ["NF_HOSTNET_SNAT_MISSING"]


def test_merging_what_travelled_as_json_gives_the_same_run(recorder: Recorder) -> None:
    controller = Recorder()
    controller.merge(json.loads(json.dumps(recorder.to_dict())))
    assert controller.results == recorder.results
    assert controller.findings == recorder.findings
    assert controller.topology == recorder.topology
    assert (controller.provider, controller.planned) == (recorder.provider, recorder.planned)
    assert controller.timings == recorder.timings
    assert controller.notes == recorder.notes


def test_merging_two_workers_joins_paths_and_takes_the_longer_time(blocked: PathResult, story: PathResult) -> None:
    controller = Recorder()
    for result, seconds in ((blocked, 2.0), (story, 3.0)):
        worker = Recorder(planned=2)
        worker.add(result)
        worker.add_timing("probe_s", seconds)
        controller.merge(worker.to_dict())
    assert [r.id for r in controller.results] == sorted((blocked.id, story.id))
    assert controller.timings == {"probe_s": 3.0}
    assert controller.planned == 2


def test_skipped_and_unasked_paths_are_not_measured(blocked: PathResult) -> None:
    recorder = Recorder()
    recorder.add(replace(blocked, id="pod.gw.c1--pod.gw.c2--tcp", verdict=Verdict.SKIPPED))
    recorder.add(replace(blocked, id="pod.gw.c1--pod.gw.c2--udp", verdict=Verdict.ERROR))
    assert recorder.measured == 0
    recorder.add(replace(blocked, id="pod.gw.c1--pod.gw.c2--icmp", verdict=Verdict.INCONCLUSIVE))
    assert recorder.measured == 1


def test_clock_stops_once() -> None:
    recorder = Recorder()
    recorder.finish()
    first = recorder.duration_s
    recorder.finish()
    assert first is not None
    assert recorder.duration_s == first


@pytest.mark.parametrize("verdict", [v for v in Verdict if v.outcome in (Outcome.FAILED, Outcome.ERROR)])
def test_nothing_bad_hides_behind_anything_good(verdict: Verdict) -> None:
    good = [v for v in Verdict if v.outcome not in (Outcome.FAILED, Outcome.ERROR)]
    assert worst([*good, verdict, *good]) is verdict


def test_every_verdict_has_a_rank() -> None:
    assert all(worst([verdict]) is verdict for verdict in Verdict)
    assert Recorder().is_empty
    assert not Recorder(planned=1).is_empty


def test_writers_load_no_client_library() -> None:
    """Collection imports all of them; kubernetes, paramiko and allure would cost every run half a second."""
    modules = "terminal, json, junit, allure, allure_folder, allure_html, recorder"
    heavy = ("kubernetes", "paramiko", "allure", "aiohttp", "rich", "pyroute2")
    imports = f"from pytest_submariner.report import {modules}; from pytest_submariner.compare import diff"
    code = f"import sys; {imports}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

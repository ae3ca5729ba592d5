"""The files beside Allure results."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_submariner.model.verdict import Outcome, Verdict
from pytest_submariner.report.allure_folder import (
    CATEGORIES,
    categories,
    drop_phantoms,
    executor,
    finish,
    properties,
    tidy_descriptions,
)
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.text import failure

ROOT = Path(__file__).parents[2]


def container(folder: Path, name: str, **data: object) -> Path:
    file = folder / f"{name}-container.json"
    file.write_text(json.dumps({"uuid": name, "children": ["x"], **data}), encoding="utf-8")
    return file


def test_phantom_teardowns_go_and_real_ones_stay(tmp_path: Path) -> None:
    phantom = {"name": "world::<lambda>", "start": 1, "stop": 2}
    real = {"name": "world::close", "status": "passed", "start": 1, "stop": 2}
    failed = {"name": "world::<lambda>", "status": "broken", "start": 1, "stop": 2}
    mixed = container(tmp_path, "mixed", befores=[{"name": "world"}], afters=[phantom, real, failed])
    empty = container(tmp_path, "empty", afters=[phantom])
    before = container(tmp_path, "before", befores=[{"name": "world"}], afters=[phantom])
    (tmp_path / "broken-container.json").write_text("{", encoding="utf-8")

    assert drop_phantoms(tmp_path) == 3
    assert json.loads(mixed.read_text(encoding="utf-8"))["afters"] == [real, failed]
    assert json.loads(before.read_text(encoding="utf-8"))["afters"] == []
    assert not empty.exists()


def test_descriptions_lose_the_indentation_of_their_source(tmp_path: Path) -> None:
    for name, text in (("a", "First.\n\n    Second.\n      - deeper\n    "), ("b", "First.\n\nSecond."), ("c", None)):
        (tmp_path / f"{name}-result.json").write_text(json.dumps({"description": text, "name": name}), encoding="utf-8")
    (tmp_path / "d-result.json").write_text("{", encoding="utf-8")
    assert tidy_descriptions(tmp_path) == 1
    assert json.loads((tmp_path / "a-result.json").read_text(encoding="utf-8")) == {
        "description": "First.\n\nSecond.\n  - deeper",
        "name": "a",
    }


def test_finish_writes_what_allure_reads(tmp_path: Path, recorder: Recorder) -> None:
    finish(tmp_path, recorder, {})
    lines = (tmp_path / "environment.properties").read_text(encoding="utf-8").splitlines()
    assert "provider=lab" in lines
    assert "c1=cluster1, active gateway c1-gw" in lines
    assert r"c2\ nodes=1 gateway, 1 non-gateway" in lines
    assert json.loads((tmp_path / "categories.json").read_text(encoding="utf-8"))
    assert not (tmp_path / "executor.json").exists()


def test_properties_are_escaped() -> None:
    assert properties({"a key: b=c#d": "x\\y\nz = 1"}) == "a\\ key\\:\\ b\\=c\\#d=x\\\\y\\nz = 1\n"


def test_executor_of_a_ci(tmp_path: Path, recorder: Recorder) -> None:
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://example.com",
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_RUN_ID": "77",
        "GITHUB_RUN_NUMBER": "5",
        "GITHUB_WORKFLOW": "suites",
    }
    finish(tmp_path, recorder, environ)
    run = json.loads((tmp_path / "executor.json").read_text(encoding="utf-8"))
    assert run["buildUrl"] == "https://example.com/a/b/actions/runs/77"
    assert (run["buildName"], run["buildOrder"]) == ("suites #5", 5)
    assert executor({"GITLAB_CI": "true", "CI_JOB_ID": "9"})["type"] == "gitlab"
    assert executor({"JENKINS_URL": "x", "BUILD_TAG": "j-1"})["buildName"] == "j-1"
    assert executor({}) == {}


@pytest.mark.parametrize("verdict", [v for v in Verdict if v.outcome in (Outcome.FAILED, Outcome.ERROR)])
def test_every_failing_verdict_has_a_category_of_its_own(recorder: Recorder, verdict: Verdict) -> None:
    from dataclasses import replace

    categories = json.loads(CATEGORIES.read_text(encoding="utf-8"))
    message = "pytest_submariner.errors.Whatever: " + failure(replace(recorder.results[0], verdict=verdict))
    status = "failed" if verdict.outcome is Outcome.FAILED else "broken"
    first = next(
        c
        for c in categories
        if status in c["matchedStatuses"] and re.fullmatch(c.get("messageRegex", r"[\s\S]*"), message)
    )
    assert first["name"] != "Other deviations"
    assert (first["name"] == "Could not ask") == (verdict is Verdict.ERROR)


def test_copies_for_people_who_run_allure_by_hand_are_the_same() -> None:
    assert (ROOT / "reports" / "categories.json").resolve() == CATEGORIES.resolve()
    assert "../pytest_submariner/report/allurerc.mjs" in (ROOT / "reports" / "allurerc.mjs").read_text(encoding="utf-8")


def test_viewers_that_know_messages_only_get_a_category_per_cause(recorder: Recorder) -> None:
    known = categories(recorder)
    assert known[0]["name"] == "Cause: NF_HOSTNET_SNAT_MISSING"
    blocked = recorder.result("hostpod.ngw.c1--pod.ngw.c2--tcp")
    assert blocked is not None
    message = "pytest_submariner.errors.PathFailed: " + failure(blocked, recorder.causes(blocked.id))
    first = next(c for c in known if re.fullmatch(str(c.get("messageRegex", r"[\s\S]*")), message))
    assert first == known[0]


def test_a_result_of_a_failing_path_gets_its_cause_afterwards(tmp_path: Path, recorder: Recorder) -> None:
    path = "hostpod.ngw.c1--pod.ngw.c2--tcp"
    said = f"pytest_submariner.errors.PathFailed: {path}: blocked (should be reachable, is not)"
    file = tmp_path / "a-result.json"
    result = {"parameters": [{"name": "path", "value": path}], "status": "failed", "statusDetails": {"message": said}}
    file.write_text(json.dumps({**result, "steps": [], "labels": [], "stop": 7}), encoding="utf-8")
    finish(tmp_path, recorder, {})
    told = json.loads(file.read_text(encoding="utf-8"))
    first = told["statusDetails"]["message"].splitlines()[0]
    assert first == f"{said} [NF_HOSTNET_SNAT_MISSING]"
    assert {"name": "root_cause", "value": "NF_HOSTNET_SNAT_MISSING"} in told["labels"]
    cause, seen = told["steps"]
    assert (cause["name"], cause["status"]) == (
        "Cause: NF_HOSTNET_SNAT_MISSING on c1-w1, c1: nat/SUBMARINER-POSTROUTING",
        "failed",
    )
    assert [step["name"] for step in cause["steps"]][
        -1
    ] == "Remedy: restart the route agent on c1-w1; it writes the rule anew"
    (picture,) = seen["attachments"]
    assert picture["type"] == "image/svg+xml"
    assert (tmp_path / picture["source"]).read_text(encoding="utf-8").startswith("<svg")


def test_an_item_of_a_dead_worker_keeps_its_history(tmp_path: Path) -> None:
    """The ids are those allure-pytest gives: the item that runs next time continues the line."""
    from allure_commons.model2 import Parameter
    from allure_commons.utils import md5
    from allure_pytest.utils import get_history_id

    nodeid = "suites/cross_cluster/test_x.py::test_path[pod.gw.c1--pod.gw.c2--tcp]"
    finish(tmp_path, Recorder(), {}, crashed=[(nodeid, "worker 'gw0' crashed"), (nodeid, "again")])
    found = [json.loads(file.read_text(encoding="utf-8")) for file in tmp_path.glob("*-result.json")]
    (result,) = found
    full_name = "suites.cross_cluster.test_x#test_path"
    parameters = [Parameter(name="path", value="pod.gw.c1--pod.gw.c2--tcp")]
    assert result["fullName"] == full_name
    assert result["testCaseId"] == md5(full_name)  # type: ignore[no-untyped-call]
    assert result["historyId"] == get_history_id(full_name, parameters, {})
    assert result["name"] == "Pod on a gateway node → Pod on a gateway node, c1 → c2, TCP"
    assert result["status"] == "broken"


def test_the_run_is_attached_as_picture_page_and_data(tmp_path: Path, recorder: Recorder) -> None:
    finish(tmp_path, recorder, {})
    (file,) = tmp_path.glob("*-globals.json")
    attached = json.loads(file.read_text(encoding="utf-8"))["attachments"]
    kinds = {entry["name"]: entry["type"] for entry in attached}
    assert kinds == {
        "Topology": "image/svg+xml",
        "Matrices": "text/html",
        "Paths": "text/csv",
        "Agreement with subctl verify": "text/csv",
    }
    texts = {entry["name"]: (tmp_path / entry["source"]).read_text(encoding="utf-8") for entry in attached}
    assert '<span class="bad" title="blocked">X</span>' in texts["Matrices"]
    assert len(texts["Paths"].splitlines()) == 1 + len(recorder.results)

"""What path items say in Allure results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Outcome, Verdict
from pytest_submariner.report import allure, allure_place

Item = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def item(allure_results: Path) -> Item:
    """The Allure result of an item of `allure_results`, by the name of its function."""
    files = [json.loads(file.read_text(encoding="utf-8")) for file in allure_results.glob("*-result.json")]
    return {found["fullName"].partition("#")[2]: found for found in files}.__getitem__


def labels(found: dict[str, Any], name: str) -> list[str]:
    return [label["value"] for label in found["labels"] if label["name"] == name]


def test_path_reads_as_a_sentence_in_its_place(item: Item) -> None:
    found = item("test_blocked")
    assert found["name"] == "Host-network pod on a non-gateway node → Pod on a non-gateway node, c1 → c2, TCP"
    assert found["status"] == "failed"
    assert labels(found, "epic") == ["Between clusters"]
    assert labels(found, "feature") == ["Host-network pod to Pod"]
    assert labels(found, "story") == ["Host-network pod on a non-gateway node → Pod on a non-gateway node"]
    assert labels(found, "parentSuite") == ["c1 → c2"]
    assert labels(found, "severity") == ["critical"]
    assert labels(found, "verdict") == ["blocked"]
    assert labels(found, "subctl_spec") == ["Basic TCP …"]
    assert labels(found, "root_cause") == ["NF_HOSTNET_SNAT_MISSING"]
    assert {"tcp", "subctl verify"} <= set(labels(found, "tag"))


def test_only_the_path_tells_items_apart_in_history_and_no_value_has_quotes(item: Item, blocked: PathResult) -> None:
    shown = {p["name"]: (p["value"], p.get("excluded")) for p in item("test_blocked")["parameters"]}
    assert shown["path"] == (blocked.id, None)
    assert shown["from node"] == ("c1-w1", True)
    assert shown["attempts"] == ("2", True)


def test_steps_tell_the_story_and_what_went_wrong_is_red(item: Item) -> None:
    steps = item("test_blocked")["steps"]
    assert [(step["name"], step["status"]) for step in steps] == [
        ("Listener: c2-w1 at 10.9.2.4:1234", "passed"),
        ('Connect: asked from c1-w1 2 times: no "answer", yet', "failed"),
        ("Evidence: connect: timed out after 2 s", "passed"),
        ("Evidence: the listener saw nobody", "passed"),
        ("Verdict: blocked: should be reachable, is not (expected ok)", "passed"),
        ("By hand: submariner-lab exec c1-w1 -- nc 10.9.2.4 1234", "passed"),
    ]
    assert steps[1]["statusDetails"] == {"message": "seen: should be reachable, is not\n"}


def test_the_ping_of_the_story_is_characterised_not_judged(item: Item) -> None:
    found = item("test_story")
    assert labels(found, "epic") == ["vx-submariner inside a cluster"]
    told = {step["name"]: step["status"] for step in found["steps"]}
    assert told["The ping was not answered (recorded, not judged: Submariner promises no such path)"] == "passed"
    assert set(told.values()) == {"passed"}
    assert any(link["url"] == allure_place.ISSUE_3134 for link in found["links"])


def test_many_paths_in_one_item_are_a_table(item: Item, allure_results: Path, blocked: PathResult) -> None:
    (attachment,) = item("test_many")["attachments"]
    table = (allure_results / attachment["source"]).read_text(encoding="utf-8").splitlines()
    assert attachment["name"] == "2 paths"
    assert len(table) == 3
    assert table[1] == f'{blocked.id},c1,c2,blocked,ok,,c1-w1,c2-w1,10.9.2.4:1234,,2,,"no ""answer"", yet"'


def test_items_skipped_at_set_up_do_not_count_as_retries_of_each_other(allure_results: Path) -> None:
    results = [json.loads(file.read_text(encoding="utf-8")) for file in allure_results.glob("*-result.json")]
    skipped = [found for found in results if found["fullName"].endswith("test_skipped")]
    assert len(skipped) == 2
    assert len({found["historyId"] for found in skipped}) == 2


def test_foreign_id_is_its_own_title(item: Item) -> None:
    assert item("test_foreign")["name"] == "name:svc@c2"


def test_stock_spec_has_a_place(item: Item) -> None:
    found = item("test_spec")
    assert found["name"] == "SD-01: finds a service"
    assert labels(found, "epic") == ["Agreement with subctl verify"]
    assert labels(found, "feature") == ["Service discovery"]
    found = item("test_spec_with_path")
    assert found["name"] == "TCP-04: Pod on a gateway node → Pod on a gateway node, c1 → c2, TCP"
    assert found["description"] == "a long title"


def test_without_a_folder_nothing_is_active(pytestconfig: pytest.Config) -> None:
    assert allure.is_active(pytestconfig) is bool(pytestconfig.getoption("allure_report_dir"))


@pytest.mark.parametrize(
    ("path_id", "severity"),
    [
        ("pod.gw.c1--svc.gw.c2--tcp", "blocker"),
        ("hostpod.gw.c1--pod.gw.c2--tcp", "critical"),
        ("pod.gw.c1--svc.gw.c1--tcp", "normal"),
        ("hostpod.ngw.c1--vx.gw.c1--icmp", "minor"),
    ],
)
def test_severity_is_by_impact(path_id: str, severity: str) -> None:
    assert allure_place.severity(PathCase.parse(path_id)) == severity


def test_nothing_measured_has_no_red_step(blocked: PathResult) -> None:
    skipped = replace(blocked, verdict=Verdict.SKIPPED, attempts=0, detail="no second node")
    assert all(good for _, good in allure.steps(skipped))


@pytest.mark.parametrize("verdict", [v for v in Verdict if v.outcome in (Outcome.FAILED, Outcome.ERROR)])
def test_one_step_is_red_whatever_went_wrong(blocked: PathResult, verdict: Verdict) -> None:
    for attempts, detail, seen in ((2, "no answer", "1.2.3.4"), (0, "", None)):
        result = replace(blocked, verdict=verdict, attempts=attempts, detail=detail, source_seen=seen)
        red = [text for text, good in allure.steps(result) if not good]
        assert len(red) == 1
    if verdict is Verdict.WRONG_SOURCE:
        wrong = replace(blocked, verdict=verdict, source_seen="1.2.3.4")
        assert [t for t, good in allure.steps(wrong) if not good] == [
            "Source address: promised the node's address, seen 1.2.3.4"
        ]

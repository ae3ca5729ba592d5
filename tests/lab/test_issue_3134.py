"""The story of submariner issue 3134, played in labs: what the ping shows, and what deleting the rule breaks."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running_lab import RunningLab

from pytest_submariner.model.path import Kind, PathCase

SUITES = ["suites/intra_cluster", "suites/cross_cluster"]
PING = "hostpod.ngw.c1--vx.gw.c1--icmp"
CHAIN = "SUBMARINER-POSTROUTING"


def by_id(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {path["id"]: path for path in results["paths"]}


def worker(lab: RunningLab) -> str:
    return next(str(n["name"]) for n in lab.nodes if n["cluster"] == "c1" and n["role"] == "non-gateway")


def snat_rule(lab: RunningLab, node: str) -> list[str]:
    """The words of the rule for host traffic after `-A CHAIN`; empty when the node has none."""
    listed = lab.run(node, "iptables", "-t", "nat", "-S", CHAIN).stdout.decode()
    match = re.search(rf"^-A {CHAIN} (-s 240\.0\.0\.0/8 .*-j SNAT .*)$", listed, re.MULTILINE)
    return shlex.split(match[1]) if match else []


@contextlib.contextmanager
def without_snat_rule(lab: RunningLab, node: str) -> Iterator[None]:
    """The harmful "fix": the rule is deleted, and put back in its place at the top of the chain."""
    rule = snat_rule(lab, node)
    assert rule, f"{node} has no rule to delete"
    assert lab.run(node, "iptables", "-t", "nat", "-D", CHAIN, *rule).returncode == 0
    try:
        assert not snat_rule(lab, node)
        yield
    finally:
        assert lab.run(node, "iptables", "-t", "nat", "-I", CHAIN, "1", *rule).returncode == 0


def is_host_traffic_to_another_cluster(path: dict[str, Any]) -> bool:
    case = PathCase.parse(path["id"])
    return case.is_cross_cluster and case.source.kind is Kind.HOSTPOD and case.source.place == "ngw"


@pytest.mark.parametrize(("profile", "answered"), [("default", True), ("issue-3134", False)])
def test_every_supported_path_works_and_the_ping_is_by_design(
    request: pytest.FixtureRequest, tmp_path: Path, profile: str, answered: bool
) -> None:
    """Whether the underlay drops class E decides over the ping, and over nothing else."""
    lab: RunningLab = request.getfixturevalue("lab" if profile == "default" else "lab_3134")
    status, results, output = lab.pytest(SUITES, tmp_path)
    assert status == 0, output
    paths = by_id(results)
    assert {path["verdict"] for path in paths.values()} == {"ok", "by-design", "skipped"}
    pings = {name: path for name, path in paths.items() if path["expected"] == "by-design"}
    assert sorted(pings) == [PING, PING.replace("c1", "c2")]
    for path in pings.values():
        assert (path["verdict"], path["answered"]) == ("by-design", answered)
        assert path["extra"]["source_before"] != path["extra"]["source_after"]
        before, after = path["extra"]["counter"]
        assert after - before >= path["attempts"]
        assert path["extra"]["reply_device"] == ["eth0"]
    skipped = {path["detail"] for path in paths.values() if path["verdict"] == "skipped"}
    assert all("needs another non-gateway node" in reason for reason in skipped)


def test_deleting_the_rule_breaks_host_traffic_to_other_clusters_and_nothing_else(
    lab: RunningLab, tmp_path: Path
) -> None:
    node = worker(lab)
    with without_snat_rule(lab, node):
        status, results, output = lab.pytest([*SUITES, "--submariner-timeout=1"], tmp_path)
    assert status == 1, output
    paths = by_id(results)
    broken = {name for name, path in paths.items() if path["verdict"] not in {"ok", "by-design", "skipped"}}
    wanted = {
        name
        for name, path in paths.items()
        if is_host_traffic_to_another_cluster(path) and name.startswith("hostpod.ngw.c1")
    }
    assert len(wanted) == 14
    assert broken - {PING} == wanted
    assert {paths[name]["verdict"] for name in wanted} == {"blocked"}
    assert paths[PING]["verdict"] == "blocked"
    assert f"{node} lacks the rule" in paths[PING]["detail"]


def test_the_rule_back_in_place_mends_them(lab: RunningLab, tmp_path: Path) -> None:
    assert snat_rule(lab, worker(lab))
    status, results, output = lab.pytest(["suites/cross_cluster/test_host_network.py"], tmp_path)
    assert status == 0, output
    assert {path["verdict"] for path in results["paths"]} == {"ok"}


def test_deleting_the_rule_makes_the_ping_work_which_is_the_trap(lab_3134: RunningLab, tmp_path: Path) -> None:
    """Under a fabric that drops class E the ping starts to work, host traffic stops: the ping is no measure of health."""
    ask = ["suites/intra_cluster/test_vx_submariner.py", "suites/cross_cluster/test_host_network.py"]
    with without_snat_rule(lab_3134, worker(lab_3134)):
        status, results, output = lab_3134.pytest([*ask, "--submariner-timeout=1"], tmp_path)
    assert status == 1, output
    paths = by_id(results)
    assert (paths[PING]["verdict"], paths[PING]["answered"]) == ("blocked", True)
    assert paths["hostpod.ngw.c1--pod.gw.c2--tcp"]["verdict"] == "blocked"
    assert paths["hostpod.gw.c1--pod.gw.c2--tcp"]["verdict"] == "ok"

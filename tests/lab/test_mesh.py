"""Every pair of nodes, three clusters, passive gateways and clusters without workers, in running labs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_lab import RunningLab


@pytest.fixture(scope="module")
def wide() -> Iterator[RunningLab]:
    """Three clusters of two gateway nodes and no worker."""
    lab = RunningLab.boot(f"tests-wide-{os.getpid()}", "--clusters", "3", "--gateways", "2", "--workers", "0")
    yield lab
    lab.down()


def test_every_ordered_pair_of_nodes_is_a_path_of_its_own(lab: RunningLab, tmp_path: Path) -> None:
    status, results, output = lab.pytest(["suites/mesh", "--submariner-mesh"], tmp_path)
    assert status == 0, output
    pairs = {(path["source_node"], path["target_node"]) for path in results["paths"]}
    names = {str(node["name"]) for node in lab.nodes}
    assert pairs == {(a, b) for a in names for b in names if a != b}
    assert len(results["paths"]) == 3 * len(pairs)
    assert {path["verdict"] for path in results["paths"]} == {"ok"}
    assert "mesh: 36 of the 36 paths between 4 nodes are asked" in results["notes"]


def test_caps_leave_out_and_say_so(lab: RunningLab, tmp_path: Path) -> None:
    caps = ["--submariner-sample=1", "--submariner-pods-per-node=1", "--submariner-rate=200"]
    status, results, output = lab.pytest(["suites/mesh", "--submariner-mesh", *caps], tmp_path)
    assert status == 0, output
    assert len(results["paths"]) == 4 * 2 * 3
    assert any("--submariner-sample 1 leaves out the others" in note for note in results["notes"])


def test_nodes_are_chosen_by_label(lab: RunningLab, tmp_path: Path) -> None:
    selector = "--submariner-nodes=kubernetes.io/hostname notin (c1-gw)"
    status, results, output = lab.pytest(["suites/mesh", "--submariner-mesh", selector], tmp_path)
    assert status == 0, output
    assert len(results["paths"]) == 3 * 2 * 3
    assert not [path for path in results["paths"] if "c1-gw" in (path["source_node"], path["target_node"])]
    assert any("leaves out 1 of 2 nodes of c1" in note for note in results["notes"])


def test_three_clusters_and_passive_gateways_without_workers(wide: RunningLab, tmp_path: Path) -> None:
    files = ["test_gateway_status.py", "test_passive_gateways.py", "test_pod_to_pod.py"]
    status, results, output = wide.pytest([f"suites/cross_cluster/{file}" for file in files], tmp_path)
    assert status == 0, output
    verdicts = {path["id"]: path["verdict"] for path in results["paths"]}
    assert sum(name.endswith("--status") for name in verdicts) == 6
    passive = {name: verdict for name, verdict in verdicts.items() if "pgw" in name}
    assert set(passive.values()) == {"ok"}
    # 6 ordered pairs; 3 pairs of places have a pgw (of gw and pgw); 2 sources; 3 + 2 ways to a target.
    assert len(passive) == 6 * 3 * 2 * 5
    assert verdicts["pod.gw.c3--pod.gw.c1--tcp"] == "ok"
    skipped = {path["detail"] for path in results["paths"] if path["verdict"] == "skipped"}
    assert skipped
    assert all(reason.startswith("needs a non-gateway node in c") for reason in skipped)

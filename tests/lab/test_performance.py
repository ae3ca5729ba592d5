"""Throughput and latency on a lab: measured, compared with the figures inside a cluster, held against thresholds."""

from __future__ import annotations

from pathlib import Path

import pytest
from running_lab import RunningLab

BRIEF = "--submariner-performance-time=0.2"


def test_figures_between_clusters_and_inside(lab: RunningLab, tmp_path: Path) -> None:
    code, data, output = lab.pytest(["suites/performance", "-k", "c1--pod.gw", BRIEF], tmp_path)
    assert code == 0, output
    figures = {figure["id"]: figure for figure in data["performance"]}
    assert len(figures) == 8
    across = figures["pod.gw.c1--pod.gw.c2--tcp--throughput-10"]
    inside = figures[across["intra_id"]]
    assert inside["mbit_s"] > 0
    assert across["ratio"] * inside["mbit_s"] == pytest.approx(across["mbit_s"], rel=0.01)
    assert across["segment_bytes"] < inside["segment_bytes"], "the cable's header takes its part of every packet"
    for protocol in ("tcp", "icmp"):
        trips = figures[f"pod.gw.c1--pod.gw.c2--{protocol}--latency"]["round_trips"]
        assert 0 < trips["p50"] <= trips["p90"] <= trips["p99"] <= trips["max"]
    assert "throughput, Mbit/s" in output


def test_thresholds(lab: RunningLab, tmp_path: Path) -> None:
    arguments = ["suites", "-k", "pod.gw.c1--pod.gw.c2--tcp--throughput-1]", BRIEF, "--submariner-min-throughput=9e9"]
    code, data, output = lab.pytest(["suites/performance", *arguments[1:]], tmp_path)
    assert code == 1
    assert "Mbit/s over 1 stream, allowed is at least 9e+09 Mbit/s" in output
    assert {figure["state"] for figure in data["performance"]} == {"missed"}


def test_not_part_of_a_plain_run(lab: RunningLab, tmp_path: Path) -> None:
    code, data, output = lab.pytest(["suites", "-k", "pod.gw.c1--pod.gw.c2"], tmp_path)
    assert code == 0, output
    assert data["performance"] == []

"""The suites with a probe image that has no Python: the same verdicts, and skips that say why."""

from __future__ import annotations

from pathlib import Path

from running_lab import RunningLab

IMAGE = "--submariner-image=quay.io/submariner/nettest-minimal:devel"


def test_the_image_has_no_python(lab: RunningLab, tmp_path: Path) -> None:
    code, data, output = lab.pytest(["suites", "-k", "pod.gw.c1--pod.gw.c2--tcp", IMAGE], tmp_path)
    assert code == 0, output
    assert any("nettest-minimal:devel has no python3" in note for note in data["notes"])
    (asked,) = [path for path in data["paths"] if path["id"] == "pod.gw.c1--pod.gw.c2--tcp"]
    assert asked["verdict"] == "ok"
    assert "SUBMARINER_PROBE_SHELL" in asked["command"]


def test_counterparts_of_subctl_pass(lab: RunningLab, tmp_path: Path) -> None:
    code, data, output = lab.pytest(["suites", "-m", "submariner_subctl", IMAGE], tmp_path)
    assert code == 0, output
    assert {path["verdict"] for path in data["paths"]} == {"ok"}, output
    assert len(data["paths"]) == 12
    preserved = [p for p in data["paths"] if p["source_ip"]["expected"] == "preserved"]
    assert preserved
    assert all(path["source_ip"]["seen"] for path in preserved)


def test_what_needs_python_is_skipped_and_says_so(lab: RunningLab, tmp_path: Path) -> None:
    wanted = "vx.gw or (bulk and pod.gw.c1--pod.gw.c2)"
    code, data, output = lab.pytest(["suites", "-k", wanted, IMAGE], tmp_path)
    assert data["paths"], output
    assert {path["verdict"] for path in data["paths"]} == {"skipped"}, output
    assert all("needs python3 in the probe image" in path["detail"] for path in data["paths"])
    assert code == 1, "a run in which nothing was measured is no success"

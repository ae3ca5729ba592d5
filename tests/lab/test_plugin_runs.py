"""Runs of pytest against real labs: what they find, that workers share it, and that nothing stays, however a run ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from running_lab import RunningLab, submariner_lab

from pytest_submariner.kube.client import KubeClient
from pytest_submariner.kube.ownership import OWNER, OWNER_LABEL

HOME = str(Path.home())
PATHS = """
import pytest

PATHS = ["pod.ngw.c1--pod.gw.c2--tcp", "hostpod.ngw.c1--svc.gw.c2--udp", "pod.gw.c2--pod.ngw.c1--icmp"]

@pytest.mark.parametrize("path", PATHS)
def test_path(assert_path, path):
    assert_path(path)
"""
SLEEPS = """
import time

def test_sleeps(assert_path, clusters):
    assert_path("pod.gw.c1--pod.gw.c2--tcp")
    open("ready", "w").write(clusters["c1"].kubeconfig)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def clean_environment(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", HOME)  # where labs are listed; pytester gives every test another
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:asyncio")
    monkeypatch.delenv("SUBMARINER_TESTS_MUST_RUN", raising=False)


def running() -> set[str]:
    return {lab["name"] for lab in json.loads(submariner_lab("status", "--json").stdout)}


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within 30 s"
        time.sleep(0.1)


def interrupted(pytester: pytest.Pytester, signal_number: int, *arguments: str) -> str:
    """Start a run, and end it by a signal once it has measured a path. The kubeconfig it used."""
    pytester.makepyfile(SLEEPS)
    ready = pytester.path / "ready"
    with (pytester.path / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments], cwd=pytester.path, stdout=output, stderr=subprocess.STDOUT
        )
        wait_for(lambda: (ready.exists() and ready.read_text()) or process.poll() is not None, "a measured path")
        process.send_signal(signal_number)
        process.wait(60)
    assert ready.exists(), (pytester.path / "output.txt").read_text()
    return ready.read_text()


def test_workers_share_one_lab_which_ends_with_the_run(pytester: pytest.Pytester, lab: RunningLab) -> None:
    pytester.makepyfile(PATHS)
    pytester.makeconftest("""
        def pytest_submariner_path_finished(config, result):
            from pytest_submariner.keys import SESSION
            with open("labs.txt", "a") as file:
                file.write(config.stash[SESSION].world.lab["name"] + "\\n")
    """)
    result = pytester.runpytest_subprocess("-n2", "--submariner-results=results.json")
    assert result.parseoutcomes() == {"passed": 3}, result.stdout.str()
    (name,) = set((pytester.path / "labs.txt").read_text().split())
    assert name.startswith("pytest-")
    assert name not in running()
    assert lab.name in running()
    data = json.loads((pytester.path / "results.json").read_text())
    assert {node["role"] for cluster in data["clusters"] for node in cluster["nodes"]} == {"gateway", "non-gateway"}
    assert data["timings"]["boot_s"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_lab_ends_with_a_run_that_does_not_end_well(pytester: pytest.Pytester, number: signal.Signals) -> None:
    kubeconfig = interrupted(pytester, number)
    (name,) = (part for part in kubeconfig.split("/") if part.startswith("pytest-"))
    wait_for(lambda: name not in running(), f"the end of lab {name}")


def test_what_a_killed_run_left_in_clusters_is_cleaned(pytester: pytest.Pytester, lab: RunningLab) -> None:
    interrupted(pytester, signal.SIGKILL, f"--submariner-lab={lab.name}")
    kube = KubeClient(lab.kubeconfig, "c1")

    def left() -> set[str]:
        return {str(found["metadata"]["name"]) for found in kube.list("namespaces", labels=f"{OWNER_LABEL}={OWNER}")}

    (name,) = left()
    result = pytester.runpytest_subprocess("--submariner-cleanup", f"--submariner-lab={lab.name}")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"submariner: c1 (context c1): removed namespace {name}"])
    wait_for(lambda: not left(), f"the end of namespace {name}")
    kube.close()


@pytest.mark.parametrize("how", ["pod", "ssh"])
def test_nodes_are_reached_and_read(pytester: pytest.Pytester, lab: RunningLab, how: str) -> None:
    pytester.makepyfile(f"""
        def test_it(non_gateway_node, node_exec, node_state, submariner_lab):
            node = non_gateway_node("c2")
            assert node_exec(node).transport.name == {how!r}
            assert node_exec(node).check(["hostname"]).text.strip() == "c2-w1"
            assert "vx-submariner" in {{link.name for link in node_state(node).links}}
            assert submariner_lab.exec("c2-w1", "hostname").stdout.strip() == "c2-w1"
    """)
    result = pytester.runpytest_subprocess(f"--submariner-lab={lab.name}", f"--submariner-exec={how}")
    assert result.parseoutcomes() == {"passed": 1}, result.stdout.str()


def test_the_lab_as_any_other_clusters(pytester: pytest.Pytester, lab: RunningLab) -> None:
    pytester.makepyfile(PATHS)
    result = pytester.runpytest_subprocess(
        f"--submariner-kubeconfig={lab.kubeconfig}", "--submariner-context=c2", "--submariner-context=c1"
    )
    assert result.parseoutcomes() == {"passed": 3}, result.stdout.str()
    result.stdout.fnmatch_lines(["c1 is c2: *"])


def test_two_names_of_one_cluster(pytester: pytest.Pytester, lab: RunningLab) -> None:
    pytester.makepyfile(PATHS)
    other = pytester.path / "other"
    other.write_bytes(Path(lab.kubeconfig).read_bytes())
    files = [f"--submariner-kubeconfig={file}" for file in (lab.kubeconfig, other)]
    result = pytester.runpytest_subprocess(*files, "--submariner-context=c1", "--submariner-context=c1")
    assert result.parseoutcomes() == {"errors": 3}
    result.stdout.fnmatch_lines(["c1 (context c1) and c2 (context c1) are both cluster ID c1: *name another context"])

"""A finished run of two clusters whose worker in c1 lost its SNAT rule, as plain data; and golden files.

`REGENERATE_GOLDEN=1 ./dev test tests/report` writes the golden files anew: read the difference before you commit it.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_submariner.model.finding import Evidence, EvidenceKind, Finding
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.model.verdict import Expectation, SourceExpectation, Verdict
from pytest_submariner.report.recorder import Recorder

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares a text with a file of golden/."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if os.environ.get("REGENERATE_GOLDEN"):
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8"), f"{name} differs; REGENERATE_GOLDEN=1 writes it anew"

    return compare


@pytest.fixture
def topology() -> Topology:
    return _topology()


def _topology() -> Topology:
    def cluster(number: int) -> Cluster:
        position = f"c{number}"
        return Cluster(
            position=position,
            context=position,
            kubeconfig="/somewhere/kubeconfig",
            cluster_id=f"cluster{number}",
            nodes=(
                Node(f"{position}-gw", position, Role.GATEWAY, f"172.18.0.{number}1"),
                Node(f"{position}-w1", position, Role.NON_GATEWAY, f"172.18.0.{number}2"),
            ),
            pod_cidrs=(f"10.{7 + number}.0.0/16",),
            service_cidrs=(f"100.{7 + number}.0.0/16",),
            network_plugin="generic",
            cable_driver="vxlan",
            submariner_version="0.19.0",
            kubernetes_version="v1.34.0",
        )

    return Topology((cluster(1), cluster(2)), "lab")


@pytest.fixture
def blocked() -> PathResult:
    return _blocked()


def _blocked() -> PathResult:
    """A host-network path between clusters that nobody answered."""
    return PathResult(
        "hostpod.ngw.c1--pod.ngw.c2--tcp",
        Expectation.OK,
        Verdict.BLOCKED,
        attempts=2,
        source_expected=SourceExpectation.NODE,
        detail="no answer within 2 s",
        evidence=("connect: timed out after 2 s", "the listener saw nobody"),
        source_node="c1-w1",
        target_node="c2-w1",
        target_address="10.9.2.4:1234",
        command="submariner-lab exec c1-w1 -- nc 10.9.2.4 1234",
        suite="cross_cluster",
        nodeid="suites/cross_cluster/test_host_network.py::test_path[hostpod.ngw.c1--pod.ngw.c2--tcp]",
        subctl_spec="Basic TCP …",
        duration_s=4.1,
    )


@pytest.fixture
def snat_missing() -> Finding:
    return _snat_missing()


def _snat_missing() -> Finding:
    return Finding(
        code="NF_HOSTNET_SNAT_MISSING",
        cluster="c1",
        node="c1-w1",
        object="nat/SUBMARINER-POSTROUTING",
        evidence=(
            Evidence(EvidenceKind.STATE, "no SNAT rule for 240.0.0.0/8 towards vx-submariner"),
            Evidence(EvidenceKind.TRAFFIC, "SYN left vx-submariner with source 240.18.0.12"),
        ),
        remedy="restart the route agent on c1-w1; it writes the rule anew",
        paths=("hostpod.ngw.c1--pod.ngw.c2--tcp", "hostpod.ngw.c1--pod.gw.c2--tcp"),
    )


@pytest.fixture
def story() -> PathResult:
    return _story()


def _story() -> PathResult:
    """The ping of issue 3134."""
    return PathResult(
        "hostpod.ngw.c1--vx.gw.c1--icmp",
        Expectation.BY_DESIGN,
        Verdict.BY_DESIGN,
        attempts=1,
        answered=False,
        detail="its source was rewritten to 10.8.2.1",
        evidence=(
            "rule: -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.2.1",
            "its counter rose by 3 packets",
        ),
        source_node="c1-w1",
        target_node="c1-gw",
        target_address="240.18.0.11",
        suite="intra_cluster",
        nodeid="suites/intra_cluster/test_vx_submariner.py::test_ping",
    )


@pytest.fixture
def recorder() -> Recorder:
    return finished_run()


@pytest.fixture(scope="session")
def failing_run() -> Recorder:
    """The same run for tests that only read it."""
    return finished_run()


def finished_run() -> Recorder:
    blocked, story = _blocked(), _story()
    recorder = Recorder(
        provider="lab", started="2030-01-02T03:04:05+00:00", planned=35, duration_s=12.345, topology=_topology()
    )
    recorder.add_timing("boot_s", 1.25)
    recorder.add_timing("probe_s", 0.5)
    recorder.note("nodes are reached by pod exec")
    places = ("gw", "ngw")
    for kind, place, target, far, protocol in itertools.product(
        ("pod", "hostpod"), places, ("pod", "svc"), places, ("tcp", "udp", "icmp")
    ):
        path_id = f"{kind}.{place}.c1--{target}.{far}.c2--{protocol}"
        if (target, protocol) != ("svc", "icmp"):
            recorder.add(_fine(path_id))
    recorder.add(_fine("gateway.gw.c1--gateway.gw.c2--status", detail="connected, 0.2 ms"))
    recorder.add(_fine("pod.gw.c1--pod.ngw.c2--tcp", attempts=3))
    recorder.add(blocked)
    recorder.add(_like(blocked, "hostpod.ngw.c1--pod.gw.c2--tcp", Verdict.BLOCKED, "no answer within 2 s"))
    recorder.add(_like(blocked, "hostpod.ngw.c1--svc.gw.c2--udp", Verdict.WRONG_SOURCE, "", seen="240.18.0.12"))
    recorder.add(
        _like(blocked, "pod.gw.c1--svc.gw.c2--tcp--bulk", Verdict.STALLED, "stopped after 65536 of 1048576 bytes")
    )
    recorder.add(_like(blocked, "pod.ngw.c1--pod.gw.c2--icmp", Verdict.ERROR, "pod exec: connection refused"))
    recorder.add(_like(blocked, "pod.ngw.c1--pod.ngw.c2--tcp--pmtu", Verdict.SKIPPED, "needs ping with -M do"))
    recorder.add(story)
    recorder.add_finding(_snat_missing())
    recorder.comparison = {
        "source": "reports/subctl.xml",
        "specs": [
            {
                "id": "TCP-09",
                "name": "Basic TCP …",
                "path_id": "hostpod.ngw.c1--pod.ngw.c2--tcp",
                "subctl": "passed",
                "ours": "blocked",
                "agree": False,
                "reason": None,
                "evidence": {"subctl": ["passed after 1.0 s"], "ours": ["blocked: no answer within 2 s"]},
            }
        ],
        "agree": 11,
        "disagree": 1,
        "not_compared": 36,
    }
    return recorder


def _fine(path_id: str, *, attempts: int = 1, detail: str = "") -> PathResult:
    case = PathCase.parse(path_id)
    return PathResult(
        path_id,
        Expectation.OK,
        Verdict.OK,
        attempts=attempts,
        rtt_ms=0.25,
        source_expected=SourceExpectation.PRESERVED,
        source_seen="10.8.2.10",
        detail=detail,
        source_node=f"{case.source.cluster}-{'gw' if case.source.place == 'gw' else 'w1'}",
        target_node=f"{case.target.cluster}-{'gw' if case.target.place == 'gw' else 'w1'}",
        suite="cross_cluster",
        nodeid=f"suites/cross_cluster/test_paths.py::test_path[{path_id}]",
    )


def _like(result: PathResult, path_id: str, verdict: Verdict, detail: str, *, seen: str | None = None) -> PathResult:
    return PathResult(
        path_id,
        Expectation.OK,
        verdict,
        attempts=0 if verdict in (Verdict.ERROR, Verdict.SKIPPED) else 2,
        source_expected=result.source_expected,
        source_seen=seen,
        detail=detail,
        source_node=result.source_node,
        target_node=result.target_node,
        suite=result.suite,
        nodeid=f"suites/cross_cluster/test_paths.py::test_path[{path_id}]",
    )


ITEMS = """
import pytest
from pytest_submariner.model.finding import Evidence, EvidenceKind, Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.errors import PathFailed
from pytest_submariner.report import allure
from pytest_submariner.report.text import failure

BLOCKED = PathResult.from_dict({blocked!r})
STORY = PathResult.from_dict({story!r})
EVIDENCE = (Evidence(EvidenceKind.STATE, "no rule"),)
FINDING = Finding("NF_HOSTNET_SNAT_MISSING", "c1", "c1-w1", "nat/X", EVIDENCE, "mend it", (BLOCKED.id,))

def test_blocked(request):
    assert allure.is_active(request.config)
    allure.record(BLOCKED, [FINDING])
    raise PathFailed(failure(BLOCKED, [FINDING]))

def test_story():
    allure.record(STORY)

@pytest.mark.parametrize("path", ["pod.gw.c1--pod.gw.c2--tcp", "pod.gw.c1--pod.gw.c2--udp"])
def test_skipped(path, skipping):
    pass

@pytest.fixture
def skipping(path):
    allure.record(PathResult.from_dict({{**STORY.to_dict(), "id": path, "verdict": "skipped"}}))
    pytest.skip("no second node")

def test_many():
    allure.record_many([BLOCKED, BLOCKED])

def test_foreign():
    allure.describe("name:svc@c2")

def test_spec():
    allure.describe_spec("SD-01", "finds a service", None)

def test_spec_with_path():
    allure.describe_spec("TCP-04", "a long title", "pod.gw.c1--pod.gw.c2--tcp")
"""


@pytest.fixture(scope="session")
def allure_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run with allure-pytest: a blocked path, the ping of issue 3134, and items of other kinds."""
    folder = tmp_path_factory.mktemp("allure")
    blocked = {**_blocked().to_dict(), "detail": 'no "answer", yet'}
    (folder / "test_items.py").write_text(ITEMS.format(blocked=blocked, story=_story().to_dict()), encoding="utf-8")
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:submariner",
        "-p",
        "no:cacheprovider",
        "--alluredir=results",
    ]
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert "1 failed, 5 passed, 2 skipped" in done.stdout, done.stdout + done.stderr
    return folder / "results"

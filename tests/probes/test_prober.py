"""The prober against clusters in memory: what it makes, how often it asks, and what it does when it cannot."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from probe_cluster import ProbeCluster

from pytest_submariner.errors import ExecTimeout, ExitStatusLost, NodeUnreachable, TransportError
from pytest_submariner.kube.errors import AccessDenied, ApiError
from pytest_submariner.kube.ownership import EXPIRES_ANNOTATION, OWNER, OWNER_LABEL
from pytest_submariner.model.path import PathCase, Protocol
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.paths.cases import cases, vx_ping
from pytest_submariner.probes import asking
from pytest_submariner.probes.prober import Prober

PATH = "pod.ngw.c1--pod.gw.c2--tcp"


def topology() -> Topology:
    return Topology(
        tuple(
            Cluster(
                position,
                position,
                None,
                position,
                (
                    Node(f"{position}-gw", position, Role.GATEWAY, f"172.18.{number}.1"),
                    Node(f"{position}-w1", position, Role.NON_GATEWAY, f"172.18.{number}.2"),
                ),
                pod_cidrs=(f"10.0.{number}.0/24",),
            )
            for number, position in enumerate(("c1", "c2"), 1)
        ),
        "test",
    )


class Bench:
    """A prober and its two clusters."""

    def __init__(self, *, keep: bool = False) -> None:
        self.clusters = {"c1": ProbeCluster(1), "c2": ProbeCluster(2)}
        for cluster in self.clusters.values():
            cluster.world = list(self.clusters.values())
        settings = SimpleNamespace(image="python", timeout=1.0, keep=keep, rate=None, pods_per_node=3)
        kube: Any = self.clusters.__getitem__
        self.prober = Prober(topology(), kube, settings, run_id="ab12")

    def measure(self, *paths: str) -> dict[str, PathResult]:
        return self.prober.measure([PathCase.parse(path) for path in paths])

    def verdict(self, path: str = PATH) -> tuple[Verdict, str]:
        result = self.measure(path)[path]
        return result.verdict, result.detail


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(asking, "PAUSE_S", 0.0)
    return Bench()


def traffic() -> list[PathCase]:
    every = [*cases("intra_cluster", ["c1", "c2"]), *cases("cross_cluster", ["c1", "c2"])]
    return [c for c in every if c.protocol is not Protocol.STATUS and c not in (vx_ping("c1"), vx_ping("c2"))]


def test_a_healthy_network_is_ok_and_asked_once_per_source(bench: Bench) -> None:
    results = bench.prober.measure(traffic())
    assert list(results) == [case.id for case in traffic()]
    unmet = {r.id for r in results.values() if r.verdict is Verdict.SKIPPED}
    assert all("ngw.c1--" in i and i.split("--")[1].startswith(("pod.ngw.c1", "hostpod.ngw.c1", "svc.ngw.c1", "node.ngw.c1"))
               for i in unmet if ".c1" in i)  # fmt: skip
    wrong = [(r.id, r.detail) for r in results.values() if r.verdict is not Verdict.OK and r.id not in unmet]
    assert wrong == []
    for cluster in bench.clusters.values():
        assert sorted(pod for pod, _ in cluster.conversations) == sorted(
            pod for pod in cluster.pods if not pod.startswith("peer-")
        )


def test_requests_grow_with_nodes_and_not_with_paths(bench: Bench) -> None:
    bench.prober.measure(traffic())
    made = Counter(bench.clusters["c1"].requests)
    # Two nodes: a pod, its peer and a host-network pod each; a Service for each pod and each peer.
    assert made["create pods"] == 6
    assert made["create services"] == 4
    assert made["create namespaces"] == 1
    assert made["wait pods"] == 1


def test_a_second_measurement_makes_nothing_new(bench: Bench) -> None:
    bench.measure(PATH)
    before = len(bench.clusters["c1"].requests)
    assert bench.measure(PATH)[PATH].verdict is Verdict.OK
    assert len(bench.clusters["c1"].requests) == before
    assert bench.clusters["c1"].conversations == [("pod-c1-w1", 1)] * 2


def test_only_what_the_selected_paths_need_is_made(bench: Bench) -> None:
    bench.measure("hostpod.ngw.c1--node.gw.c1--icmp")
    assert list(bench.clusters["c1"].pods) == ["host-c1-w1"]
    assert bench.clusters["c2"].requests == []


def test_a_result_tells_how_to_repeat_it(bench: Bench) -> None:
    result = bench.measure(PATH)[PATH]
    assert (result.source_node, result.target_node) == ("c1-w1", "c2-gw")
    assert result.source_seen == bench.clusters["c1"].pods["pod-c1-w1"]["status"]["podIP"]
    assert f"ask tcp {result.target_address} " in result.command
    assert any("kp_packetfilter.go" in line for line in result.evidence)
    assert result.attempts == 1
    assert PathResult.from_dict(result.to_dict()) == result


def test_could_not_ask_is_asked_again(bench: Bench) -> None:
    bench.clusters["c1"].troubles["pod-c1-w1"] = [(0, NodeUnreachable("503")), (1, ExitStatusLost("cut"))]
    assert bench.verdict()[0] is Verdict.OK
    assert len(bench.clusters["c1"].conversations) == 3


@pytest.mark.parametrize(
    ("trouble", "verdict", "asked", "why"),
    [
        ((0, NodeUnreachable("refused")), Verdict.ERROR, 3, "could not ask: pod pod-c1-w1 on c1-w1: refused"),
        ((1, ExitStatusLost("cut")), Verdict.INCONCLUSIVE, 3, "broke off after 1 lines: cut"),
        ((0, AccessDenied("403")), Verdict.ERROR, 1, "could not ask: pod pod-c1-w1 on c1-w1: 403"),
        ((0, TransportError("ended with status 127: python3: not found")), Verdict.ERROR, 1, "python3: not found"),
        ((2, ExecTimeout("20 s")), Verdict.INCONCLUSIVE, 1, "the agent did not answer in time: 20 s"),
        ((2, None), Verdict.INCONCLUSIVE, 1, "broke off after 2 lines: its trailer is missing"),
        ((0, None), Verdict.INCONCLUSIVE, 1, "broke off after 0 lines"),
    ],
)
def test_the_retry_rule(
    bench: Bench, trouble: tuple[int, Exception | None], verdict: Verdict, asked: int, why: str
) -> None:
    bench.clusters["c1"].troubles["pod-c1-w1"] = [trouble] * 5
    found, detail = bench.verdict()
    assert found is verdict
    assert why in detail
    assert len(bench.clusters["c1"].conversations) == asked


def test_a_dead_pod_is_an_error_that_tells_how_it_died(bench: Bench) -> None:
    bench.measure(PATH)
    ended = {"exitCode": 1, "reason": "Error", "message": "cannot listen on port 29000: EADDRINUSE"}
    bench.clusters["c1"].pods["pod-c1-w1"]["status"].update(
        phase="Failed", containerStatuses=[{"name": "probe", "state": {"terminated": ended}}]
    )
    bench.clusters["c1"].troubles["pod-c1-w1"] = [(0, NodeUnreachable("container not found"))] * 5
    verdict, detail = bench.verdict()
    assert verdict is Verdict.ERROR
    assert (
        "pod pod-c1-w1 on c1-w1 died: Failed, exit status 1, Error, cannot listen on port 29000: EADDRINUSE" in detail
    )
    assert len(bench.clusters["c1"].conversations) == 2


def test_a_pod_that_does_not_run_spoils_only_its_own_paths(bench: Bench) -> None:
    bench.clusters["c2"].broken["pod-c2-gw"] = "ErrImagePull"
    results = bench.measure(PATH, "pod.ngw.c1--pod.ngw.c2--tcp", "pod.gw.c2--pod.ngw.c1--tcp")
    assert [r.verdict for r in results.values()] == [Verdict.ERROR, Verdict.OK, Verdict.ERROR]
    assert results[PATH].detail == "could not ask: pod pod-c2-gw will not run: ErrImagePull"


def test_a_cluster_that_refuses_spoils_only_its_own_paths(bench: Bench) -> None:
    bench.clusters["c2"].refusals["namespaces"] = [ApiError("c2: namespaces is forbidden", 403, "Forbidden")]
    results = bench.measure(PATH, "pod.ngw.c1--pod.gw.c1--tcp")
    assert results[PATH].detail == "could not ask: c2: namespaces is forbidden"
    assert results["pod.ngw.c1--pod.gw.c1--tcp"].verdict is Verdict.OK


def test_a_new_namespace_may_lack_its_service_account_for_a_moment(bench: Bench) -> None:
    missing = ApiError(
        'pods "x" is forbidden: error looking up service account ns/default: serviceaccount "default" not found', 403
    )
    bench.clusters["c1"].refusals["pods"] = [missing]
    assert bench.verdict()[0] is Verdict.OK


def test_admission_that_refuses_is_told(bench: Bench) -> None:
    bench.clusters["c1"].refusals["pods"] = [ApiError("violates PodSecurity restricted", 403, "Forbidden")]
    verdict, detail = bench.verdict()
    assert verdict is Verdict.ERROR
    assert "violates PodSecurity" in detail


def test_unmet_requirements_are_skipped_without_asking(bench: Bench) -> None:
    result = bench.measure("pod.pgw.c1--pod.gw.c2--tcp")["pod.pgw.c1--pod.gw.c2--tcp"]
    assert result.verdict is Verdict.SKIPPED
    assert result.detail == "needs a passive gateway node in c1; it has c1-gw (active gateway), c1-w1 (non-gateway)"
    assert bench.clusters["c1"].requests == []


def test_a_path_nobody_promises_does_not_spoil_the_others(bench: Bench) -> None:
    results = bench.measure("pod.gw.c1--node.gw.c2--icmp", PATH)
    assert results["pod.gw.c1--node.gw.c2--icmp"].verdict is Verdict.ERROR
    assert "neither Kubernetes nor Submariner promises" in results["pod.gw.c1--node.gw.c2--icmp"].detail
    assert results[PATH].verdict is Verdict.OK


def test_a_masqueraded_source_is_wrong(bench: Bench) -> None:
    bench.clusters["c1"].agents["pod-c1-w1"] = lambda probe: {
        "outcome": "answered", "rtt_ms": 0.3, "seen": "241.18.1.1", "listener": "pod-c2-gw"
    }  # fmt: skip
    verdict, detail = bench.verdict()
    assert verdict is Verdict.WRONG_SOURCE
    assert "saw source 241.18.1.1; promised is the pod's own address" in detail


def test_the_vx_ping_needs_a_way_to_read_the_rule(bench: Bench) -> None:
    bench.clusters["c1"].troubles["host-c1-gw"] = [(0, NodeUnreachable("refused"))]
    result = bench.measure("hostpod.ngw.c1--vx.gw.c1--icmp")["hostpod.ngw.c1--vx.gw.c1--icmp"]
    assert result.verdict is Verdict.ERROR
    assert result.expected.value == "by-design"


def test_everything_is_removed_at_the_end(bench: Bench) -> None:
    bench.measure(PATH)
    bench.prober.close()
    assert [c.namespaces for c in bench.clusters.values()] == [{}, {}]
    asked = [len(c.requests) for c in bench.clusters.values()]
    bench.prober.close()
    assert [len(c.requests) for c in bench.clusters.values()] == asked


def test_keep_keeps() -> None:
    bench = Bench(keep=True)
    bench.measure(PATH)
    bench.prober.close()
    assert list(bench.clusters["c1"].namespaces) == ["submariner-conformance-ab12"]


def test_leftovers_of_dead_runs_are_removed_at_the_start(bench: Bench) -> None:
    def left(name: str, expires: str, **more: str) -> dict[str, Any]:
        labels = {OWNER_LABEL: OWNER}
        return {"metadata": {"name": name, "labels": labels, "annotations": {EXPIRES_ANNOTATION: expires}, **more}}

    spaces = bench.clusters["c1"].namespaces
    spaces["dead"] = left("dead", "1000")
    spaces["alive"] = left("alive", "99999999999")
    spaces["strange"] = left("strange", "tomorrow")
    spaces["ending"] = left("ending", "1000", deletionTimestamp="2026-01-01T00:00:00Z")
    spaces["foreign"] = {"metadata": {"name": "foreign", "labels": {OWNER_LABEL: "somebody"}}}
    bench.measure(PATH)
    assert sorted(spaces) == ["alive", "ending", "foreign", "strange", "submariner-conformance-ab12"]

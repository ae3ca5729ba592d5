"""Runs that nobody had: recorders as large, as healthy and as hostile as a report's test needs them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

from pytest_submariner.model.finding import Evidence, EvidenceKind, Finding
from pytest_submariner.model.path import Kind, PathCase, Protocol, Side
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.model.verdict import Expectation, SourceExpectation, Verdict
from pytest_submariner.paths.cases import SUITES, cases
from pytest_submariner.report.recorder import Recorder

HOSTILE = """"><script>alert('x')</script><img src=x onerror=alert(1)>{{7*7}}</script>&lt;`a`' \x00\x1b[31m\ud800"""
"""Whatever a cluster or a program could say, meant to break out of a page, a script, an attribute or a template."""

Judge = Callable[[PathCase], Verdict]


def topology(clusters: int = 2, workers: int = 1) -> Topology:
    """Clusters of one gateway node and some workers, on one underlay."""
    return Topology(tuple(_cluster(number, workers) for number in range(1, clusters + 1)), "lab")


def _cluster(number: int, workers: int) -> Cluster:
    position = f"c{number}"
    others = (
        Node(f"{position}-w{i}", position, Role.NON_GATEWAY, f"172.18.{number}.{i + 1}") for i in range(1, workers + 1)
    )
    return Cluster(
        position=position,
        context=position,
        kubeconfig=None,
        cluster_id=position,
        nodes=(Node(f"{position}-gw", position, Role.GATEWAY, f"172.18.{number}.1"), *others),
        pod_cidrs=(f"10.{7 + number}.0.0/16",),
        service_cidrs=(f"100.{7 + number}.0.0/16",),
        network_plugin="kindnet",
        cable_driver="vxlan",
        submariner_version="0.19.0",
        kubernetes_version="v1.31.0",
    )


def as_expected(case: PathCase) -> Verdict:
    """What a healthy run says of a case."""
    return Verdict.BY_DESIGN if case.target.kind is Kind.VX else Verdict.OK


def default_run(judge: Judge | None = None) -> Recorder:
    """The 280 paths of the default suites on two clusters with a worker each, with evidence as long as real ones have.
    `judge` says the verdict of a case; without it all are as expected."""
    every = [case for suite in SUITES for case in cases(suite, ("c1", "c2"))]
    return record(topology(), every, judge)


def mesh_run(workers: int, judge: Judge | None = None) -> Recorder:
    """Every ordered pair of nodes of two clusters by TCP: 9,900 paths with 49 workers each."""
    places = [("gw", 1), *(("ngw", i) for i in range(1, workers + 1))]
    ends = [Side(Kind.POD, place, cluster, ordinal) for cluster in ("c1", "c2") for place, ordinal in places]
    every = [PathCase(one, other, Protocol.TCP) for one, other in itertools.permutations(ends, 2)]
    return record(topology(2, workers), every, judge)


def record(world: Topology, every: Iterable[PathCase], judge: Judge | None = None) -> Recorder:
    """A finished run in which every case was asked once, or twice where it fails."""
    recorder = Recorder(provider="lab", started="2030-01-02T03:04:05+00:00", duration_s=12.3, topology=world)
    recorder.add_timing("boot_s", 1.25)
    recorder.note("node c1-w1 of c1 is reached by Route Agent pod submariner-operator/submariner-routeagent-s9q5v")
    for case in every:
        recorder.add(_result(case, (judge or as_expected)(case)))
    recorder.planned = len(recorder.results)
    return recorder


_KUBECTL = "kubectl --kubeconfig /home/somebody/.local/state/submariner-lab/pytest-690c69c0/kubeconfig"


def _result(case: PathCase, verdict: Verdict) -> PathResult:
    source, target = _node(case.source), _node(case.target)
    address = f"10.{7 + int(case.target.cluster[1:])}.{case.target.ordinal}.11"
    seen = f"10.{7 + int(case.source.cluster[1:])}.{case.source.ordinal}.10"
    fine = verdict in (Verdict.OK, Verdict.BY_DESIGN)
    happened = f"answered by pod pod-{target} on {target} ({address}), which saw {seen} (preserved)"
    return PathResult(
        case.id,
        Expectation.BY_DESIGN if case.target.kind is Kind.VX else Expectation.OK,
        verdict,
        attempts=1 if fine else 2,
        rtt_ms=0.51 if fine else None,
        source_expected=SourceExpectation.PRESERVED,
        source_seen=seen if fine else None,
        detail=happened
        if fine
        else f"pod pod-{target} on {target} ({address}) is not reachable: timeout in 2 attempts",
        evidence=(
            f"source pod-{source} on {source} connected from {seen} to {address}, port 41021, {case.protocol}",
            f"the listener on {target} saw {seen}; 3000 bytes each way in 0.51 ms"
            if fine
            else "the listener saw nobody",
            "promised: pods of joined clusters reach each other with their own addresses (submariner:test/e2e/dataplane/tcp.go)",
        ),
        source_node=source,
        target_node=target,
        target_address=address,
        command=f"{_KUBECTL} --context {case.source.cluster} exec pod-{source} -- nc -zv -w 5 {address} 41021",
        suite="cross_cluster" if case.is_cross_cluster else "intra_cluster",
        nodeid=f"suites/cross_cluster/test_pod_to_pod.py::test_pod_reaches[{case.id}]",
        duration_s=0.004,
    )


def _node(side: Side) -> str:
    return f"{side.cluster}-gw" if side.place == "gw" else f"{side.cluster}-w{side.ordinal}"


def overlay_link_down(recorder: Recorder, node: str = "c1-w1") -> Recorder:
    """With the finding that explains all that fails in it."""
    recorder.add_finding(
        Finding(
            code="OVERLAY_LINK_DOWN",
            cluster="c1",
            node=node,
            object="vx-submariner",
            evidence=(
                Evidence(EvidenceKind.STATE, f"vx-submariner on {node} is down: `ip -d link` says state DOWN"),
                Evidence(EvidenceKind.TRAFFIC, f"12 SYNs left pods on {node}; none was seen at vx-submariner of c1-gw"),
            ),
            remedy=f"Run `ip link set vx-submariner up` on {node}, or restart its route agent.",
            paths=tuple(result.id for result in recorder.failures()),
        )
    )
    return recorder


def cut_off(node: str) -> Judge:
    """Whatever crosses clusters from or to this node is blocked, and its ping of the gateway's vx-submariner: what a dead
    vx-submariner looks like."""

    def judge(case: PathCase) -> Verdict:
        ends = {_node(case.source), _node(case.target)}
        is_carried = case.is_cross_cluster and case.protocol is not Protocol.STATUS
        if node in ends and (is_carried or case.target.kind is Kind.VX):
            return Verdict.BLOCKED
        return as_expected(case)

    return judge


def hostile_run() -> Recorder:
    """A run in which whatever a cluster or a program could say is meant to break out."""
    world = topology()
    clusters = tuple(
        replace(
            cluster,
            cluster_id=HOSTILE,
            context=HOSTILE,
            network_plugin=HOSTILE,
            cable_driver=HOSTILE,
            submariner_version=HOSTILE,
            pod_cidrs=(HOSTILE,),
            nodes=(*cluster.nodes, Node(HOSTILE, cluster.position, Role.NON_GATEWAY, HOSTILE)),
        )
        for cluster in world.clusters
    )
    recorder = default_run(cut_off("c1-w1"))
    recorder.topology = Topology(clusters, HOSTILE)
    recorder.provider = HOSTILE
    recorder.note(HOSTILE)
    for result in recorder.results[:40]:
        ends = replace(result, source_node=HOSTILE, target_node=HOSTILE, target_address=HOSTILE, source_seen=HOSTILE)
        said = replace(ends, detail=HOSTILE, command=HOSTILE, evidence=(HOSTILE,))
        recorder.add(replace(said, suite=HOSTILE, nodeid=HOSTILE))
    recorder.add(replace(recorder.results[0], id=HOSTILE, verdict=Verdict.BLOCKED))
    evidence = (Evidence(EvidenceKind.STATE, HOSTILE), Evidence(EvidenceKind.TRAFFIC, HOSTILE))
    paths = tuple(result.id for result in recorder.failures())
    recorder.add_finding(Finding(HOSTILE, "c1", HOSTILE, HOSTILE, evidence, HOSTILE, paths))
    spec = {"id": HOSTILE, "name": HOSTILE, "path_id": HOSTILE, "subctl": HOSTILE, "ours": HOSTILE, "agree": False}
    recorder.comparison = {"source": HOSTILE, "specs": [spec], "agree": 0, "disagree": 1, "not_compared": 0}
    return recorder

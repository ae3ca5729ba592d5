"""Nodes against the model, for a whole run: what is read how often, and what becomes of what cannot be read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from observed import NODES, objects, state

from pytest_submariner import nodecheck
from pytest_submariner.dataplane.aspects import Aspect
from pytest_submariner.errors import ConformanceFailed, NodeUnreachable, ProbeInconclusive, RequirementUnmet
from pytest_submariner.model.nodestate import FdbEntry, NftTable, NodeState
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.nodecheck import NodeCase, NodeChecks, Place, judge
from pytest_submariner.session import Session

GATEWAY = Node("c1-gw", "c1", Role.GATEWAY, "172.18.0.11")
WORKER = Node("c1-w", "c1", Role.NON_GATEWAY, "172.18.0.12")
TOPOLOGY = Topology((Cluster("c1", "c1", None, "c1", (GATEWAY, WORKER), network_plugin="generic"),), "test")
LISTS = {
    "endpoints.submariner.io": objects("endpoints"),
    "clusters.submariner.io": objects("clusters"),
    "gateways.submariner.io": objects("gateways"),
    "nodes": NODES,
}
HEALTHY = {
    "c1-gw": replace(
        state("gateway", "c1-gw"),
        sysctls={**(state("gateway", "c1-gw").sysctls or {}), "net.ipv4.conf.all.send_redirects": "0"},
    ),
    "c1-w": state("non-gateway", "c1-w"),
}
ASTRAY = replace(HEALTHY["c1-w"], fdb=(FdbEntry("vx-submariner", "00:00:00:00:00:00", "172.18.9.9"),))
GW, NGW, PGW = (Place(place, "c1") for place in ("gw", "ngw", "pgw"))


@dataclass
class Clusters:
    """A session as far as node checks use one. `states` by node: the answers, in turn; the last one stays."""

    states: dict[str, list[NodeState | Exception]]
    probed: Topology = TOPOLOGY
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: dict(LISTS))
    reads: list[str] = field(default_factory=list)
    listed: list[tuple[str, str | None]] = field(default_factory=list)

    def cluster(self, position: str) -> Cluster:
        return self.probed.cluster(position)

    def kube(self, position: str) -> Clusters:
        return self

    def list(self, resource: str, *, namespace: str | None = None) -> list[dict[str, Any]]:
        self.listed.append((resource, namespace))
        return self.lists[resource]

    def node_exec(self, node: Node) -> Node:
        return node

    def read(self, node: Node, parts: Collection[str]) -> NodeState:
        self.reads.append(node.name)
        answers = self.states[node.name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> Clusters:
    made = Clusters({name: [healthy] for name, healthy in HEALTHY.items()})
    monkeypatch.setattr(nodecheck, "read_state", made.read)
    monkeypatch.setattr(nodecheck, "SETTLING_S", 0.0)
    return made


def checks(clusters: Clusters, *expected: Place) -> NodeChecks:
    return NodeChecks(cast(Session, clusters), expected)


def outcome(clusters: Clusters, place: Place, aspect: Aspect) -> None:
    judge(NodeCase(place, aspect), checks(clusters, place).check(NodeCase(place, aspect)))


def test_every_node_is_read_once_and_objects_too(clusters: Clusters) -> None:
    run = checks(clusters, GW, NGW, PGW)
    for place in (GW, NGW):
        for aspect in Aspect:
            judge(NodeCase(place, aspect), run.check(NodeCase(place, aspect)))
    assert sorted(clusters.reads) == ["c1-gw", "c1-w"]
    assert len(clusters.listed) == 4


def test_only_what_is_asked_for_is_read(clusters: Clusters) -> None:
    checks(clusters, NGW).check(NodeCase(NGW, Aspect.FDB))
    assert clusters.reads == ["c1-w"]


def test_copies_of_a_broker_in_the_same_cluster_do_not_count(clusters: Clusters) -> None:
    outcome(clusters, GW, Aspect.ROUTES)
    assert ("endpoints.submariner.io", "submariner-operator") in clusters.listed
    assert ("clusters.submariner.io", "submariner-operator") in clusters.listed


def test_a_deviation_that_stays_is_told_with_its_consequence(clusters: Clusters) -> None:
    clusters.states["c1-w"] = [ASTRAY]
    run = checks(clusters, NGW)
    with pytest.raises(ConformanceFailed) as failed:
        judge(NodeCase(NGW, Aspect.FDB), run.check(NodeCase(NGW, Aspect.FDB)))
    first, *rest = str(failed.value).splitlines()
    assert first.startswith(
        "Forwarding entries (FDB) of c1-w: expected 00:00:00:00:00:00 dev vx-submariner dst 172.18.0.11"
    )
    assert rest[0] == "c1-w (non-gateway node of c1):"
    assert [line.split(":")[0].strip() for line in rest[1:]] == ["expected", "found", "consequence"]
    assert clusters.reads == ["c1-w", "c1-w"]
    run.check(NodeCase(NGW, Aspect.FDB))
    judge(NodeCase(NGW, Aspect.ROUTES), run.check(NodeCase(NGW, Aspect.ROUTES)))
    assert clusters.reads == ["c1-w", "c1-w"], "a second look is enough for the run"


def test_a_node_that_is_about_to_change_gets_a_second_look(clusters: Clusters) -> None:
    clusters.states["c1-w"] = [ASTRAY, HEALTHY["c1-w"]]
    outcome(clusters, NGW, Aspect.FDB)
    assert clusters.listed.count(("nodes", None)) == 2


def test_a_node_out_of_reach_is_an_error_and_what_is_wrong_elsewhere_comes_first(clusters: Clusters) -> None:
    clusters.states["c1-w"] = [NodeUnreachable("c1-w: connection refused")]
    with pytest.raises(ProbeInconclusive, match="fdb of c1-w: c1-w: connection refused"):
        outcome(clusters, NGW, Aspect.FDB)
    second = Node("c1-w2", "c1", Role.NON_GATEWAY, "172.18.0.13")
    cluster = replace(TOPOLOGY.clusters[0], nodes=(GATEWAY, WORKER, second))
    clusters.probed = Topology((cluster,), "test")
    clusters.states["c1-w2"] = [ASTRAY]
    with pytest.raises(ConformanceFailed) as failed:
        outcome(clusters, NGW, Aspect.FDB)
    assert "c1-w: not judged: c1-w: connection refused" in str(failed.value)


def test_a_part_that_was_not_read_is_an_error(clusters: Clusters) -> None:
    clusters.states["c1-w"] = [replace(HEALTHY["c1-w"], ipsets=None, unread={"ipsets": "ipset: not found"})]
    with pytest.raises(ProbeInconclusive, match="ipsets of c1-w: ipsets could not be read: ipset: not found"):
        outcome(clusters, NGW, Aspect.IPSETS)
    outcome(clusters, NGW, Aspect.ROUTES)


def test_objects_that_are_incomplete_are_an_error(clusters: Clusters) -> None:
    clusters.lists["clusters.submariner.io"] = []
    with pytest.raises(ProbeInconclusive, match="no Cluster object for cluster ID c1"):
        outcome(clusters, GW, Aspect.LINKS)


@pytest.mark.parametrize(
    ("place", "plugin", "reason"),
    [
        (Place("gw", "c2"), "generic", r"needs cluster c2; this run has c1"),
        (PGW, "generic", r"needs a passive node in c1; it has c1-gw \(gateway\), c1-w \(non-gateway\)"),
        (GW, "OVNKubernetes", r"c1 runs OVN-Kubernetes"),
    ],
)
def test_what_is_skipped_and_why(clusters: Clusters, place: Place, plugin: str, reason: str) -> None:
    cluster = replace(TOPOLOGY.clusters[0], network_plugin=plugin)
    clusters.probed = Topology((cluster,), "test")
    with pytest.raises(RequirementUnmet, match=reason):
        outcome(clusters, place, Aspect.LINKS)
    assert clusters.reads == []


def test_an_aspect_the_model_does_not_know_is_skipped(clusters: Clusters) -> None:
    clusters.states["c1-w"] = [
        replace(HEALTHY["c1-w"], native_tables=(NftTable("ip", "submariner"),), packet_filters=())
    ]
    with pytest.raises(RequirementUnmet, match=r"ngw\.c1: Submariner's nftables driver"):
        outcome(clusters, NGW, Aspect.PACKET_FILTER)

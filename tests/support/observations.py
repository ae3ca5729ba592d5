"""Observations for the rules of the diagnosis: a healthy set of clusters, and variations of it.

`healthy()` is a lab in which every path works. Variations are functions from an Observation to another:

    seen = changed(healthy(), "c1-w1", routes=lambda routes: [r for r in routes if r.destination != "10.9.0.0/16"])
    seen = failing(seen, NODE, "c1")
    assert found(seen) == [("ROUTE_REMOTE_CIDR_MISSING", "c1", "c1-w1")]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any

from healthy_clusters import broker_objects, found_objects, node_state, view

from pytest_submariner.diagnose.catalogue import CAUSES
from pytest_submariner.diagnose.cause import Cause, Layer, Suspicion
from pytest_submariner.diagnose.engine import findings
from pytest_submariner.diagnose.flow import flows
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.trace import Rung, Sighting, Trace, Way
from pytest_submariner.lab.faults.signatures import Signature
from pytest_submariner.lab.spec import LabSpec, NodeSpec
from pytest_submariner.lab.submariner.topology import node_facts
from pytest_submariner.model.path import Kind, PathCase, Protocol, Side
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.paths.cases import SAME_NODE, cases, passive_cases
from pytest_submariner.paths.expectations import promise

Change = Any
"""A new value, or a function from the old one; a list becomes a tuple."""
_EVERY_SERVICE = 200
"""Last octet of a Service's ClusterIP, plus the number of its pod's node."""


@lru_cache
def healthy(
    *, clusters: int = 2, gateways: int = 1, workers: int = 2, cable: str = "vxlan", skip: tuple[str, ...] = ()
) -> Observation:
    """Every path of the role matrix, and those by TCP and ICMP of every further non-gateway node, works. `cable` is any driver:
    on the nodes stands what the kube-proxy handlers make, and of the cable only VXLAN's. `skip`: nodes that were not read. Made once:
    what rules compute from a node is kept with it."""
    spec = replace(LabSpec.make("test", clusters=clusters, gateways=gateways, workers=workers), cable=cable)
    topology = Topology(tuple(_cluster(spec, index) for index in range(clusters)), "lab")
    objects, sights = {}, {}
    for cluster in spec.clusters:
        found = found_objects(spec, cluster)
        objects[cluster.name] = ClusterObjects(cluster.name, found, broker=broker_objects(spec), clock_s=1_732_280_000)
        seen = view(cluster.name, found)
        for node in cluster.nodes:
            if node.name not in skip:
                facts = node_facts(node)
                sights[cluster.name, node.name] = NodeSight(
                    _node(node, spec),
                    topology.cluster(cluster.name),
                    node_state(node, facts, seen, cluster),
                    facts=facts,
                    view=seen,
                )
    results = [_result(case, topology, spec) for case in _cases(spec)]
    return Observation(topology, flows(filter(None, results), topology), objects, sights)


def changed(seen: Observation, node: str, *, after: bool = False, **parts: Change) -> Observation:
    """With other parts of a node's state, `routes=lambda routes: …`; `after`: of the state after the probes, which begins as the one
    before."""
    key, sight = _sight(seen, node)
    old = (sight.after or sight.before) if after else sight.before
    new = replace(old, **{name: _apply(change, getattr(old, name)) for name, change in parts.items()})
    return _with_sight(seen, key, replace(sight, after=new) if after else replace(sight, before=new))


def unread(seen: Observation, node: str, part: str) -> Observation:
    """With a part of a node's state that could not be read."""
    key, sight = _sight(seen, node)
    none: dict[str, Any] = {part: None}
    before = replace(sight.before, **none, unread={**sight.before.unread, part: "no such program"})
    return _with_sight(seen, key, replace(sight, before=before))


def counted(seen: Observation, node: str, **counters: int) -> Observation:
    """With kernel counters that rose by so much while probes ran: `counted(seen, "c1-gw", UdpNoPorts=12)`."""
    key, sight = _sight(seen, node)
    old = dict(sight.before.counters or {})
    new = {**old, **{name: old.get(name, 0) + rise for name, rise in counters.items()}}
    return _with_sight(seen, key, replace(sight, after=replace(sight.after or sight.before, counters=new)))


def with_facts(seen: Observation, node: str, **facts: Change) -> Observation:
    """With other facts of a node (hostname, cni_ip, …)."""
    key, sight = _sight(seen, node)
    assert sight.facts is not None
    return _with_sight(seen, key, replace(sight, facts=replace(sight.facts, **facts)))


def told(seen: Observation, position: str, **kinds: Change) -> Observation:
    """With other objects in a cluster's API, `told(seen, "c1", endpoints=lambda endpoints: …)`; what the model makes of them
    follows."""
    old = seen.objects[position]
    found = {**old.found, **{kind: _apply(change, old.found[kind]) for kind, change in kinds.items()}}
    new = view(seen.topology.cluster(position).cluster_id, found)
    sights = {key: replace(sight, view=new) if key[0] == position else sight for key, sight in seen.sights.items()}
    return replace(seen, objects={**seen.objects, position: replace(old, found=found)}, sights=sights)


def failing(
    seen: Observation, signature: Signature | str, cluster: str = "c1", verdict: Verdict = Verdict.BLOCKED
) -> Observation:
    """With the paths of a fault's signature, or of one pattern, not working; those that may fail too work."""
    signature = Signature((signature,)) if isinstance(signature, str) else signature
    others = [position for position in seen.objects if position != cluster]
    must, _ = signature.failing((flow.id for flow in seen.flows), cluster, others)
    assert must, f"no path matches {signature}"
    told_flows = (
        replace(flow, result=replace(flow.result, verdict=verdict)) if flow.id in must else flow for flow in seen.flows
    )
    return replace(seen, flows=tuple(told_flows))


def lost(
    seen: Observation,
    path: str,
    node: str,
    number: int,
    *,
    on: str = "",
    way: Way = Way.REQUEST,
    after: int | None = None,
) -> Observation:
    """With a trace of `path`, whose packets were seen up to rung `after` (the one before `number`), which is on the node `on`, and
    not at `number`, which is on `node`."""
    key, _ = _sight(seen, node)
    before = _sight(seen, on or node)[0]
    last = number - 1 if after is None else after
    rungs = [Rung(way, last, *before, "", "out"), Rung(way, number, *key, "", "in")]
    trace = Trace(path, (Sighting(rungs[0], 2), Sighting(rungs[1], 0)), tools={node: "tcpdump"})
    return replace(seen, traces={**seen.traces, path: trace})


def suspicions(seen: Observation, *causes: Cause) -> list[tuple[str, Suspicion]]:
    """What the rules say, before anything is weighed: by code; of all causes when none is given."""
    return [(cause.code, suspicion) for cause in causes or CAUSES for suspicion in cause.rule(seen)]


def found(seen: Observation, *causes: Cause) -> list[tuple[str, str, str]]:
    """(code, cluster, node) of each finding, in order; by all causes when none is given."""
    return [(finding.code, finding.cluster, finding.node) for finding in findings(seen, causes or CAUSES)]


def of_layers(*layers: Layer) -> tuple[Cause, ...]:
    """The causes of some chapters, for tests that need no others: each costs some milliseconds."""
    return tuple(cause for cause in CAUSES if cause.layer in layers)


def _apply(change: Change, old: Any) -> Any:
    new = change(old) if callable(change) else change
    return tuple(new) if isinstance(new, list | Iterator) else new


def _sight(seen: Observation, node: str) -> tuple[tuple[str, str], NodeSight]:
    return next((key, sight) for key, sight in seen.sights.items() if key[1] == node)


def _with_sight(seen: Observation, key: tuple[str, str], sight: NodeSight) -> Observation:
    return replace(seen, sights={**seen.sights, key: sight})


def _cluster(spec: LabSpec, index: int) -> Cluster:
    cluster = spec.clusters[index]
    return Cluster(
        position=cluster.name,
        context=cluster.name,
        kubeconfig=None,
        cluster_id=cluster.name,
        nodes=tuple(_node(node, spec) for node in cluster.nodes),
        pod_cidrs=(cluster.pod_cidr,),
        service_cidrs=(cluster.service_cidr,),
        network_plugin="kindnet",
        cable_driver=spec.cable,
        submariner_version="0.19.0",
        kubernetes_version="1.32.0",
    )


def _node(node: NodeSpec, spec: LabSpec) -> Node:
    active = spec.cluster(node.cluster).gateways[0]
    role = Role.GATEWAY if node is active else Role.PASSIVE if node.gateway else Role.NON_GATEWAY
    return Node(node.name, node.cluster, role, node.ip)


def _cases(spec: LabSpec) -> Iterator[PathCase]:
    positions = [cluster.name for cluster in spec.clusters]
    every = [case for suite in ("cross_cluster", "intra_cluster") for case in cases(suite, positions)]
    if any(len(cluster.gateways) > 1 for cluster in spec.clusters):
        every += [case for pair in product(positions, positions) for case in passive_cases(*pair)]
    yield from every
    workers = len(spec.clusters[0].nodes) - len(spec.clusters[0].gateways)
    for case, number in product(every, range(2, workers + 1)):
        if case.tags or case.protocol not in (Protocol.TCP, Protocol.ICMP) or Kind.VX is case.target.kind:
            continue
        for ends in ((case.source,), (case.target,), (case.source, case.target)):
            if all(side.place == "ngw" for side in ends) and (case.is_cross_cluster or len(ends) == 1):
                source, target = (_numbered(s, number) if s in ends else s for s in (case.source, case.target))
                yield PathCase(source, target, case.protocol)


def _numbered(side: Side, ordinal: int) -> Side:
    return replace(side, ordinal=ordinal)


def _result(case: PathCase, topology: Topology, spec: LabSpec) -> PathResult | None:
    source = _end(case.source, topology)
    target = _end(case.target, topology)
    between = case.source == case.target and SAME_NODE not in case.tags and not case.is_cross_cluster
    if between and target is not None:
        target = topology.cluster(target.cluster).node_at("ngw", 2)
    if source is None or target is None:
        return None
    said = promise(case)
    return PathResult(
        case.id,
        said.expected,
        Verdict.OK if case.target.kind is not Kind.VX else Verdict.BY_DESIGN,
        attempts=1,
        source_expected=said.source,
        source_node=source.name,
        target_node=target.name,
        source_address=_address(case.source.kind, source, spec),
        target_address=_address(case.target.kind, target, spec, 11),
        suite="cross_cluster" if case.is_cross_cluster else "intra_cluster",
    )


def _end(side: Side, topology: Topology) -> Node | None:
    return topology.cluster(side.cluster).node_at(side.place, side.ordinal)


def _address(kind: Kind, node: Node, spec: LabSpec, host: int = 10) -> str:
    cluster, laid = spec.cluster(node.cluster), spec.node(node.name)
    if kind is Kind.POD:
        return laid.pod_cidr.replace(".0/24", f".{host}")
    if kind is Kind.SVC:
        return cluster.service_cidr.replace(".0.0/16", f".7.{_EVERY_SERVICE + cluster.nodes.index(laid)}")
    return f"240.{node.internal_ip.split('.', 1)[1]}" if kind is Kind.VX else node.internal_ip

"""Nodes against the model: their states, read once per run, several at a time, and compared aspect by aspect.

Works on what any cluster offers: objects by its API, states by the transport of the settings."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_submariner.dataplane import aspects
from pytest_submariner.dataplane.aspects import Aspect
from pytest_submariner.dataplane.constants import OPERATOR_NAMESPACE
from pytest_submariner.dataplane.deviation import Deviation
from pytest_submariner.dataplane.facts import cluster_view, node_facts
from pytest_submariner.dataplane.view import ClusterView
from pytest_submariner.errors import ConformanceFailed, ProbeInconclusive, RequirementUnmet, SubmarinerError
from pytest_submariner.model.nodestate import NodeState
from pytest_submariner.model.topology import Cluster, Node, Role
from pytest_submariner.nodestate import read_state

if TYPE_CHECKING:
    from pytest_submariner.session import Session

AT_ONCE = 16
"""Nodes read at the same time."""
SETTLING_S = 1.0
"""Agents follow the objects; a node that deviates is looked at once more after this time, objects and all."""
OVN_KUBERNETES = "OVNKubernetes"


@dataclass(frozen=True)
class Place:
    """Nodes of one role in one cluster; `place` as in path ids."""

    place: str
    cluster: str

    def __str__(self) -> str:
        return f"{self.place}.{self.cluster}"

    @property
    def role(self) -> Role:
        return next(role for role in Role if role.place == self.place)

    @property
    def title(self) -> str:
        words = {Role.GATEWAY: "the active gateway node", Role.PASSIVE: "passive gateway nodes"}
        return f"{words.get(self.role, 'non-gateway nodes')} of {self.cluster}"


@dataclass(frozen=True, repr=False)
class NodeCase:
    """What one item asks: all nodes of a place, in one aspect."""

    place: Place
    aspect: Aspect

    def __repr__(self) -> str:
        return f"{self.place}-{self.aspect.value}"

    @property
    def title(self) -> str:
        return f"{self.aspect.label} of {self.place.title}: as the objects demand"


@dataclass(frozen=True)
class Objects:
    """The view of a cluster, and annotations of its Nodes by name."""

    view: ClusterView
    annotations: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Checked:
    """One node in one aspect: its deviations, or why it could not be judged (`error`), or why it is not (`skipped`)."""

    node: Node
    deviations: tuple[Deviation, ...] = ()
    error: SubmarinerError | None = None
    skipped: str = ""


class NodeChecks:
    """Of one run. `expected`: places whose nodes will be asked for; the first question reads them all."""

    def __init__(self, session: Session, expected: Iterable[Place]) -> None:
        self._session = session
        self._expected = tuple(dict.fromkeys(expected))
        self._objects: dict[str, Objects | SubmarinerError] = {}
        self._states: dict[Node, NodeState | SubmarinerError] = {}
        self._settled: set[Node] = set()

    def check(self, case: NodeCase) -> list[Checked]:
        """Every node of a place. RequirementUnmet when the run has no such cluster or node, or Submariner works differently there."""
        place, aspect = case.place, case.aspect
        nodes = self._nodes(place)
        others = [n for other in self._expected if other != place for n in self._known(other)]
        self._read([n for n in (*nodes, *others) if n not in self._states])
        found = [self._judge(node, aspect) for node in nodes]
        unsettled = [c.node for c in found if (c.deviations or c.error) and c.node not in self._settled]
        if unsettled:
            time.sleep(SETTLING_S)
            self._objects.pop(place.cluster, None)
            self._read(unsettled)
            self._settled.update(unsettled)
            found = [self._judge(node, aspect) for node in nodes]
        return found

    def _nodes(self, place: Place) -> tuple[Node, ...]:
        cluster = self._cluster(place)
        if cluster is None:
            known = ", ".join(c.position for c in self._session.probed.clusters)
            raise RequirementUnmet(f"needs cluster {place.cluster}; this run has {known}")
        if cluster.network_plugin == OVN_KUBERNETES:
            raise RequirementUnmet(
                f"{cluster.position} runs OVN-Kubernetes: Submariner has no vx-submariner there, and the model does not know its handler"
            )
        nodes = cluster.nodes_with(place.role)
        if not nodes:
            has = ", ".join(f"{node.name} ({node.role.value})" for node in cluster.nodes)
            raise RequirementUnmet(f"needs a {place.role.value} node in {cluster.position}; it has {has}")
        return nodes

    def _known(self, place: Place) -> tuple[Node, ...]:
        try:
            return self._nodes(place)
        except RequirementUnmet:
            return ()

    def _cluster(self, place: Place) -> Cluster | None:
        return next((c for c in self._session.probed.clusters if c.position == place.cluster), None)

    def _read(self, nodes: list[Node]) -> None:
        if not nodes:
            return
        with ThreadPoolExecutor(min(AT_ONCE, len(nodes)), thread_name_prefix="nodestate") as pool:
            self._states.update(zip(nodes, pool.map(self._state, nodes), strict=True))

    def _state(self, node: Node) -> NodeState | SubmarinerError:
        try:
            return read_state(self._session.node_exec(node), aspects.PARTS)
        except SubmarinerError as error:
            return error

    def _judge(self, node: Node, aspect: Aspect) -> Checked:
        state, objects = self._states[node], self._objects_of(node.cluster)
        for problem in (state, objects):
            if isinstance(problem, SubmarinerError):
                return Checked(node, error=problem)
        assert isinstance(state, NodeState)
        assert isinstance(objects, Objects)
        if why := aspects.not_modelled(aspect, state):
            return Checked(node, skipped=why)
        view = objects.view
        try:
            annotations = objects.annotations.get(node.name)
            facts = node_facts(node, state, view.cluster.pod_cidrs, remotes=view.remotes, annotations=annotations)
            return Checked(node, aspects.deviations_of(aspect, facts, view, state))
        except RequirementUnmet as unmet:
            return Checked(node, skipped=str(unmet))
        except SubmarinerError as error:
            return Checked(node, error=error)

    def _objects_of(self, position: str) -> Objects | SubmarinerError:
        if position not in self._objects:
            try:
                self._objects[position] = self._read_objects(self._session.cluster(position))
            except SubmarinerError as error:
                self._objects[position] = error
        return self._objects[position]

    def _read_objects(self, cluster: Cluster) -> Objects:
        kube = self._session.kube(cluster.position)
        gateways = kube.list("gateways.submariner.io")
        # A broker in the same cluster holds copies of its own, so the namespace counts.
        namespace = next((g["metadata"]["namespace"] for g in gateways), OPERATOR_NAMESPACE)
        nodes: list[dict[str, Any]] = kube.list("nodes")
        view = cluster_view(
            cluster.cluster_id,
            endpoints=kube.list("endpoints.submariner.io", namespace=namespace),
            clusters=kube.list("clusters.submariner.io", namespace=namespace),
            nodes=nodes,
            gateways=gateways,
        )
        return Objects(view, {n["metadata"]["name"]: n["metadata"].get("annotations") or {} for n in nodes})


def judge(case: NodeCase, checked: list[Checked]) -> None:
    """ConformanceFailed with the deviations of all nodes; else ProbeInconclusive when one could not be judged; else a skip
    (RequirementUnmet) when none is to be."""
    __tracebackhide__ = True
    if any(one.deviations for one in checked):
        raise ConformanceFailed(report(case.aspect, checked))
    errors = [one for one in checked if one.error is not None]
    if errors:
        raise ProbeInconclusive("\n".join(f"{case.aspect.value} of {one.node.name}: {one.error}" for one in errors))
    if all(one.skipped for one in checked):
        raise RequirementUnmet(f"{case.place}: {checked[0].skipped}")


def report(aspect: Aspect, checked: list[Checked]) -> str:
    """What is different, node by node. The first line is all that summaries show."""
    bad = [one for one in checked if one.deviations]
    first = bad[0].deviations[0]
    number = sum(len(one.deviations) for one in bad)
    more = f" (and {number - 1} more)" if number > 1 else ""
    lines = [
        f"{aspect.label} of {bad[0].node.name}: expected {first.expected or 'nothing'}, found {first.found or 'nothing'}{more}"
    ]
    for one in bad:
        lines.append(f"{one.node.name} ({one.node.role.value} node of {one.node.cluster}):")
        for deviation in one.deviations:
            lines += [f"  {line}" for line in deviation.lines()]
    lines += [f"{one.node.name}: not judged: {one.error}" for one in checked if one.error is not None]
    return "\n".join(lines)


def checks_of(config: pytest.Config, expected: Iterable[Place]) -> NodeChecks:
    """Those of the run: one for all items of a process."""
    from pytest_submariner.keys import SESSION

    if _CHECKS not in config.stash:
        config.stash[_CHECKS] = NodeChecks(config.stash[SESSION], expected)
    return config.stash[_CHECKS]


_CHECKS: pytest.StashKey[NodeChecks] = pytest.StashKey()

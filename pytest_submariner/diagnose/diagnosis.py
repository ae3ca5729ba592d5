"""A diagnosis: look at clusters and nodes, follow what fails, ask every cause, give findings.

Order: objects and node states, traced probes, node states again; then rules, which only read. So a finding's counters rose by the
probes of this diagnosis, and whatever it says can be said again offline from the same observation."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from pytest_submariner.diagnose.catalogue import CAUSES
from pytest_submariner.diagnose.cause import Cause
from pytest_submariner.diagnose.engine import findings
from pytest_submariner.diagnose.flow import Flow, flows
from pytest_submariner.diagnose.nodesight import NodeSight, sights
from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects
from pytest_submariner.diagnose.objects.reader import read_objects
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.repeating import repeated
from pytest_submariner.diagnose.tracing.trace import Trace
from pytest_submariner.diagnose.tracing.tracer import Tracer
from pytest_submariner.diagnose.unexplained import unexplained
from pytest_submariner.errors import SubmarinerError
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.model.finding import Finding
from pytest_submariner.model.nodestate import NodeState
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node, Role, Topology
from pytest_submariner.nodestate.state import read_state
from pytest_submariner.transport.node import NodeExec

logger = logging.getLogger(__name__)
EVERY_NODE = 24
"""Up to so many nodes all are looked at; above, those at the ends of failing paths, the gateways, and some for comparison."""
COMPARED = 2
AT_ONCE = 16
READ_S = 10.0


class Ask(Protocol):
    """Asks paths again, once and briefly; `probes.prober.Prober.measure` with one attempt."""

    def __call__(self, cases: Sequence[PathCase]) -> Mapping[str, PathResult]: ...


@dataclass(frozen=True)
class Diagnosed:
    """`findings` in order: what explains most first, cause before effect; `duration_s` of the whole diagnosis; `notes` on what could
    not be judged."""

    findings: tuple[Finding, ...]
    observation: Observation
    duration_s: float
    notes: tuple[str, ...] = ()


class Diagnosis:
    """Of one set of clusters. `kube` gives the API client of a position, `node_exec` runs commands on a node, `ask` asks paths again
    (None: nothing can be asked, so traces are missing)."""

    def __init__(
        self,
        topology: Topology,
        kube: Callable[[str], KubeClient],
        node_exec: Callable[[Node], NodeExec],
        ask: Ask | None = None,
    ) -> None:
        self._topology = topology
        self._kube = kube
        self._node_exec = node_exec
        self._ask = ask

    def explain(self, results: Iterable[PathResult]) -> Diagnosed:
        """Why those of `results` fail that do. Nothing raises: what cannot be read is named in the observation."""
        started = time.monotonic()
        observation = repeated(self.observe(flows(results, self._topology)), self._ask, self._node_exec)
        found, notes = conclude(observation)
        return Diagnosed(found, observation, time.monotonic() - started, notes)

    def observe(self, found: tuple[Flow, ...]) -> Observation:
        nodes = _worth_a_look(self._topology, found)
        failing = tuple(flow for flow in found if flow.fails)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="diagnose") as pool:
            objects = {c.position: pool.submit(self._objects, c.position, failing) for c in self._topology.clusters}
            read = {node: pool.submit(self._state, node) for node in nodes}
            states = {node: future.result() for node, future in read.items()}
            known = {position: future.result() for position, future in objects.items()}
        before = {node: state for node, state in states.items() if isinstance(state, NodeState)}
        seen = sights(self._topology, before, known)
        traces, notes = self._trace(failing, seen)
        after: dict[Node, NodeState] = {}
        if failing:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="diagnose") as pool:
                again = dict(zip(before, pool.map(self._state, before), strict=True))
            after = {node: state for node, state in again.items() if isinstance(state, NodeState)}
        unread = [f"{node.name}: {reason}" for node, reason in states.items() if isinstance(reason, str)]
        return Observation(
            self._topology,
            found,
            known,
            sights(self._topology, before, known, after),
            traces,
            unread=(*unread, *notes),
        )

    def _objects(self, position: str, failing: Sequence[Flow]) -> ClusterObjects:
        nodes = {node.name for flow in failing for node in flow.nodes if node.cluster == position}
        try:
            return read_objects(self._kube(position), position, nodes=nodes)
        except SubmarinerError as error:
            return ClusterObjects(position, unread={"*": str(error)})

    def _state(self, node: Node) -> NodeState | str:
        try:
            return read_state(self._node_exec(node), timeout=READ_S)
        except SubmarinerError as error:
            return str(error)

    def _trace(
        self, failing: Sequence[Flow], seen: Mapping[tuple[str, str], NodeSight]
    ) -> tuple[dict[str, Trace], tuple[str, ...]]:
        if self._ask is None or not failing:
            return {}, ()
        try:
            return Tracer(self._topology, self._node_exec, self._ask).trace(failing, seen), ()
        except SubmarinerError as error:
            return {}, (f"no path could be traced: {error}",)


def conclude(seen: Observation) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """The findings of an observation, and notes on rules that broke: the known causes, then what remains of the failing paths. Pure."""
    notes: list[str] = []

    def broke(cause: Cause, error: Exception) -> None:
        logger.error("the rule of %s broke", cause.code, exc_info=error)
        notes.append(f"{cause.code} was not judged, its rule broke: {type(error).__name__}: {error}")

    named = findings(seen, CAUSES, broke)
    explained = {path for finding in named for path in finding.paths}
    rest = tuple(flow for flow in seen.failing if flow.id not in explained)
    return (*named, *unexplained(seen, rest)), tuple(notes)


def _worth_a_look(topology: Topology, found: Sequence[Flow]) -> tuple[Node, ...]:
    every = [node for cluster in topology.clusters for node in cluster.nodes]
    if len(every) <= EVERY_NODE:
        return tuple(every)
    chosen = [node for node in every if node.role is Role.GATEWAY]
    chosen += [node for flow in found if flow.fails for node in flow.nodes]
    for cluster in topology.clusters:
        others = [n for flow in found if flow.works for n in flow.nodes if n.cluster == cluster.position]
        chosen += [node for node in dict.fromkeys(others) if node not in chosen][:COMPARED]
    return tuple(dict.fromkeys(chosen))[:EVERY_NODE]

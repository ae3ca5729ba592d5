"""One per pytest process: the settings, what was recorded, and the world, which is touched when the first item asks."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_submariner.diagnosing import Diagnosing
from pytest_submariner.ending import Ending
from pytest_submariner.errors import RequirementUnmet, SubmarinerError, TopologyError
from pytest_submariner.grouping import Groups
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Cluster, Node, Topology
from pytest_submariner.paths.selector import restrict
from pytest_submariner.progress import Progress
from pytest_submariner.providers import open_provider
from pytest_submariner.providers.base import World
from pytest_submariner.report.recorder import NOT_MEASURED, Recorder
from pytest_submariner.report.text import count
from pytest_submariner.settings import Settings
from pytest_submariner.xdist import is_controller, is_worker, joined_run, worker_id

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient
    from pytest_submariner.paths.groups import PathGroup
    from pytest_submariner.probes.throughput import LoadProber
    from pytest_submariner.transport.node import NodeExec


class PathProber(Protocol):
    """What measures paths: `probes.prober.Prober`, or what a plugin's `pytest_submariner_prober` gives."""

    def measure(self, cases: Sequence[PathCase]) -> dict[str, PathResult]:
        """Results by path id; every case has one."""
        ...

    def close(self) -> None:
        """Remove what was made to measure."""
        ...


class Session:
    """The plugin's state. Nothing here reaches a cluster before `world` is read."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.run, self.exchange = joined_run(config)
        self.recorder = Recorder(provider=settings.provider)
        self.selected: dict[str, PathCase] = {}
        """Paths of the items that will run, by id: what one conversation with the probes may ask at once."""
        self.groups = Groups(self)
        """Items that stand for many paths, which are known once the clusters are."""
        self.diagnosing = Diagnosing(self)
        self.asked = False
        """Whether any selected item measures paths."""
        self.answers = 0
        """Measurements that said something about the network, recorded or not."""
        self.touched = False
        """Whether any selected item uses the clusters."""
        self.written: list[tuple[str, str]] | None = None
        """(kind, file) of the reports, once they are written."""
        self.crashed: list[tuple[str, str]] = []
        """(nodeid, message) of items whose pytest-xdist worker died."""
        self.ending = Ending()
        self.progress = Progress(config)
        self.described = False
        """Whether the header line with the settings was printed."""
        self._failure: SubmarinerError | None = None
        self._world: World | None = None
        self._kube: dict[str, KubeClient] = {}
        self._nodes: dict[str, NodeExec] = {}
        self._measured: dict[str, PathResult] = {}
        self._closing = ExitStack()
        self._opening = RLock()
        """Probes ask for clients and nodes from threads of theirs."""

    @property
    def world(self) -> World:
        """Find or make the clusters, once. What went wrong is raised again for every later item, at no further cost."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # or it grows with every item
        if self._world is None:
            try:
                shared = is_worker(self.config) or (is_controller(self.config) and self.exchange.is_used)
                self._world = self.exchange.world(self._find) if shared else self._find()
            except SubmarinerError as error:
                self._failure = error
                raise
            self.recorder.topology = self._world.topology
            self.recorder.provider = self._world.topology.provider
            for name, seconds in self._world.timings.items():
                self.recorder.add_timing(name, seconds)
        return self._world

    @property
    def topology(self) -> Topology:
        return self.world.topology

    @cached_property
    def probed(self) -> Topology:
        """The nodes that take part in probing: those the setting `nodes` selects. What it leaves out is noted."""
        selector = self.settings.nodes
        if selector is None:
            return self.topology
        chosen = restrict(self.topology, selector)
        for cluster, left in zip(self.topology.clusters, chosen.clusters, strict=True):
            if gone := len(cluster.nodes) - len(left.nodes):
                self.recorder.note(
                    f"--submariner-nodes {selector.text} leaves out {gone} of {count(len(cluster.nodes), 'node')} of {cluster.position}"
                )
        return chosen

    @property
    def was_used(self) -> bool:
        return self._world is not None or self._failure is not None

    def cluster(self, position: str) -> Cluster:
        """TopologyError says how to give the run a cluster it lacks."""
        for cluster in self.topology.clusters:
            if cluster.position == position:
                return cluster
        have = ", ".join(f"{c.position} (context {c.context})" for c in self.topology.clusters)
        raise TopologyError(f"needs cluster {position}; this run has {have}: name one more with --submariner-context")

    def kube(self, position: str) -> KubeClient:
        """The API client of a cluster, for this process."""
        from pytest_submariner.kube.client import KubeClient

        with self._opening:
            if position not in self._kube:
                cluster = self.cluster(position)
                self._kube[position] = KubeClient(cluster.kubeconfig, cluster.context)
                self._closing.callback(self._kube[position].close)
            return self._kube[position]

    def node_exec(self, node: Node) -> NodeExec:
        """Commands on a node, by the transport the settings or a plugin choose; one per node and process."""
        from pytest_submariner.transport.node import NodeExec
        from pytest_submariner.transport.registry import open_transport

        key = f"{node.cluster}/{node.name}"
        with self._opening:
            if key not in self._nodes:
                transport = self.config.hook.pytest_submariner_transport(config=self.config, node=node)
                if transport is None:
                    ssh_config = str(self.settings.ssh_config or self.world.ssh_config or "")
                    image = self.settings.image
                    transport = open_transport(
                        self.settings.exec, node, kube=self.kube(node.cluster), ssh_config=ssh_config, image=image
                    )
                self._closing.callback(transport.close)
                self._nodes[key] = NodeExec(node, transport)
                self.recorder.note(f"node {node.name} of {node.cluster} is reached by {transport.about}")
            return self._nodes[key]

    @cached_property
    def prober(self) -> PathProber:
        given: PathProber | None = self.config.hook.pytest_submariner_prober(config=self.config, topology=self.probed)
        if given is None:
            from pytest_submariner.probes.prober import Prober

            # Each process has pods of its own: host-network listeners of two could not share a node's ports.
            run_id = "-".join([self.run.id, *([worker] if (worker := worker_id(self.config)) else [])])
            given = Prober(self.probed, self.kube, self.settings, node_exec=self.node_exec, run_id=run_id)
        self._closing.callback(given.close)
        return given

    @cached_property
    def load_prober(self) -> LoadProber:
        from pytest_submariner.probes.throughput import LoadProber

        run_id = "-".join([self.run.id, "load", *([worker] if (worker := worker_id(self.config)) else [])])
        made = LoadProber(self.probed, self.kube, self.settings, run_id=run_id)
        self._closing.callback(made.close)
        return made

    def measure(self, case: PathCase, *, fresh: bool = False) -> PathResult:
        """What a path does. The first question asks all selected paths with it, later ones read; `fresh` asks this path again."""
        for position in (case.source.cluster, case.target.cluster):
            self.cluster(position)
        if fresh or case.id not in self._measured:
            self._ask([case] if fresh else self._batch(case), fresh=fresh)
        return self._measured[case.id]

    def measure_group(self, group: PathGroup) -> list[PathResult]:
        """What all paths of a group do. RequirementUnmet when the clusters have none of them."""
        cases = self.groups.cases(group)
        missing = [case for case in cases if case.id not in self._measured]
        if missing:
            self._ask(missing if is_worker(self.config) else [*missing, *self._waiting({case.id for case in missing})])
        return [self._measured[case.id] for case in cases]

    def select(self, cases: Iterable[PathCase], groups: Iterable[PathGroup] = ()) -> None:
        self.selected = {case.id: case for case in cases}
        self.groups.select(groups)
        self.recorder.planned = len(self.selected)

    def require_disruption(self) -> None:
        if not self.settings.allows_disruption:
            raise RequirementUnmet(
                "disruptive: give --submariner-disruptive to run it on clusters that outlive this run"
            )

    def close(self) -> None:
        """Close what this process opened, then remove what the run made, if this is the process to do so."""
        with ExitStack() as last:
            if not is_worker(self.config):
                last.callback(self._release)
            last.enter_context(self._closing)

    def _find(self) -> World:
        topology = self.config.hook.pytest_submariner_topology(config=self.config)
        if topology is None and self.settings.owns_lab:
            with self.progress.during("booting a lab"):
                return open_provider(self.settings, self.run).find()
        return World(topology) if topology is not None else open_provider(self.settings, self.run).find()

    def _release(self) -> None:
        made_by_worker = is_controller(self.config) and self.exchange.is_used
        if self._world is None and self._failure is None and not made_by_worker:
            return
        try:
            open_provider(self.settings, self.run).release()
        finally:
            self.exchange.remove()

    def _batch(self, case: PathCase) -> list[PathCase]:
        """A worker does not know which items it will get, but they come in order: it asks what shares the source."""
        others = self._waiting({case.id})
        if is_worker(self.config):
            others = [c for c in others if c.source == case.source and c.id in self.selected]
        return [case, *others]

    def _waiting(self, named: Collection[str]) -> list[PathCase]:
        """Everything selected that was not measured yet, but for the paths of these ids."""
        positions = {cluster.position for cluster in self.topology.clusters}
        every = {**self.selected, **self.groups.every_case()}
        return [
            case
            for case in every.values()
            if case.id not in self._measured and case.id not in named and _within(case, positions)
        ]

    def _ask(self, cases: Sequence[PathCase], *, fresh: bool = False) -> None:
        """Measure. What is asked afresh belongs to a test that changes something on purpose: there is nothing to explain."""
        started = time.monotonic()
        with self.progress.during(_asking(cases)):
            results = self.prober.measure(cases)
        for note in getattr(self.prober, "notes", ()):  # a plugin's prober need not have any
            self.recorder.note(note)
        self.recorder.add_timing("probe_s", time.monotonic() - started)
        self._measured.update(results)
        self.answers += sum(1 for result in results.values() if result.verdict not in NOT_MEASURED)
        if not fresh:
            self.diagnosing.take(results, now=not is_worker(self.config))


def _within(case: PathCase, positions: Collection[str]) -> bool:
    return case.source.cluster in positions and case.target.cluster in positions


def _asking(cases: Sequence[PathCase]) -> str:
    """`asking 280 paths inside and between c1, c2`."""
    positions = sorted({end.cluster for case in cases for end in (case.source, case.target)})
    if len(cases) == 1:
        return f"asking {cases[0].id}"
    where = "between" if all(case.is_cross_cluster for case in cases) else "inside and between"
    return f"asking {count(len(cases), 'path')} {where if len(positions) > 1 else 'inside'} {', '.join(positions)}"

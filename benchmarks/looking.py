"""Asking and diagnosing a lab again and again with the same probe pods: what `submariner-diagnose` does once."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from benchmarks.labs import Lab
from pytest_submariner.diagnose.diagnosis import Diagnosis
from pytest_submariner.errors import SubmarinerError
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node, Topology
from pytest_submariner.model.verdict import Outcome, Verdict
from pytest_submariner.options import DEFAULT_IMAGE
from pytest_submariner.paths.cases import cases
from pytest_submariner.paths.sizes import SIZE_TAGS, size_tag
from pytest_submariner.probes.prober import PlainSettings, Prober
from pytest_submariner.providers.contexts import Place
from pytest_submariner.providers.kubeconfig import find_topology
from pytest_submariner.transport.node import NodeExec
from pytest_submariner.transport.registry import open_transport

TIMEOUT_S = 1.5
SETTLING_S = 15.0
STATUS_AFTER_S = 8.0
"""A pinger notices a lost peer after more than five lost echoes of a second, and a returned one with the next."""


@dataclass(frozen=True)
class Look:
    """What one look gave. `seconds` from the first question to the last finding; `diagnosed_s` is the diagnosis' share."""

    findings: tuple[Finding, ...]
    results: tuple[PathResult, ...]
    seconds: float
    diagnosed_s: float

    @property
    def broken(self) -> int:
        return sum(result.verdict.outcome is Outcome.FAILED for result in self.results)

    @property
    def asked(self) -> int:
        return sum(result.verdict is not Verdict.SKIPPED for result in self.results)


class Looker:
    """Looks at a lab, as often as it is asked."""

    def __init__(self, lab: Lab) -> None:
        described = lab.description
        self._ssh_config = described["ssh_config"]
        self._places = [
            Place(f"c{i}", described["kubeconfig"], c) for i, c in enumerate(described["contexts"], start=1)
        ]
        self._closing = ExitStack()
        self._nodes: dict[Node, NodeExec] = {}
        self._kube = {place.position: KubeClient(place.kubeconfig, place.context) for place in self._places}
        self._prober: Prober | None = None
        self._topology: Topology | None = None

    def __enter__(self) -> Looker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def look(self, *, sized: bool) -> Look:
        """Ask the role matrix, with `sized` also path MTU and bulk data, and diagnose."""
        started = time.monotonic()
        topology = find_topology(self._places, "kubeconfig")
        prober = self._prober_for(topology)
        positions = [cluster.position for cluster in topology.clusters]
        every = [case for suite in ("intra_cluster", "cross_cluster") for case in cases(suite, positions)]
        results = prober.measure([case for case in every if sized or size_tag(case) not in SIZE_TAGS])

        diagnosed = Diagnosis(topology, self._kube.__getitem__, self._node, prober.again).explain(results.values())
        seconds = time.monotonic() - started
        return Look(diagnosed.findings, tuple(results.values()), seconds, diagnosed.duration_s)

    def settle(self) -> None:
        """Wait until gateways say connected again: what was healed a moment ago is no finding."""
        end = time.monotonic() + SETTLING_S
        while time.monotonic() < end and not self._connected():
            time.sleep(0.3)

    def _connected(self) -> bool:
        try:
            gateways = [g for kube in self._kube.values() for g in kube.list("gateways.submariner.io")]
        except SubmarinerError:
            return False
        states = [c.get("status") for g in gateways for c in (g.get("status") or {}).get("connections") or ()]
        return bool(states) and set(states) == {"connected"}

    def _prober_for(self, topology: Topology) -> Prober:
        """A prober knows one topology; roles may change with a fault."""
        if self._prober is None or topology != self._topology:
            if self._prober is not None:
                self._prober.close()
            run_id = f"look{os.getpid()}{time.monotonic_ns() % 100000}"
            self._prober = Prober(
                topology,
                self._kube.__getitem__,
                PlainSettings(DEFAULT_IMAGE, TIMEOUT_S),
                node_exec=self._node,
                run_id=run_id,
            )
            self._topology = topology
            self._closing.callback(self._prober.close)
        return self._prober

    def _node(self, node: Node) -> NodeExec:
        if node not in self._nodes:
            transport = open_transport(
                "auto", node, kube=self._kube[node.cluster], ssh_config=self._ssh_config, image=DEFAULT_IMAGE
            )
            self._closing.callback(transport.close)
            self._nodes[node] = NodeExec(node, transport)
        return self._nodes[node]

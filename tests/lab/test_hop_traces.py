"""Paths followed through a real lab: every rung of those that work, the lost hop of those that do not, by any tool a node has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from running_lab import RunningLab

from pytest_submariner.diagnose.flow import Flow, flows
from pytest_submariner.diagnose.nodesight import sights
from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects
from pytest_submariner.diagnose.tracing.ladder import Sights
from pytest_submariner.diagnose.tracing.trace import Trace, Way
from pytest_submariner.diagnose.tracing.tracer import Tracer
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import CommandResult, PathResult
from pytest_submariner.model.topology import Node, Topology
from pytest_submariner.nodestate import read_state
from pytest_submariner.probes.prober import Prober
from pytest_submariner.providers.contexts import Place
from pytest_submariner.providers.kubeconfig import find_topology
from pytest_submariner.transport.base import Transport
from pytest_submariner.transport.node import NodeExec
from pytest_submariner.transport.registry import open_transport

WORKING = (
    "pod.ngw.c1--pod.ngw.c2--tcp",
    "pod.gw.c1--svc.ngw.c2--udp",
    "hostpod.ngw.c1--pod.gw.c2--icmp",
    "hostpod.gw.c2--svc.gw.c1--tcp",
    "pod.ngw.c2--svc.gw.c2--tcp",
    "hostpod.ngw.c2--node.gw.c2--icmp",
)


class Without:
    """A way to a node on which programs are not found."""

    name = "pod"

    def __init__(self, transport: Transport, programs: Sequence[str]) -> None:
        self._transport = transport
        self._programs = programs
        self.about = transport.about

    def run(self, argv: Sequence[str], *, timeout: float = 30, stdin: bytes | None = None) -> CommandResult:
        for program in self._programs if stdin is not None else ():
            stdin = (stdin or b"").replace(f"command -v {program}".encode(), b"command -v absent-program")
        return self._transport.run(argv, timeout=timeout, stdin=stdin)

    def close(self) -> None:
        self._transport.close()


class Tracing:
    """The lab's clusters, its probe pods, and what is known of its nodes."""

    def __init__(self, lab: RunningLab, closing: ExitStack) -> None:
        self.topology: Topology = find_topology([Place(c, lab.kubeconfig, c) for c in lab.contexts], "lab")
        self._clients = {c: KubeClient(lab.kubeconfig, c) for c in lab.contexts}
        for client in self._clients.values():
            closing.callback(client.close)
        settings = SimpleNamespace(image="python", timeout=2.0, keep=False, rate=None, pods_per_node=3)
        self._prober = Prober(self.topology, self._clients.__getitem__, settings, run_id="traced")
        closing.callback(self._prober.close)
        self._nodes = {
            node: open_transport("pod", node.name, kube=self._clients[node.cluster])
            for cluster in self.topology.clusters
            for node in cluster.nodes
        }
        states = {node: read_state(self.node_exec(node), ("links", "addresses", "routes")) for node in self._nodes}
        objects: dict[str, ClusterObjects] = {}
        self.sights: Sights = sights(self.topology, states, objects)

    def node_exec(self, node: Node) -> NodeExec:
        return NodeExec(node, self._nodes[node])

    def measure(self, *paths: str) -> tuple[Flow, ...]:
        return flows(self._ask([PathCase.parse(path) for path in paths]).values(), self.topology)

    def trace(self, found: Sequence[Flow], node_exec: Callable[[Node], NodeExec] | None = None) -> dict[str, Trace]:
        return Tracer(self.topology, node_exec or self.node_exec, self._ask).trace(found, self.sights)

    def _ask(self, cases: Sequence[PathCase]) -> dict[str, PathResult]:
        return self._prober.measure(cases, attempts=1)


@pytest.fixture(scope="module")
def tracing(lab: RunningLab) -> Iterator[Tracing]:
    with ExitStack() as closing:
        yield Tracing(lab, closing)


@pytest.fixture
def forward_drop(lab: RunningLab) -> Iterator[None]:
    assert lab.run("c1-gw", "iptables", "-P", "FORWARD", "DROP").returncode == 0
    yield
    assert lab.run("c1-gw", "iptables", "-P", "FORWARD", "ACCEPT").returncode == 0


def test_every_rung_of_what_works_is_seen(tracing: Tracing, lab: RunningLab) -> None:
    traces = tracing.trace(tracing.measure(*WORKING))
    assert set(traces) == set(WORKING)
    for trace in traces.values():
        missed = [str(s) for s in trace.sightings if not s.seen]
        assert (missed, trace.astray, trace.answered) == ([], (), True), trace.path_id
    rewritten = traces["hostpod.ngw.c1--pod.gw.c2--icmp"].at(Way.REQUEST, 3)
    assert rewritten is not None
    assert rewritten.sources == (next(node["cni_ip"] for node in lab.nodes if node["name"] == "c1-w1"),)
    for node in ("c1-gw", "c1-w1", "c2-gw", "c2-w1"):
        assert lab.run(node, "sh", "-c", "ls -d /tmp/submariner-capture-* 2>&1").stdout.decode().count("No such") == 1


@pytest.mark.usefixtures("forward_drop")
@pytest.mark.parametrize(
    ("missing", "tool"), [((), "tcpdump"), (("tcpdump",), "python3"), (("tcpdump", "python3"), "counters")]
)
def test_the_hop_at_which_the_gateway_drops(tracing: Tracing, missing: tuple[str, ...], tool: str) -> None:
    path = "pod.ngw.c1--pod.ngw.c2--tcp"

    def node_exec(node: Node) -> NodeExec:
        way = tracing.node_exec(node)
        return NodeExec(node, Without(way.transport, missing)) if node.name == "c1-gw" else way

    trace = tracing.trace(tracing.measure(path), node_exec)[path]
    assert trace.tools == {"c1-w1": "tcpdump", "c1-gw": tool, "c2-gw": "tcpdump", "c2-w1": "tcpdump"}
    assert not trace.answered
    if tool == "counters":
        assert trace.lost_between(Way.REQUEST, 3, 8)
        assert any("c1-gw: counters alone: vx-submariner received " in note for note in trace.notes)
    else:
        assert trace.lost_between(Way.REQUEST, 5, 6), str(trace)

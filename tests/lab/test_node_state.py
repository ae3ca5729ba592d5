"""The model against every node of a running lab: programmed by the model, and by Submariner's own agents, who are the truth.

Twice over: what Submariner owns on a node must be what the objects demand, element by element; and all that a node and the API tell,
whoever it belongs to, must be the same in a lab that is modelled and in one with agents. The long table is benchmarks/fidelity."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import fidelity
import pytest
from running_lab import RunningLab, submariner_lab
from thinned import without_each_element

from pytest_submariner.dataplane.constants import OPERATOR_NAMESPACE
from pytest_submariner.dataplane.difference import Kind, differences, owned
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.facts import cluster_view, node_facts
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.lab.spec import LabSpec, NodeSpec
from pytest_submariner.lab.submariner.topology import node_facts as lab_facts
from pytest_submariner.model.nodestate import NodeState
from pytest_submariner.model.result import CommandResult
from pytest_submariner.model.topology import Node, Role
from pytest_submariner.nodestate import read_state
from pytest_submariner.transport.node import NodeExec

SPEC = LabSpec.make("default")


@pytest.fixture(scope="module", params=["lab", "agents_lab"], ids=["modelled", "agents"])
def any_lab(request: pytest.FixtureRequest) -> RunningLab:
    running: RunningLab = request.getfixturevalue(request.param)
    return running


class LabTransport:
    """Commands in a node's namespaces, beside every transport of the plugin."""

    name = about = "submariner-lab exec"

    def __init__(self, lab: RunningLab, node: str) -> None:
        self._lab, self._node = lab, node

    def run(self, argv: Sequence[str], *, timeout: float = 30, stdin: bytes | None = None) -> CommandResult:
        done = self._lab.run(self._node, *argv, stdin=stdin)
        return CommandResult(self._node, tuple(argv), done.returncode, done.stdout, done.stderr, 0.0, self.name)

    def close(self) -> None:
        """Nothing stays open."""


def observed(lab: RunningLab, node: str) -> NodeState:
    return read_state(NodeExec(Node(node, "", Role.NON_GATEWAY, ""), LabTransport(lab, node)))


def demanded(lab: RunningLab, spec: NodeSpec, found: NodeState) -> NodeState:
    """The model's state of a node, from the objects in the lab's API and what agents would find on the node."""
    kube = KubeClient(lab.kubeconfig, spec.cluster)
    view = cluster_view(
        spec.cluster,
        endpoints=kube.list("endpoints.submariner.io", namespace=OPERATOR_NAMESPACE),
        clusters=kube.list("clusters.submariner.io", namespace=OPERATOR_NAMESPACE),
        nodes=kube.list("nodes"),
        gateways=kube.list("gateways.submariner.io"),
    )
    node = Node(spec.name, spec.cluster, Role.GATEWAY if spec.gateway else Role.NON_GATEWAY, spec.ip)
    facts = node_facts(node, found, view.cluster.pod_cidrs, remotes=view.remotes)
    assert facts == replace(lab_facts(spec), next_hops=facts.next_hops)
    return expected_state(facts, view)


@pytest.mark.parametrize("node", SPEC.nodes, ids=lambda node: str(node.name))
def test_a_node_is_as_its_objects_demand(any_lab: RunningLab, node: NodeSpec) -> None:
    state = observed(any_lab, node.name)
    assert state.unread.keys() <= {"wireguard"}
    assert [str(d) for d in differences(demanded(any_lab, node, state), state)] == []
    assert NodeState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


@pytest.mark.parametrize("node", SPEC.clusters[0].nodes, ids=lambda node: str(node.name))
def test_no_element_of_the_model_is_idle(agents_lab: RunningLab, node: NodeSpec) -> None:
    """Any route, rule, entry, set member or setting taken out of the model is noticed on nodes of the agents' making. A setting is
    looked at only when the model names it, so it is taken out of the node instead."""
    found = observed(agents_lab, node.name)
    expected = demanded(agents_lab, node, found)
    cases = list(without_each_element(expected))
    assert len(cases) > 30
    for what, thinned in cases:
        if thinned.sysctls == expected.sysctls:
            assert differences(thinned, found), f"without {what} the model passes"
        assert Kind.MISSING in {d.kind for d in differences(expected, owned(thinned, expected))}, (
            f"{what} is not looked for"
        )


@pytest.fixture(scope="module")
def modelled() -> fidelity.Survey:
    """Of a lab of its own: pods and services of other tests would be seen."""
    lab = RunningLab.boot(f"tests-fidelity-{os.getpid()}")
    try:
        return fidelity.survey(lab)
    finally:
        lab.down()


def test_model_and_agents_leave_the_same_behind(agents_lab: RunningLab, modelled: fidelity.Survey) -> None:
    """Everything: links, addresses, forwarding entries, all tables, packet filters, sets, every setting below net, objects."""
    genuine = fidelity.survey(agents_lab)
    assert fidelity.size(genuine) > 4000
    assert fidelity.deviations(genuine, modelled) == []


def test_one_element_more_or_less_is_a_deviation(modelled: fidelity.Survey) -> None:
    """Every element of Submariner's on a gateway, left out in turn."""
    whole, parts = modelled, modelled["c1-gw"]
    own = {
        (part, element)
        for part, elements in parts.items()
        for element in elements
        if any(word in element for word in ("vx-submariner", "vxlan-tunnel", "SUBMARINER", "table=100", "table=150"))
    }
    assert {part for part, _ in own} == {
        "links",
        "addresses",
        "fdb",
        "routes",
        "rules",
        "packet filter",
        "ipsets",
        "sysctls",
    }
    for part, element in own:
        thinned = {**whole, "c1-gw": {**parts, part: parts[part] - Counter([element] * parts[part][element])}}
        assert set(fidelity.deviations(whole, thinned)) == {f"c1-gw {part}: the model lacks {element}"}


@pytest.fixture
def healed(lab: RunningLab) -> Iterator[RunningLab]:
    yield lab
    submariner_lab("heal", "--name", lab.name, "--all")


def test_the_suite_passes_in_health_and_fails_in_the_one_aspect_that_is_wrong(
    healed: RunningLab, tmp_path: Path
) -> None:
    """By pods under pytest-xdist, then by SSH with a fault: the item of that role and aspect says what was expected and found."""
    status, _, output = healed.pytest(["suites/node_state", "-q", "-n", "2"], tmp_path)
    assert status == 0, output
    assert "32 passed, 16 skipped" in output
    assert submariner_lab("inject", "--name", healed.name, "overlay-fdb-wrong-gateway-ip").returncode == 0
    status, _, output = healed.pytest(["suites/node_state", "-q", "-rf", "--submariner-exec=ssh"], tmp_path)
    assert status == 1
    assert "1 failed, 31 passed, 16 skipped" in output
    assert "[ngw.c1-fdb]" in output
    gateway = next(node["ip"] for node in healed.nodes if node["name"] == "c1-gw")
    assert f"expected: 00:00:00:00:00:00 dev vx-submariner dst {gateway} permanent" in output
    assert "found:    00:00:00:00:00:00 dev vx-submariner dst" in output
    assert f"consequence: frames for {gateway} are sent to" in output

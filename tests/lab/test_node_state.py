"""The model against every node of a running lab: programmed by the model, and by Submariner's own agents, who are the truth.

Twice over: what Submariner owns on a node must be what the objects demand, element by element; and all that a node and the API tell,
whoever it belongs to, must be the same in a lab that is modelled and in one with agents. The long table is benchmarks/fidelity."""

from __future__ import annotations

import os
from collections import Counter

import dumps
import fidelity
import pytest
from running_lab import RunningLab
from submariner_bench import COMMANDS, MARK
from thinned import without_each_element

from pytest_submariner.dataplane.difference import Kind, differences, owned
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.objects import Cluster, Endpoint
from pytest_submariner.dataplane.view import ClusterView
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.lab.spec import LabSpec, NodeSpec
from pytest_submariner.lab.submariner.topology import node_facts
from pytest_submariner.model.nodestate import NodeState

OPERATOR = "submariner-operator"
SPEC = LabSpec.make("default")


@pytest.fixture(scope="module", params=["lab", "agents_lab"], ids=["modelled", "agents"])
def any_lab(request: pytest.FixtureRequest) -> RunningLab:
    running: RunningLab = request.getfixturevalue(request.param)
    return running


def observed(lab: RunningLab, node: str) -> NodeState:
    script = f"; echo {MARK}; ".join(f"{command} 2>/dev/null" for command in COMMANDS.values())
    said = lab.run(node, "sh", "-c", script).stdout.decode()
    dump = dict(zip(COMMANDS, said.split(f"{MARK}\n"), strict=True))
    dump["sysctls"] += "".join(dump[f"sysctls-{device}"] for device in dumps.DEVICES)
    return dumps.read(dump, node)


def demanded(lab: RunningLab, node: NodeSpec) -> NodeState:
    """The model's state of a node, from the objects in the lab's API."""
    kube = KubeClient(lab.kubeconfig, node.cluster)
    view = ClusterView(
        cluster_id=node.cluster,
        endpoints=tuple(map(Endpoint.from_object, kube.list("endpoints.submariner.io", namespace=OPERATOR))),
        clusters=tuple(map(Cluster.from_object, kube.list("clusters.submariner.io", namespace=OPERATOR))),
        node_ips=tuple(found["status"]["addresses"][0]["address"] for found in kube.list("nodes")),
    )
    return expected_state(node_facts(node), view)


@pytest.mark.parametrize("node", SPEC.nodes, ids=lambda node: str(node.name))
def test_a_node_is_as_its_objects_demand(any_lab: RunningLab, node: NodeSpec) -> None:
    found = differences(demanded(any_lab, node), observed(any_lab, node.name))
    assert [str(d) for d in found] == []


@pytest.mark.parametrize("node", SPEC.clusters[0].nodes, ids=lambda node: str(node.name))
def test_no_element_of_the_model_is_idle(agents_lab: RunningLab, node: NodeSpec) -> None:
    """Any route, rule, entry, set member or setting taken out of the model is noticed on nodes of the agents' making. A setting is
    looked at only when the model names it, so it is taken out of the node instead."""
    expected, found = demanded(agents_lab, node), observed(agents_lab, node.name)
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

"""The model against every node of a running lab: programmed by the model, and by Submariner's own agents where they
are at hand.

SUBMARINER_AGENTS_DIR names the folder of the agents' binaries. The agents are the truth: on the same topology both
must leave the same state beside whatever CNI and kube-proxy have put there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import dumps
import pytest
from running_lab import RunningLab
from submariner_bench import COMMANDS

from pytest_submariner.dataplane.difference import differences
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.objects import Cluster, Endpoint
from pytest_submariner.dataplane.view import ClusterView
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.lab.spec import LabSpec, NodeSpec
from pytest_submariner.lab.submariner.topology import node_facts
from pytest_submariner.model.nodestate import NodeState

OPERATOR = "submariner-operator"
SPEC = LabSpec.make("default")
AGENTS = os.environ.get("SUBMARINER_AGENTS_DIR")


@pytest.fixture(scope="module", params=["modelled", *(["agents"] if AGENTS else [])])
def any_lab(request: pytest.FixtureRequest) -> Iterator[RunningLab]:
    if request.param == "modelled":
        yield request.getfixturevalue("lab")
        return
    running = RunningLab.boot(f"tests-agents-{os.getpid()}", "--submariner", "agents", "--agents-dir", str(AGENTS))
    yield running
    running.down()


def observed(lab: RunningLab, node: str) -> NodeState:
    dump = {name: lab.run(node, *command.split()).stdout.decode() for name, command in COMMANDS.items()}
    dump["sysctls"] += "".join(dump[f"sysctls-{device}"] for device in dumps.DEVICES)
    return dumps.read(dump, node)


@pytest.mark.parametrize("node", SPEC.nodes, ids=lambda node: str(node.name))
def test_a_node_is_as_its_objects_demand(any_lab: RunningLab, node: NodeSpec) -> None:
    kube = KubeClient(any_lab.kubeconfig, node.cluster)
    view = ClusterView(
        cluster_id=node.cluster,
        endpoints=tuple(map(Endpoint.from_object, kube.list("endpoints.submariner.io", namespace=OPERATOR))),
        clusters=tuple(map(Cluster.from_object, kube.list("clusters.submariner.io", namespace=OPERATOR))),
        node_ips=tuple(found["status"]["addresses"][0]["address"] for found in kube.list("nodes")),
    )
    found = differences(expected_state(node_facts(node), view), observed(any_lab, node.name))
    assert [str(d) for d in found] == []

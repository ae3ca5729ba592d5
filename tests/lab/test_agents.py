"""Submariner's own agents in a lab: they live as DaemonSets' pods do, elect, fail over, and pass the suites."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import peers
import pytest
from agent_pods import (
    OPERATOR,
    delete_and_await,
    eventually,
    gateways,
    kill,
    life,
    log,
    pod_on,
    reaches,
    set_gateway_label,
)
from refusals import of_another_machine, program, refused
from running_lab import RunningLab

from pytest_submariner.kube.client import KubeClient

TCP = ("suites/cross_cluster", "-k", "tcp or status")
VERSION = '[ "$1" = --version ] && { echo "submariner version: fake"; exit; }'
"""What a fake has to answer before anything is started."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agents, in a folder where one may be replaced."""
    made = tmp_path_factory.mktemp("agents")
    for name in ("submariner-gateway", "submariner-route-agent"):
        (made / name).symlink_to(peers.agents_dir() / name)
    return made


@pytest.fixture(scope="module")
def pair(folder: Path) -> Iterator[RunningLab]:
    """Two gateways in each cluster."""
    options = ("--gateways", "2", "--submariner", "agents", "--agents-dir", str(folder))
    running = RunningLab.boot(f"tests-pair-{os.getpid()}", *options)
    yield running
    running.down()


@pytest.fixture(scope="module")
def c1(pair: RunningLab) -> KubeClient:
    return KubeClient(pair.kubeconfig, "c1")


def test_the_suites_pass_unchanged(agents_lab: RunningLab, tmp_path: Path) -> None:
    status, results, said = agents_lab.pytest(TCP, tmp_path)
    assert status == 0, said
    assert len(results["paths"]) >= 20
    assert {result["verdict"] for result in results["paths"]} == {"ok"}


def test_in_a_fresh_lab_the_first_gateway_is_active(c1: KubeClient) -> None:
    assert gateways(c1) == {"c1-gw1": "active, connected", "c1-gw2": "passive"}


def test_logs_are_those_of_the_process(pair: RunningLab) -> None:
    assert "submariner-gateway version:" in log(pair, "c1-gw1", "gateway")
    assert 'Updating Gateway pod HA status to "active"' in log(pair, "c1-gw1", "gateway")
    assert "submariner-routeagent version:" in log(pair, "c2-w1", "route-agent")


@pytest.mark.parametrize(
    ("app", "binary", "node"),
    [
        ("submariner-routeagent", "submariner-route-agent", "c1-w1"),
        ("submariner-gateway", "submariner-gateway", "c1-gw1"),
    ],
)
def test_an_agent_that_dies_is_restarted_in_its_pod(
    pair: RunningLab, c1: KubeClient, app: str, binary: str, node: str
) -> None:
    before = pod_on(c1, app, node)
    kill(pair, node, binary)
    eventually(lambda: life(pod_on(c1, app, node)) == (1, True))
    after = pod_on(c1, app, node)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    (status,) = after["status"]["containerStatuses"]
    assert status["lastState"]["terminated"]["exitCode"] == 137
    assert eventually(lambda: reaches(pair, "c1-w1", "10.9.1.1"))


def test_a_deleted_pod_comes_back_with_a_new_uid(c1: KubeClient) -> None:
    before, after = delete_and_await(c1, "submariner-routeagent", "c1-w1")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]

    def own_report() -> bool:
        agent = c1.get("routeagents.submariner.io", "c1-w1", namespace=OPERATOR)
        return agent is not None and agent["metadata"]["creationTimestamp"] >= after["metadata"]["creationTimestamp"]

    eventually(own_report)


def test_one_node_runs_the_binary_that_was_replaced(pair: RunningLab, folder: Path, c1: KubeClient) -> None:
    """As docs/agents.md says: replace the file, delete the node's pod; the others stay with what they have."""
    genuine = peers.agents_dir() / "submariner-gateway"
    new = program(folder / "new", f'#!/bin/sh\necho "built today"\nexec {genuine} "$@"\n')
    new.replace(folder / "submariner-gateway")
    delete_and_await(c1, "submariner-gateway", "c1-gw2")
    eventually(lambda: "Starting leader election" in log(pair, "c1-gw2", "gateway"))
    assert "built today" in log(pair, "c1-gw2", "gateway")
    for node in ("c1-gw1", "c2-gw1", "c2-gw2"):
        assert "built today" not in log(pair, node, "gateway")


def test_the_passive_gateway_takes_over_and_the_data_plane_follows(
    pair: RunningLab, c1: KubeClient, tmp_path: Path
) -> None:
    """The lease of a gateway that went is not given back: the other one waits until it has expired, 15 to 20 s."""
    eventually(lambda: gateways(c1) == {"c1-gw1": "active, connected", "c1-gw2": "passive"})
    set_gateway_label(c1, "c1-gw1", None)
    eventually(lambda: gateways(c1) == {"c1-gw2": "active, connected"}, 40)
    lease = c1.get("leases.coordination.k8s.io", "submariner-gateway-lock", namespace=OPERATOR)
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "c1-gw2-submariner-gateway"
    for node, ip in (("c1-w1", "10.9.1.1"), ("c1-gw1", "10.9.1.1"), ("c2-w1", "10.8.2.1")):
        eventually(partial(reaches, pair, node, ip))
    status, results, said = pair.pytest(("suites/cross_cluster/test_pod_to_service.py", "-k", "tcp"), tmp_path)
    assert status == 0, said
    assert {result["verdict"] for result in results["paths"]} == {"ok"}
    set_gateway_label(c1, "c1-gw1", "true")
    eventually(lambda: gateways(c1) == {"c1-gw1": "passive", "c1-gw2": "active, connected"}, 20)


# What people read when something is wrong with the agents. None of these needs the genuine ones.


def agents_refused(folder: Path, settings: str = "") -> str:
    options = ("--submariner", "agents", "--agents-dir", str(folder), "--clusters", "1", "--workers", "0")
    return refused(*options, settings=settings)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert agents_refused(tmp_path / "nowhere") == f"--agents-dir {tmp_path}/nowhere: there is no such folder"


def test_a_missing_binary_is_named(tmp_path: Path) -> None:
    program(tmp_path / "submariner-gateway", f"#!/bin/sh\n{VERSION}\n")
    assert agents_refused(tmp_path) == f"--agents-dir: {tmp_path}/submariner-route-agent is missing"


def test_a_binary_of_another_architecture_is_named(tmp_path: Path) -> None:
    program(tmp_path / "submariner-gateway", f"#!/bin/sh\n{VERSION}\n")
    bad = of_another_machine(tmp_path / "submariner-route-agent")
    assert agents_refused(tmp_path) == f"--agents-dir: {bad} does not start on this machine: Exec format error"


def test_a_binary_that_may_not_be_executed_is_named(tmp_path: Path) -> None:
    bad = program(tmp_path / "submariner-gateway", "#!/bin/sh\n")
    bad.chmod(0o644)
    assert agents_refused(tmp_path) == f"--agents-dir: {bad} is not executable: chmod +x it, or name another"


def test_agents_that_miss_a_kind_are_not_waited_for_and_are_quoted(tmp_path: Path) -> None:
    missing = 'no matches for kind "ClusterWidget" in version "submariner.io/v2"'
    program(tmp_path / "submariner-route-agent", f"#!/bin/sh\n{VERSION}\nexec sleep 600\n")
    program(tmp_path / "submariner-gateway", f"#!/bin/sh\n{VERSION}\necho starting\necho '{missing}' >&2\nexit 255\n")
    said = agents_refused(tmp_path, settings="submariner.readiness._HOPELESS=2").splitlines()
    assert said[0].startswith("pods that do not stay alive: submariner-gateway-")
    assert said[1:] == ["submariner-gateway on c1-gw said last:", "starting", missing]


def test_agents_that_do_nothing_are_quoted_when_the_time_is_over(tmp_path: Path) -> None:
    for name in ("submariner-gateway", "submariner-route-agent"):
        program(
            tmp_path / name, f"#!/bin/sh\n{VERSION}\necho 'waiting for a broker that is not there'\nexec sleep 600\n"
        )
    said = agents_refused(tmp_path, settings="submariner.agents.READY_DEADLINE_S=2").splitlines()
    assert said[0].endswith("was not as it should be after 2 s: 0 of 1 Gateways published")
    assert said[1:] == ["submariner-gateway on c1-gw said last:", "waiting for a broker that is not there"]


def test_definitions_that_are_no_yaml_are_named(tmp_path: Path) -> None:
    (tmp_path / "submariner-crds.yaml").write_text("kind: [unclosed\n")
    assert agents_refused(tmp_path).startswith(f"--agents-dir: {tmp_path}/submariner-crds.yaml cannot be read: ")

"""Which way is taken to a node, and what is said about the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import docker_stub
import pytest
from exec_standin import ExecServer
from private_sshd import PrivateSshd

from pytest_submariner.errors import NodeUnreachable
from pytest_submariner.model.topology import Node, Role
from pytest_submariner.transport.docker import DockerTransport
from pytest_submariner.transport.registry import open_transport


@pytest.fixture
def docker_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "docker"
    folder.mkdir()
    docker_stub.write(folder)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_auto_takes_the_route_agent(exec_server: ExecServer) -> None:
    node = Node("node-v5", "c1", Role.NON_GATEWAY, "172.18.1.2")
    transport = open_transport("auto", node, kube=exec_server.client)
    assert (transport.name, transport.about) == ("pod", "Route Agent pod submariner-operator/v5")
    assert transport.run(["echo", "x"]).node == "node-v5"


def test_auto_says_why_it_went_on_to_ssh(exec_server: ExecServer, sshd: PrivateSshd) -> None:
    transport = open_transport("auto", "node", kube=exec_server.client, ssh_config=sshd.write_config("auto"))
    assert transport.name == "ssh"
    assert f"127.0.0.1 port {sshd.port}" in transport.about
    transport.close()


def test_auto_ends_with_docker(docker_folder: Path) -> None:
    transport = open_transport("auto", "node")
    assert (transport.name, transport.about) == ("docker", "docker exec node")


def test_no_way_at_all_lists_every_reason(exec_server: ExecServer, docker_folder: Path) -> None:
    with pytest.raises(NodeUnreachable) as caught:
        open_transport("auto", "elsewhere", kube=exec_server.client)
    said = str(caught.value)
    assert said.startswith("no way to node elsewhere: route-agent: ")
    for reason in ("no Route Agent pod", "no image for a pod", "no ssh_config", "No such container: elsewhere"):
        assert reason in said


def test_a_chosen_kind_is_the_only_one_tried() -> None:
    with pytest.raises(NodeUnreachable) as caught:
        open_transport("ssh", "node")
    assert "docker" not in str(caught.value)
    assert "--submariner-ssh-config" in str(caught.value)


def test_an_unknown_kind_names_the_known() -> None:
    with pytest.raises(ValueError, match="'telnet': allowed are auto, pod, ssh, docker"):
        open_transport("telnet", "node")


def test_a_route_agent_that_does_not_run(exec_server: ExecServer) -> None:
    with pytest.raises(NodeUnreachable, match="does not run: pending is Pending"):
        open_transport("pod", "node-pending", kube=exec_server.client)


def test_a_stopped_container(docker_folder: Path) -> None:
    with pytest.raises(NodeUnreachable, match="docker: it is not running"):
        DockerTransport("stopped")


def test_a_container_that_vanished(docker_folder: Path) -> None:
    transport = DockerTransport("node")
    (docker_folder / "gone").touch()
    with pytest.raises(NodeUnreachable, match=r"node by docker: .*No such container"):
        transport.run(["true"])


def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeUnreachable, match="docker is not installed; podman is not installed"):
        DockerTransport("node")


def test_importing_the_registry_loads_neither_kubernetes_nor_paramiko() -> None:
    code = "import sys, pytest_submariner.transport.registry, pytest_submariner.transport.node, pytest_submariner.kube.client; "
    code += "print([m for m in ('kubernetes', 'paramiko', 'urllib3', 'websocket', 'yaml') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"

"""Nodes of a real lab by pod and by ssh: the same behaviour table, the same state, and packets as they pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from running_lab import RunningLab
from transport_table import TABLE

from pytest_submariner.errors import CommandNotFound, NodeUnreachable, TransportError
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.kube.errors import AccessDenied
from pytest_submariner.model.nodestate import NodeState
from pytest_submariner.model.topology import Node, Role
from pytest_submariner.nodestate import conntrack, read_state
from pytest_submariner.nodestate.capture import Capture
from pytest_submariner.nodestate.packetfilter import find_rules
from pytest_submariner.nodestate.routes import route_get
from pytest_submariner.transport.base import Transport
from pytest_submariner.transport.node import NodeExec
from pytest_submariner.transport.pod import HelperPodTransport
from pytest_submariner.transport.registry import open_transport

NON_GATEWAY, GATEWAY = "c1-w1", "c1-gw"
IMAGE = "docker.io/library/python:3.13-slim"


@pytest.fixture(scope="module")
def kube(lab: RunningLab) -> Iterator[KubeClient]:
    client = KubeClient(lab.kubeconfig, "c1")
    yield client
    client.close()


@pytest.fixture(scope="module")
def pod(lab: RunningLab, kube: KubeClient) -> Transport:
    return open_transport("pod", NON_GATEWAY, kube=kube)


@pytest.fixture(scope="module")
def ssh(lab: RunningLab) -> Iterator[Transport]:
    transport = open_transport("ssh", NON_GATEWAY, ssh_config=lab.ssh_config)
    yield transport
    transport.close()


@pytest.fixture(scope="module")
def helper_pod(kube: KubeClient) -> Iterator[Transport]:
    transport = HelperPodTransport(NON_GATEWAY, kube, IMAGE)
    yield transport
    transport.close()


@pytest.mark.parametrize("behaviour", TABLE, ids=lambda b: b.__name__)
@pytest.mark.parametrize("kind", ["pod", "ssh", "helper_pod"])
def test_behaviour(kind: str, behaviour: Callable[[Transport], None], request: pytest.FixtureRequest) -> None:
    behaviour(request.getfixturevalue(kind))


def node_exec(lab: RunningLab, transport: Transport, name: str = NON_GATEWAY) -> NodeExec:
    facts = next(n for n in lab.nodes if n["name"] == name)
    role = Role.GATEWAY if facts["role"] == "gateway" else Role.NON_GATEWAY
    return NodeExec(Node(name, facts["cluster"], role, facts["ip"]), transport)


def stable(state: NodeState) -> dict[str, object]:
    """What does not change while the lab is idle; order is no part of it."""
    parts = {part: sorted(getattr(state, part) or ()) for part in ("links", "addresses", "fdb", "routes", "rules")}
    return {**parts, "ipsets": set(state.ipsets or ()), "sysctls": state.sysctls, "unread": state.unread}


def test_the_same_state_by_every_way(lab: RunningLab, pod: Transport, ssh: Transport, helper_pod: Transport) -> None:
    states = [read_state(node_exec(lab, transport)) for transport in (pod, ssh)]
    assert set(states[0].unread) <= {"wireguard"}, "wg is no program a lab asks for"
    assert stable(states[0]) == stable(states[1])
    by_helper = stable(read_state(node_exec(lab, helper_pod)))
    assert by_helper["routes"] == stable(states[0])["routes"]


def test_auto_takes_the_route_agent(lab: RunningLab, kube: KubeClient) -> None:
    transport = open_transport("auto", NON_GATEWAY, kube=kube, ssh_config=lab.ssh_config, image=IMAGE)
    assert transport.about.startswith("Route Agent pod submariner-operator/submariner-routeagent")


def test_a_helper_pod_leaves_nothing(kube: KubeClient) -> None:
    def names() -> set[str]:
        return {n["metadata"]["name"] for n in kube.list("namespaces") if "deletionTimestamp" not in n["metadata"]}

    before = names()
    transport = HelperPodTransport(NON_GATEWAY, kube, IMAGE)
    assert len(names() - before) == 1
    transport.close()
    transport.close()
    assert names() == before


def test_a_node_that_is_not_there(lab: RunningLab, kube: KubeClient) -> None:
    with pytest.raises(NodeUnreachable, match="no way to node c1-w9: "):
        open_transport("auto", "c1-w9", kube=kube, ssh_config=lab.ssh_config)


def test_exec_where_nothing_is(kube: KubeClient) -> None:
    with pytest.raises(NodeUnreachable, match="not found"):
        kube.exec("submariner-operator", "nobody", None, ["true"])
    pod = kube.list("pods", namespace="submariner-operator")[0]["metadata"]["name"]
    with pytest.raises(TransportError, match="container nobody is not valid"):
        kube.exec("submariner-operator", pod, "nobody", ["true"])
    with pytest.raises(CommandNotFound):
        kube.exec("submariner-operator", pod, None, ["frobnicate"])


def test_a_host_key_the_lab_did_not_announce(lab: RunningLab, tmp_path: Path) -> None:
    text = Path(lab.ssh_config).read_text()
    config = tmp_path / "ssh_config"
    kept = [line for line in text.splitlines() if "KnownHosts" not in line]
    config.write_text("\n".join([*kept, "Host *", "  UserKnownHostsFile /dev/null", ""]))
    with pytest.raises(
        NodeUnreachable, match=r"no way to node c1-w1: ssh: .* has a host key that /dev/null does not know"
    ):
        open_transport("ssh", NON_GATEWAY, ssh_config=str(config))


@pytest.mark.parametrize("kind", ["pod", "ssh"])
def test_the_rewritten_ping_of_issue_3134(lab: RunningLab, kube: KubeClient, kind: str) -> None:
    """Everything the story needs, by either way: the choice before the rewrite, the rule at work, the packet after
    it."""
    transports = {
        name: open_transport(kind, name, kube=kube, ssh_config=lab.ssh_config) for name in (NON_GATEWAY, GATEWAY)
    }
    worker, gateway = (node_exec(lab, transports[name], name) for name in (NON_GATEWAY, GATEWAY))
    target = next(a.ip for a in read_state(gateway, ["addresses"]).addresses or () if a.device == "vx-submariner")
    own = next(a.ip for a in read_state(worker, ["addresses"]).addresses or () if a.device == "vx-submariner")
    cni = next(n["cni_ip"] for n in lab.nodes if n["name"] == NON_GATEWAY)

    def counter() -> int:
        filters = read_state(worker, ["packet_filters"]).packet_filters
        (rule,) = find_rules(filters, "nat", "SUBMARINER-POSTROUTING", "-s 240.0.0.0/8", "-j SNAT")
        return rule.packets or 0

    before = counter()
    with (
        Capture(worker, "vx-submariner", protocol="icmp", address=target) as leaving,
        Capture(gateway, "any", protocol="icmp", address=target) as arriving,
    ):
        assert worker.run(["ping", "-c", "1", "-W", "2", target]).exit_status == 0
    assert counter() == before + 1
    assert route_get(worker, target).source == own
    tracked = conntrack.connections(worker, protocol="icmp", source=own, destination=target)
    assert {t.rewritten_source for t in tracked} == {cni}
    assert [(p.direction, p.source) for p in leaving if p.is_echo_request] == [("out", cni)]
    assert [(p.device, p.source) for p in arriving if p.is_echo_request and p.device == "vx-submariner"] == [
        ("vx-submariner", cni)
    ]
    assert {p.device for p in arriving if p.is_echo_reply} == {"eth0"}
    for transport in transports.values():
        transport.close()


def test_credentials_nobody_issued(lab: RunningLab, tmp_path: Path) -> None:
    document = yaml.safe_load(Path(lab.kubeconfig).read_text())
    for user in document["users"]:
        user["user"] = {"token": "stranger"}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    client = KubeClient(str(path), "c1")
    with pytest.raises(AccessDenied, match="does not accept its credentials"):
        client.version()
    with pytest.raises(AccessDenied, match="does not accept its credentials"):
        client.exec("submariner-operator", "x", None, ["true"])

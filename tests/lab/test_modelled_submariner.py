"""Submariner in a running lab: what it published, and that its pods live, die and come back as the real ones do."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from agent_pods import gateways as gateways_of
from agent_pods import reaches, set_gateway_label
from running_lab import RunningLab

from pytest_submariner.dataplane.objects import Gateway, RouteAgent
from pytest_submariner.kube.client import KubeClient

OPERATOR = "submariner-operator"


@pytest.fixture(scope="module", params=["c1", "c2"])
def kube(lab: RunningLab, request: pytest.FixtureRequest) -> KubeClient:
    return KubeClient(lab.kubeconfig, request.param)


def gateways(kube: KubeClient) -> list[Gateway]:
    return [Gateway.from_object(o) for o in kube.list("gateways.submariner.io", namespace=OPERATOR)]


def route_agents(kube: KubeClient) -> dict[str, RouteAgent]:
    return {o["metadata"]["name"]: RouteAgent.from_object(o) for o in kube.list("routeagents.submariner.io")}


def eventually(condition: Callable[[], Any], deadline_s: float = 10) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not true after {deadline_s} s"
        time.sleep(0.05)


def test_the_gateway_is_active_and_its_cable_was_pinged(kube: KubeClient) -> None:
    (gateway,) = gateways(kube)
    assert gateway.name == f"{kube.context}-gw"
    assert gateway.is_active
    (connection,) = gateway.connections
    assert connection.status == "connected"
    assert (connection.latency or {}).get("last", "0s") != "0s"


def test_endpoints_are_labelled_when_they_come_from_elsewhere(kube: KubeClient) -> None:
    endpoints = kube.list("endpoints.submariner.io", namespace=OPERATOR)
    origins = {
        o["spec"]["cluster_id"]: (o["metadata"].get("labels") or {}).get("submariner-io/clusterID") for o in endpoints
    }
    assert origins == {c: (None if c == kube.context else c) for c in ("c1", "c2")}


def test_every_node_has_a_route_agent_and_only_non_gateways_ping(kube: KubeClient) -> None:
    eventually(lambda: all(a.remote_endpoints[0].status for a in route_agents(kube).values()))
    found = {name: agent.remote_endpoints[0].status for name, agent in route_agents(kube).items()}
    assert found == {f"{kube.context}-gw": "none", f"{kube.context}-w1": "connected"}


def test_a_deleted_gateway_pod_comes_back_and_publishes_anew(kube: KubeClient) -> None:
    def active() -> tuple[str, str]:
        (pod,) = kube.list("pods", namespace=OPERATOR, labels="gateway.submariner.io/status=active")
        (gateway,) = kube.list("gateways.submariner.io", namespace=OPERATOR)
        return pod["metadata"]["name"], gateway["metadata"]["uid"]

    pod, uid = active()
    kube.delete("pods", pod, namespace=OPERATOR)
    eventually(
        lambda: any(g["metadata"]["uid"] != uid for g in kube.list("gateways.submariner.io", namespace=OPERATOR))
    )
    eventually(lambda: gateways(kube)[0].connections[0].latency)
    assert active()[0] != pod


def test_a_route_agent_s_object_goes_with_its_pod(kube: KubeClient) -> None:
    node = f"{kube.context}-w1"
    before = kube.get("routeagents.submariner.io", node, namespace=OPERATOR)
    (pod,) = (
        pod
        for pod in kube.list("pods", namespace=OPERATOR, labels="app=submariner-routeagent")
        if pod["spec"]["nodeName"] == node
    )
    kube.delete("pods", pod["metadata"]["name"], namespace=OPERATOR)

    def is_new() -> bool:
        found = kube.get("routeagents.submariner.io", node, namespace=OPERATOR)
        return found is not None and before is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    eventually(is_new)


def test_the_lease_is_held_and_renewed(kube: KubeClient) -> None:
    def spec() -> dict[str, Any]:
        lease = kube.get("leases.coordination.k8s.io", "submariner-gateway-lock", namespace=OPERATOR)
        assert lease is not None
        held: dict[str, Any] = lease["spec"]
        return held

    first = spec()
    assert first["holderIdentity"] == f"{kube.context}-gw-submariner-gateway"
    eventually(lambda: spec()["renewTime"] > first["renewTime"], deadline_s=15)


def test_a_lost_cable_becomes_an_error_and_a_repaired_one_connected(lab: RunningLab) -> None:
    """With the default settings a lost cable is reported 6 to 12 seconds after its last reply."""
    kube = KubeClient(lab.kubeconfig, "c1")
    assert lab.run("c1-gw", "iptables", "-I", "OUTPUT", "-o", "vxlan-tunnel", "-j", "DROP").returncode == 0
    try:
        eventually(lambda: gateways(kube)[0].connections[0].status == "error", deadline_s=20)
        message = gateways(kube)[0].connections[0].status_message
        assert message == 'Failed to successfully ping the remote endpoint IP "10.9.1.1"'
    finally:
        assert lab.run("c1-gw", "iptables", "-D", "OUTPUT", "-o", "vxlan-tunnel", "-j", "DROP").returncode == 0
    eventually(lambda: gateways(kube)[0].connections[0].status == "connected", deadline_s=15)


def test_the_token_is_in_the_secret_only(lab: RunningLab) -> None:
    kube = KubeClient(lab.kubeconfig, "c1")
    secret = kube.get("secrets", "submariner-lab-api", namespace=OPERATOR)
    assert secret is not None
    token = base64.b64decode(secret["data"]["token"]).decode()
    assert len(token) > 20
    for kind in ("daemonsets.apps", "pods"):
        assert token not in json.dumps(kube.list(kind, namespace=OPERATOR))


def test_the_next_gateway_takes_over_in_a_modelled_lab() -> None:
    """As with the agents: the lease has to expire. That is not waited for here; its holder is taken out once it has gone."""
    lab = RunningLab.boot(f"tests-failover-{os.getpid()}", "--gateways", "2")
    try:
        kube = KubeClient(lab.kubeconfig, "c1")
        assert gateways_of(kube) == {"c1-gw1": "active, connected", "c1-gw2": "passive"}
        set_gateway_label(kube, "c1-gw1", None)
        eventually(lambda: gateways_of(kube) == {"c1-gw2": "passive"})
        assert reaches(lab, "c1-w1", "10.9.1.1"), "what is programmed stays until another one takes over"
        lease = {"spec": {"holderIdentity": ""}}
        kube.patch("leases.coordination.k8s.io", "submariner-gateway-lock", lease, namespace=OPERATOR)
        eventually(lambda: gateways_of(kube) == {"c1-gw2": "active, connected"})
        for node, ip in (("c1-w1", "10.9.1.1"), ("c1-gw1", "10.9.1.1"), ("c2-w1", "10.8.2.1")):
            eventually(partial(reaches, lab, node, ip))
        gateway = lab.run("c1-w1", "ip", "route", "get", "10.9.1.1").stdout.decode()
        assert "via 240.18.1.2 dev vx-submariner" in gateway
    finally:
        lab.down()

"""The objects of an installation, as stock tools and the agents expect them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from submariner_bench import SPEC

from pytest_submariner.dataplane.objects import Cluster, Endpoint
from pytest_submariner.lab.submariner import gateway, objects, routeagent, workloads
from pytest_submariner.lab.submariner.access import ApiAccess
from pytest_submariner.lab.submariner.agent import Settings
from pytest_submariner.lab.submariner.modelled import leader
from pytest_submariner.lab.submariner.topology import cluster_of, endpoint_of, make_endpoint

C1, C2 = SPEC.clusters
ACCESS = ApiAccess(
    "letmein",
    b"-----BEGIN",
    {"c1": "https://172.18.0.1:6443", "c2": "https://172.18.0.1:6444"},
    {"c1": "https://127.0.0.1:40001", "c2": "https://127.0.0.1:40002"},
)
DAEMONSETS = {
    "submariner-gateway": workloads.gateway_daemonset(C1, "vxlan"),
    "submariner-routeagent": workloads.route_agent_daemonset(C1),
}


def test_an_endpoint_is_named_as_upstream_names_it() -> None:
    endpoint = endpoint_of(C1, SPEC.node("c1-gw1"), "vxlan")
    body = objects.endpoint(endpoint, "submariner-operator", synced=False)
    assert body["metadata"] == {"name": "c1-submariner-cable-c1-172-18-1-1", "namespace": "submariner-operator"}
    assert body["spec"]["subnets"] == ["100.8.0.0/16", "10.8.0.0/16"]
    assert Endpoint.from_object(body) == endpoint


@pytest.mark.parametrize("kind", ["cluster", "endpoint"])
def test_only_synced_objects_carry_their_origin(kind: str) -> None:
    source: Any = cluster_of(C2) if kind == "cluster" else endpoint_of(C2, SPEC.node("c2-gw1"), "vxlan")
    make = getattr(objects, kind)
    assert make(source, "submariner-operator", synced=True)["metadata"]["labels"] == {"submariner-io/clusterID": "c2"}
    assert "labels" not in make(source, "submariner-operator", synced=False)["metadata"]


def test_a_cluster_says_its_cidrs() -> None:
    body = objects.cluster(cluster_of(C2), "submariner-k8s-broker", synced=True)
    assert Cluster.from_object(body) == Cluster("c2", ("10.9.0.0/16",), ("100.9.0.0/16",))


def test_the_process_builds_the_same_endpoint_as_the_installation() -> None:
    """Otherwise a Gateway's localEndpoint and the Endpoint would tell different stories."""
    node = SPEC.node("c1-gw1")
    own = make_endpoint(
        cluster_id="c1",
        hostname=node.name,
        private_ip=node.ip,
        health_check_ip=node.cni_ip,
        subnets=("100.8.0.0/16", "10.8.0.0/16"),
        backend="vxlan",
    )
    assert own == endpoint_of(C1, node, "vxlan")


def test_the_first_gateway_by_name_leads() -> None:
    assert leader(tuple(reversed(C1.gateways))).name == "c1-gw1"
    assert objects.lease(leader(C1.gateways).name)["spec"]["holderIdentity"] == "c1-gw1-submariner-gateway"


def test_the_gateway_daemonset_has_what_stock_tools_read() -> None:
    spec = DAEMONSETS["submariner-gateway"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert spec["nodeSelector"] == {"submariner.io/gateway": "true"}
    assert container["name"] == "submariner-gateway"
    assert (env["SUBMARINER_CLUSTERID"], env["SUBMARINER_HEALTHCHECKENABLED"]) == ("c1", "true")


@pytest.mark.parametrize("name", DAEMONSETS)
def test_a_daemonset_selects_its_pods_runs_everywhere_and_on_the_host_network(name: str) -> None:
    daemonset = DAEMONSETS[name]
    template = daemonset["spec"]["template"]
    assert daemonset["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert template["spec"]["hostNetwork"] is True
    assert template["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert "letmein" not in str(daemonset), "the token belongs in the Secret"


@pytest.mark.parametrize("name", DAEMONSETS)
def test_a_pod_s_environment_is_complete(name: str) -> None:
    """Resolved as a kubelet would, it is what the process asks for."""
    secret = {key: base64.b64decode(value).decode() for key, value in workloads.secret(C1, ACCESS)["data"].items()}
    fields = {"spec.nodeName": "c1-gw1", "metadata.name": "pod-x"}
    (container,) = DAEMONSETS[name]["spec"]["template"]["spec"]["containers"]
    env = {}
    for entry in container["env"]:
        source = entry.get("valueFrom", {})
        if "fieldRef" in source:
            env[entry["name"]] = fields[source["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in source:
            assert source["secretKeyRef"]["name"] == workloads.SECRET
            env[entry["name"]] = secret[source["secretKeyRef"]["key"]]
        else:
            env[entry["name"]] = entry["value"]
    settings = Settings.from_environment(env)
    assert (settings.cluster_id, settings.node_name, settings.pod_name) == ("c1", "c1-gw1", "pod-x")
    assert (settings.pod_cidrs, settings.service_cidrs) == (("10.8.0.0/16",), ("100.8.0.0/16",))
    assert (settings.api_url, settings.api_token, settings.api_ca) == (ACCESS.urls["c1"], "letmein", "-----BEGIN")
    assert (settings.health_check, settings.interval_s, settings.max_loss) == (True, 1.0, 5)


def test_commands_name_functions_that_exist() -> None:
    mains = {workloads.GATEWAY_MAIN: gateway.main, workloads.ROUTE_AGENT_MAIN: routeagent.main}
    for text, function in mains.items():
        assert text == f"{function.__module__}:{function.__name__}"
    commands = {d["spec"]["template"]["spec"]["containers"][0]["command"][1] for d in DAEMONSETS.values()}
    assert commands == set(mains)


def test_the_submariner_resource_has_every_required_field() -> None:
    """Those of the CRD; without one a genuine API server refuses it."""
    spec = objects.submariner(C1, "vxlan", "127.0.0.1:40001", token="letmein", ca_pem=b"-----BEGIN")["spec"]
    required = "broker brokerK8sApiServer brokerK8sRemoteNamespace ceIPSecDebug clusterCIDR clusterID debug namespace"
    assert {*required.split(), "natEnabled", "serviceCIDR"} <= set(spec)
    assert {"clusterID", "natEnabled"} <= set(objects.submariner_status(C1)["status"])
    assert base64.b64decode(spec["brokerK8sCA"]) == b"-----BEGIN"


def test_access_does_not_print_its_secrets() -> None:
    assert "letmein" not in repr(ACCESS)

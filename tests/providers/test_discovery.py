"""One cluster's objects in, a `Cluster` out: roles, identity, facts, and one clear line for what is not fit."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_submariner.errors import TopologyError
from pytest_submariner.kube.errors import ResourceAbsent
from pytest_submariner.model.topology import Cluster, Role
from pytest_submariner.providers import kubeconfig
from pytest_submariner.providers.contexts import Place
from pytest_submariner.providers.discovery import discover

Object = dict[str, Any]


class Objects:
    """A cluster's API, as far as discovery asks it. A resource that is not there is a kind the cluster does not know."""

    def __init__(self, **resources: list[Object]) -> None:
        self.resources = {name.replace("__", "."): found for name, found in resources.items()}

    def version(self) -> str:
        return "v1.31.0"

    def list(self, resource: str, *, namespace: str | None = None, labels: str = "", fields: str = "") -> list[Object]:
        name = resource.removesuffix(".submariner.io")
        if name not in self.resources:
            raise ResourceAbsent(f"this cluster has no {resource}")
        return self.resources[name]


def node(name: str, ip: str, *, gateway: bool = False, hostname: str | None = None) -> Object:
    labels = {"kubernetes.io/hostname": hostname or name, **({"submariner.io/gateway": "true"} if gateway else {})}
    addresses = [
        {"type": "InternalIP", "address": "fd00::1"},
        {"type": "InternalIP", "address": ip},
        {"type": "Hostname", "address": name},
    ]
    return {"metadata": {"name": name, "labels": labels}, "status": {"addresses": addresses}}


def gateway(name: str, status: str, *, hostname: str | None = None, ip: str = "", cluster_id: str = "north") -> Object:
    endpoint = {"hostname": hostname or name, "private_ip": ip, "cluster_id": cluster_id, "backend": "libreswan"}
    return {"metadata": {"name": name}, "status": {"haStatus": status, "version": "0.19.1", "localEndpoint": endpoint}}


def cluster_object(cluster_id: str, *, global_cidr: list[str] | None = None) -> Object:
    spec = {"cluster_id": cluster_id, "cluster_cidr": ["10.8.0.0/16"], "service_cidr": ["100.8.0.0/16"]}
    return {"metadata": {"name": cluster_id}, "spec": {**spec, "global_cidr": global_cidr or []}}


def healthy(**changed: list[Object]) -> Objects:
    resources: dict[str, list[Object]] = {
        "nodes": [node("w2", "172.18.0.13"), node("gw", "172.18.0.11", gateway=True), node("w1", "172.18.0.12")],
        "gateways": [gateway("gw", "active")],
        "endpoints": [],
        "clusters": [cluster_object("south"), cluster_object("north")],
        "submariners": [{"metadata": {"name": "submariner"}, "status": {"networkPlugin": "kindnet"}}],
    }
    return Objects(**{**resources, **changed})


def find(objects: Objects) -> Cluster:
    return discover(objects, "c1", context="north", kubeconfig="/k", where="c1 (context north)")


def roles(cluster: Cluster) -> dict[str, str]:
    return {found.name: found.role.value for found in cluster.nodes}


def test_a_healthy_cluster() -> None:
    cluster = find(healthy())
    assert roles(cluster) == {"gw": "gateway", "w1": "non-gateway", "w2": "non-gateway"}
    assert [found.internal_ip for found in cluster.nodes] == ["172.18.0.11", "172.18.0.12", "172.18.0.13"]
    assert cluster == Cluster(
        position="c1",
        context="north",
        kubeconfig="/k",
        cluster_id="north",
        nodes=cluster.nodes,
        pod_cidrs=("10.8.0.0/16",),
        service_cidrs=("100.8.0.0/16",),
        network_plugin="kindnet",
        cable_driver="libreswan",
        submariner_version="0.19.1",
        kubernetes_version="v1.31.0",
        globalnet=False,
    )


def test_a_labelled_node_that_is_not_active_is_passive() -> None:
    nodes = [
        node("gw1", "172.18.0.11", gateway=True),
        node("gw2", "172.18.0.12", gateway=True),
        node("w1", "172.18.0.13"),
    ]
    cluster = find(healthy(nodes=nodes, gateways=[gateway("gw1", "passive"), gateway("gw2", "active")]))
    assert roles(cluster) == {"gw1": "passive", "gw2": "gateway", "w1": "non-gateway"}
    assert cluster.node_at("gw") == cluster.nodes_with(Role.GATEWAY)[0]


def test_of_two_that_say_active_the_labelled_node_counts() -> None:
    nodes = [node("gw1", "172.18.0.11"), node("gw2", "172.18.0.12", gateway=True)]
    cluster = find(healthy(nodes=nodes, gateways=[gateway("gw1", "active"), gateway("gw2", "active")]))
    assert roles(cluster) == {"gw1": "non-gateway", "gw2": "gateway"}


@pytest.mark.parametrize(
    "named",
    [gateway("ip-10-0-0-1", "active", ip="172.18.0.11"), gateway("ip-10-0-0-1", "active", hostname="host-of-gw")],
    ids=["by-address", "by-hostname-label"],
)
def test_a_gateway_that_is_not_called_like_its_node(named: Object) -> None:
    nodes = [node("gw", "172.18.0.11", gateway=True, hostname="host-of-gw"), node("w1", "172.18.0.12")]
    assert roles(find(healthy(nodes=nodes, gateways=[named]))) == {"gw": "gateway", "w1": "non-gateway"}


def test_globalnet_shows_in_the_cluster_object() -> None:
    assert find(healthy(clusters=[cluster_object("north", global_cidr=["242.0.0.0/16"])])).globalnet


def test_a_cluster_joined_without_the_operator() -> None:
    objects = healthy()
    del objects.resources["submariners"]
    cluster = find(objects)
    assert (cluster.cluster_id, cluster.network_plugin) == ("north", "")


def test_the_cluster_id_of_a_gateway_that_has_not_published_its_endpoint() -> None:
    bare = gateway("gw", "active")
    bare["status"]["localEndpoint"] = None
    local = {"metadata": {"name": "e1"}, "spec": {"cluster_id": "north"}}
    remote = {
        "metadata": {"name": "e2", "labels": {"submariner-io/clusterID": "south"}},
        "spec": {"cluster_id": "south"},
    }
    assert find(healthy(gateways=[bare], endpoints=[remote, local])).cluster_id == "north"
    with pytest.raises(TopologyError, match="has not published a local Endpoint yet"):
        find(healthy(gateways=[bare], endpoints=[remote]))


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        (Objects(nodes=[]), r"c1 \(context north\): Submariner is not installed .* join the cluster with subctl join"),
        (
            healthy(gateways=[gateway("gone", "active")]),
            r"active Gateway gone names no node of the cluster \(nodes: gw, w1, w2\)",
        ),
    ],
    ids=["no-submariner", "gateway-of-no-node"],
)
def test_what_is_not_fit_is_one_line(objects: Objects, said: str) -> None:
    with pytest.raises(TopologyError, match=said) as raised:
        find(objects)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (healthy(gateways=[gateway("gw", "passive")]), {"gw": "passive", "w1": "non-gateway", "w2": "non-gateway"}),
        (healthy(gateways=[]), {"gw": "passive", "w1": "non-gateway", "w2": "non-gateway"}),
        (
            healthy(nodes=[node("n1", "1.1.1.1"), node("n2", "1.1.1.2")], gateways=[]),
            {"n1": "non-gateway", "n2": "non-gateway"},
        ),
    ],
    ids=["passive-only", "no-gateway-object", "no-label"],
)
def test_without_an_active_gateway_no_node_has_its_role(objects: Objects, expected: dict[str, str]) -> None:
    objects.resources["submariners"][0]["spec"] = {"clusterID": "north", "cableDriver": "libreswan"}
    cluster = find(objects)
    assert roles(cluster) == expected
    assert (cluster.cluster_id, cluster.cable_driver) == ("north", "libreswan")


def test_the_cluster_id_of_a_cluster_whose_gateway_is_gone() -> None:
    remote = cluster_object("south")
    remote["metadata"]["labels"] = {"submariner-io/clusterID": "south"}
    assert find(healthy(gateways=[], clusters=[remote, cluster_object("north")])).cluster_id == "north"


def test_of_two_labelled_ones_that_say_active_the_lease_holder_counts() -> None:
    nodes = [node("gw1", "172.18.0.11", gateway=True), node("gw2", "172.18.0.12", gateway=True)]
    objects = healthy(nodes=nodes, gateways=[gateway("gw1", "active"), gateway("gw2", "active")])
    assert roles(find(objects)) == {"gw1": "gateway", "gw2": "passive"}
    lease = {"metadata": {"name": "submariner-gateway-lock"}, "spec": {"holderIdentity": "gw2-submariner-gateway"}}
    objects.resources["leases.coordination.k8s.io"] = [lease]
    assert roles(find(objects)) == {"gw1": "passive", "gw2": "gateway"}


def test_the_same_cluster_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(place: Place) -> Cluster:
        return discover(healthy(), place.position, context=str(place.context), kubeconfig=None, where="")

    monkeypatch.setattr(kubeconfig, "_find", found)
    with pytest.raises(
        TopologyError, match=r"c1 \(context a\) and c2 \(context b\) are both cluster ID north: .* name another"
    ):
        kubeconfig.find_topology([Place("c1", None, "a"), Place("c2", None, "b")], "kubeconfig")

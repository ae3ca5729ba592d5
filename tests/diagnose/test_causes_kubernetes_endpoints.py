"""What Endpoints tell: found in several forms, silent on look-alikes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from observations import changed, failing, found, healthy, suspicions, told

from pytest_submariner.diagnose.causes import kubernetes_endpoints as endpoints
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.lab.faults.signatures import CABLE, SERVICES_HERE
from pytest_submariner.model.nodestate import Address

Change = Callable[[dict[str, Any]], object]


def published(seen: Observation, cluster: str = "c1", **spec: Any) -> Observation:
    """With another spec in the Endpoint of `cluster`, everywhere; a new value, or a function from the old one."""

    def patch(item: dict[str, Any]) -> dict[str, Any]:
        if item["spec"]["cluster_id"] != cluster:
            return item
        made = copy.deepcopy(item)
        made["spec"] |= {key: value(made["spec"][key]) if callable(value) else value for key, value in spec.items()}
        return made

    for position in seen.objects:
        seen = told(seen, position, endpoints=lambda found: [patch(item) for item in found])
    return seen


@pytest.mark.parametrize(
    "spec",
    [
        {"hostname": "c1-former", "private_ip": "172.18.250.250"},
        {"hostname": "c1-w1", "private_ip": "172.18.1.3"},
        {"hostname": "c1-w2"},
        {"private_ip": "172.18.1.3"},
    ],
    ids=["of a node that is gone", "of a worker", "host only", "address only"],
)
def test_an_endpoint_of_a_former_gateway(spec: dict[str, str]) -> None:
    seen = failing(published(healthy(), **spec), CABLE)
    assert found(seen, endpoints.local_endpoint_stale) == [("K8S_LOCAL_ENDPOINT_STALE", "c1", "c1-gw")]


def test_a_gateway_named_unlike_its_node() -> None:
    seen = published(healthy(), hostname="ip-172-18-1-2")

    def rename(gateway: dict[str, Any]) -> dict[str, Any]:
        return {**gateway, "metadata": {**gateway["metadata"], "name": "ip-172-18-1-2"}}

    assert (
        suspicions(told(seen, "c1", gateways=lambda gateways: map(rename, gateways)), endpoints.local_endpoint_stale)
        == []
    )


def test_a_hostname_that_is_no_name_of_an_object() -> None:
    seen = published(healthy(skip=("c1-gw",)), hostname="C1_GW")
    assert suspicions(seen, endpoints.local_endpoint_stale) == []


def test_an_address_on_a_second_nic_is_not_stale() -> None:
    seen = changed(healthy(), "c1-gw", addresses=lambda found: [*found, Address("eth1", "192.168.77.2", 24)])
    assert suspicions(published(seen, private_ip="192.168.77.2"), endpoints.local_endpoint_stale) == []


def test_services_are_not_advertised() -> None:
    seen = failing(published(healthy(), subnets=lambda subnets: subnets[1:]), SERVICES_HERE)
    assert found(seen, endpoints.endpoint_subnets_incomplete) == [("K8S_ENDPOINT_SUBNETS_INCOMPLETE", "c1", "c1-gw")]
    [(_, suspicion)] = suspicions(seen, endpoints.endpoint_subnets_incomplete)
    assert set(seen.failing) == set(seen.failing_in(suspicion.explains))
    assert not any(
        flow.case.is_cross_cluster and flow.target.cluster == "c2" for flow in seen.failing_in(suspicion.explains)
    )


def test_a_part_of_the_pods_is_not_advertised() -> None:
    seen = published(healthy(), subnets=lambda subnets: [subnets[0], "10.8.1.0/24"])
    [(_, suspicion)] = suspicions(seen, endpoints.endpoint_subnets_incomplete)
    affected = [flow for flow in seen.flows if suspicion.explains(flow)]
    assert affected
    assert all("c1" in (flow.source.cluster, flow.target.cluster) for flow in affected)
    assert not any(
        flow.case.target.kind == "svc" and flow.case.source.kind == "pod" and flow.source.name == "c1-gw"
        for flow in affected
    )


def test_globalnet_advertises_its_own_range() -> None:
    seen = published(healthy(), subnets=["242.0.0.0/16"])
    clusters = tuple(replace(c, globalnet=True) for c in seen.topology.clusters)
    assert (
        suspicions(
            replace(seen, topology=replace(seen.topology, clusters=clusters)), endpoints.endpoint_subnets_incomplete
        )
        == []
    )


@pytest.mark.parametrize("more", [["10.9.128.0/17"], ["10.0.0.0/8"]], ids=["a part of it", "more than it"])
def test_overlapping_subnets(more: list[str]) -> None:
    seen = failing(published(healthy(), subnets=lambda subnets: [*subnets, *more]), CABLE)
    assert found(seen, endpoints.cidr_overlap) == [("K8S_CIDR_OVERLAP", "c1", "c1-gw")]


def test_an_overlap_that_harms_nobody() -> None:
    seen = failing(published(healthy(), subnets=lambda subnets: [*subnets, "10.9.128.0/17"]), "pod.ngw.c1--*.c2--*")
    assert found(seen, endpoints.cidr_overlap) == []


def test_clusters_that_describe_the_same_range() -> None:
    def same(item: dict[str, Any]) -> dict[str, Any]:
        own = {**item["spec"], "cluster_cidr": ["10.9.0.0/16"]}
        return {**item, "spec": own} if item["spec"]["cluster_id"] == "c1" else item

    seen = told(
        published(healthy(), subnets=["100.8.0.0/16", "10.9.0.0/16"]), "c1", clusters=lambda found: map(same, found)
    )
    assert [code for code, *_ in found(failing(seen, CABLE), endpoints.cidr_overlap)] == ["K8S_CIDR_OVERLAP"]


def namesake(seen: Observation, subnets: list[str]) -> Observation:
    broker = dict(seen.objects["c2"].broker or {})
    second = copy.deepcopy(next(item for item in broker["endpoints"] if item["spec"]["cluster_id"] == "c1"))
    second["metadata"]["name"] = "c1-submariner-cable-c1-172-18-77-2"
    second["spec"] |= {"private_ip": "172.18.77.2", "subnets": subnets, "hostname": "other-gw"}
    broker["endpoints"] = (*broker["endpoints"], second)
    return replace(seen, objects={**seen.objects, "c2": replace(seen.objects["c2"], broker=broker)})


def test_two_clusters_under_one_id() -> None:
    seen = namesake(healthy(), ["10.77.0.0/16", "100.77.0.0/16"])
    assert found(seen) == [("K8S_DUPLICATE_CLUSTER_ID", "c1", "c1-gw")]


def test_a_gateway_and_its_successor_are_no_namesakes() -> None:
    assert suspicions(namesake(healthy(), ["100.8.0.0/16", "10.8.0.0/16"])) == []


@pytest.mark.parametrize("at", ["c1", "c2"])
def test_two_cable_drivers(at: str) -> None:
    seen = failing(published(healthy(), at, backend="wireguard"), CABLE)
    assert found(seen, endpoints.cable_driver_mismatch) == [("K8S_CABLE_DRIVER_MISMATCH", at, f"{at}-gw")]


def test_of_three_clusters_the_odd_one_has_the_wrong_driver() -> None:
    seen = failing(published(healthy(clusters=3, workers=1, cable="libreswan"), "c3", backend="vxlan"), CABLE, "c3")
    assert found(seen, endpoints.cable_driver_mismatch) == [("K8S_CABLE_DRIVER_MISMATCH", "c3", "c3-gw")]
    [(_, suspicion)] = suspicions(seen, endpoints.cable_driver_mismatch)
    assert not any(
        suspicion.explains(flow) for flow in seen.flows if "c3" not in (flow.source.cluster, flow.target.cluster)
    )

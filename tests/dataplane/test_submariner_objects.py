"""Objects of Submariner, read tolerantly and written as upstream writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_submariner.dataplane.objects import Cluster, Connection, Endpoint, Gateway, RouteAgent
from pytest_submariner.errors import TopologyError

OBSERVED = Path(__file__).parent / "observed"


def objects(kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = yaml.safe_load((OBSERVED / f"{kind}.submariner.io.yaml").read_text())["items"]
    return items


@pytest.mark.parametrize("source", objects("endpoints"), ids=lambda o: str(o["spec"]["cluster_id"]))
def test_an_endpoint_survives_the_round_trip(source: dict[str, Any]) -> None:
    assert Endpoint.from_object(source).to_spec() == source["spec"]


@pytest.mark.parametrize("source", objects("clusters"), ids=lambda o: str(o["spec"]["cluster_id"]))
def test_a_cluster_survives_the_round_trip(source: dict[str, Any]) -> None:
    assert Cluster.from_object(source).to_spec() == source["spec"]


def test_a_gateway_tells_its_connections() -> None:
    gateway = Gateway.from_object(objects("gateways")[0])
    assert gateway.is_active
    assert gateway.updated == 1795337478
    assert gateway.local_endpoint.hostname == gateway.name == "c1-gw"
    (connection,) = gateway.connections
    assert (connection.status, connection.using_ip, connection.using_nat) == ("connected", "172.18.0.21", False)
    assert set(connection.latency or {}) == {"last", "min", "average", "max", "stdDev"}


def test_unknown_fields_are_ignored_and_missing_optional_ones_defaulted() -> None:
    spec = {
        "cluster_id": "c3",
        "cable_name": "k",
        "hostname": "h",
        "private_ip": "192.0.2.1",
        "private_ips": ["fd00::1"],
    }
    endpoint = Endpoint.from_spec(spec)
    assert (endpoint.subnets, endpoint.backend, endpoint.public_ip) == ((), "libreswan", "")
    assert "healthCheckIP" not in endpoint.to_spec()
    assert Connection.from_dict({"spec": spec, "status": ""}).status == ""


@pytest.mark.parametrize("key", ["cluster_id", "cable_name", "hostname", "private_ip"])
def test_a_missing_field_is_named(key: str) -> None:
    source = objects("endpoints")[0]
    del source["spec"][key]
    with pytest.raises(TopologyError, match=rf"Endpoint c1-submariner-cable-c1-172-18-0-11 has no spec\.{key}"):
        Endpoint.from_object(source)


def test_a_gateway_with_an_empty_status_is_named() -> None:
    with pytest.raises(TopologyError, match=r"Gateway c1-gw has no status\.haStatus"):
        Gateway.from_object({"metadata": {"name": "c1-gw"}})


def test_an_empty_route_agent_has_no_remote_endpoints() -> None:
    assert RouteAgent.from_object(objects("routeagents")[0]).remote_endpoints == ()

"""What the gateway and route agent processes publish in each role and state of health."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from submariner_bench import SPEC

from pytest_submariner.dataplane.objects import Endpoint, Gateway, RouteAgent
from pytest_submariner.lab.submariner import agent, discovery, objects
from pytest_submariner.lab.submariner.agent import Settings
from pytest_submariner.lab.submariner.client import ApiFailure
from pytest_submariner.lab.submariner.gateway import GatewayProcess
from pytest_submariner.lab.submariner.pinger import Health
from pytest_submariner.lab.submariner.routeagent import RouteAgentProcess
from pytest_submariner.lab.submariner.topology import endpoint_of

Object = dict[str, Any]
C1, C2 = SPEC.clusters
ENDPOINTS = [endpoint_of(C1, SPEC.node("c1-gw1"), "vxlan"), endpoint_of(C2, SPEC.node("c2-gw1"), "vxlan")]
REMOTE_IP = "10.9.1.1"
OPERATOR = "/apis/submariner.io/v1/namespaces/submariner-operator"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/submariner-operator/leases"
LEASE = f"{LEASES}/submariner-gateway-lock"
ENVIRONMENT = {
    "NODE_NAME": "c1-gw1",
    "POD_NAME": "submariner-gateway-x",
    "SUBMARINER_NAMESPACE": "submariner-operator",
    "SUBMARINER_CLUSTERID": "c1",
    "SUBMARINER_CLUSTERCIDR": "10.8.0.0/16",
    "SUBMARINER_SERVICECIDR": "100.8.0.0/16",
    "LAB_API_URL": "https://172.18.0.1:6443",
    "LAB_API_TOKEN": "secret-token",
    "LAB_API_CA": "",
}


class Api:
    """Remembers what was written. c1-gw1 holds the lease."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self.stored: dict[str, Object] = {}
        self.fails = False
        for endpoint in endpoints:
            self.put(f"{OPERATOR}/endpoints", objects.endpoint(endpoint, "submariner-operator", synced=False))
        self.patches: list[tuple[str, Object]] = []
        self.create(LEASES, objects.lease("c1-gw1"))

    def get(self, path: str) -> Object | None:
        return self.stored.get(path)

    def create(self, collection: str, body: Object) -> None:
        if f"{collection}/{body['metadata']['name']}" in self.stored:
            raise ApiFailure(409, "already exists")
        self.put(collection, body)

    def replace(self, path: str, body: Object) -> None:
        if self.stored[path]["metadata"].get("resourceVersion") != body["metadata"].get("resourceVersion"):
            raise ApiFailure(409, "the object has been modified")
        self.stored[path] = body

    def put(self, collection: str, body: Object) -> None:
        if self.fails:
            raise ApiFailure(0, "connection refused")
        self.stored[f"{collection}/{body['metadata']['name']}"] = body

    def list(self, path: str) -> list[Object]:
        if self.fails:
            raise ApiFailure(0, "connection refused")
        return [body for key, body in self.stored.items() if key.startswith(path + "/")]

    def patch(self, path: str, body: Object) -> None:
        self.patches.append((path, body))

    def delete(self, path: str) -> None:
        self.stored.pop(path, None)

    def close(self) -> None:
        pass


class Pings:
    """A pinger whose targets all have the health it is given."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.targets: dict[str, Health] = {}

    def watch(self, ips: Iterable[str]) -> None:
        self.targets = {ip: Health(ip, self.status) for ip in ips}
        for health in self.targets.values():
            if self.status:
                health.latency.add(364_542)

    def run(self, until: float) -> bool:
        time.sleep(max(0.0, until - time.monotonic()))
        return False


@pytest.fixture(autouse=True)
def on_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "private_ip", lambda: "172.18.1.1")
    monkeypatch.setattr(discovery, "cni_ip", lambda cidrs: "10.8.1.1")


def gateway(hostname: str = "c1-gw1", health: str = "") -> tuple[GatewayProcess, Api]:
    return _on(GatewayProcess(_settings(hostname)), health)


def route_agent(hostname: str = "c1-w1", health: str = "") -> tuple[RouteAgentProcess, Api]:
    return _on(RouteAgentProcess(_settings(hostname)), health)


def _settings(hostname: str) -> Settings:
    return replace(Settings.from_environment(ENVIRONMENT | {"NODE_NAME": hostname}), hostname=hostname)


def _on(process: Any, health: str) -> tuple[Any, Api]:
    api = Api(ENDPOINTS)
    process.api, process.pinger = api, Pings(health)
    process.refresh()
    process.publish()
    return process, api


def published(api: Api, name: str = "c1-gw1") -> Gateway:
    return Gateway.from_object(api.stored[f"{OPERATOR}/gateways/{name}"])


def test_the_active_gateway_reports_its_cables_and_labels_its_pod() -> None:
    _, api = gateway(health="connected")
    found = published(api)
    assert found.is_active
    assert found.local_endpoint == ENDPOINTS[0]
    assert abs((found.updated or 0) - time.time()) < 5
    (connection,) = found.connections
    assert (connection.endpoint, connection.status, connection.using_ip) == (ENDPOINTS[1], "connected", "172.18.2.1")
    assert (connection.latency or {})["last"] == "364.542µs"
    (pod,) = api.patches
    assert pod[0] == "/api/v1/namespaces/submariner-operator/pods/submariner-gateway-x"
    labels = {"gateway.submariner.io/status": "active", "gateway.submariner.io/node": "c1-gw1"}
    assert pod[1] == {"metadata": {"labels": labels}}
    assert api.stored[LEASE]["spec"]["renewTime"] >= api.stored[LEASE]["spec"]["acquireTime"]


def test_before_the_first_reply_a_cable_is_connected_without_a_latency() -> None:
    _, api = gateway()
    (connection,) = published(api).connections
    assert (connection.status, set((connection.latency or {}).values())) == ("connected", {"0s"})


def test_a_lost_remote_gateway_is_an_error_with_its_address() -> None:
    _, api = gateway(health="error")
    (connection,) = published(api).connections
    message = 'Failed to successfully ping the remote endpoint IP "10.9.1.1"'
    assert (connection.status, connection.status_message) == ("error", message)


def test_a_passive_gateway_has_no_connections_and_does_not_renew_the_lease() -> None:
    _, api = gateway("c1-gw2", health="connected")
    found = published(api, "c1-gw2")
    assert (found.ha_status, found.connections) == ("passive", ())
    (pod,) = api.patches
    assert pod[1]["metadata"]["labels"]["gateway.submariner.io/status"] == "passive"


def hold_lease(api: Api, holder: str, **spec: Any) -> None:
    api.stored[LEASE] = {**objects.lease(holder), "spec": {**objects.lease(holder)["spec"], **spec}}


def local_endpoints(api: Api) -> list[str]:
    return [key.rsplit("/", 1)[1] for key in api.stored if key.startswith(f"{OPERATOR}/endpoints/c1-")]


def test_the_role_follows_the_lease() -> None:
    process, api = gateway(health="connected")
    hold_lease(api, "c1-gw2")
    process.refresh()
    process.publish()
    assert published(api).ha_status == "passive"
    assert api.patches[-1][1]["metadata"]["labels"]["gateway.submariner.io/status"] == "passive"


def test_a_passive_gateway_takes_an_expired_lease_and_its_endpoint_replaces_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "private_ip", lambda: "172.18.1.2")
    process, api = gateway("c1-gw2", health="connected")
    assert local_endpoints(api) == ["c1-submariner-cable-c1-172-18-1-1"]
    clock = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: clock + 14)
    process.refresh()
    assert not process.leads
    hold_lease(api, "c1-gw1", renewTime="renewed")
    process.refresh()
    monkeypatch.setattr(time, "monotonic", lambda: clock + 28)
    process.refresh()
    assert not process.leads, "the lease was renewed 14 seconds ago"
    monkeypatch.setattr(time, "monotonic", lambda: clock + 30)
    process.refresh()
    monkeypatch.undo()
    assert process.leads
    assert local_endpoints(api) == ["c1-submariner-cable-c1-172-18-1-2"]
    spec = api.stored[LEASE]["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("c1-gw2-submariner-gateway", 1)
    process.publish()
    assert published(api, "c1-gw2").is_active


@pytest.mark.parametrize("rival", ["creates it", "changes it"])
def test_a_gateway_that_is_not_quick_enough_stays_passive(rival: str, monkeypatch: pytest.MonkeyPatch) -> None:
    process, api = gateway("c1-gw2")
    hold_lease(api, "")
    stale = None if rival == "creates it" else {**api.stored[LEASE], "metadata": {"resourceVersion": "1"}}
    monkeypatch.setattr(api, "get", lambda path: stale)
    process.refresh()
    assert not process.leads


def test_without_a_lease_the_first_gateway_makes_one() -> None:
    process, api = gateway("c1-gw2")
    del api.stored[LEASE]
    process.refresh()
    assert process.leads
    assert api.stored[LEASE]["spec"]["holderIdentity"] == "c1-gw2-submariner-gateway"


def test_the_active_gateway_removes_gateways_that_stopped_refreshing() -> None:
    process, api = gateway(health="connected")
    for name, age in (("c1-gw8", 60), ("c1-gw9", 3)):
        stamp = str(int(time.time()) - age)
        body = {"metadata": {"name": name, "annotations": {"update-timestamp": stamp}}}
        api.put(f"{OPERATOR}/gateways", body)
    process.publish()
    assert {key.rsplit("/", 1)[1] for key in api.stored if "/gateways/" in key} == {"c1-gw1", "c1-gw9"}


def test_a_gateway_takes_its_object_with_it() -> None:
    process, api = gateway()
    process.withdraw()
    assert not [key for key in api.stored if "/gateways/" in key]


@pytest.mark.parametrize(
    ("health", "status", "message"),
    [
        ("", "", ""),
        ("connected", "connected", ""),
        ("error", "error", 'Failed to successfully ping the remote endpoint IP "10.9.1.1"'),
    ],
)
def test_a_route_agent_reports_what_its_pings_say(health: str, status: str, message: str) -> None:
    process, api = route_agent(health=health)
    found = RouteAgent.from_object(api.stored[f"{OPERATOR}/routeagents/c1-w1"])
    (remote,) = found.remote_endpoints
    assert (remote.endpoint, remote.status, remote.status_message) == (ENDPOINTS[1], status, message)
    process.withdraw()
    assert not [key for key in api.stored if "/routeagents/" in key]


def test_on_the_active_gateway_a_route_agent_does_not_ping() -> None:
    process, api = route_agent("c1-gw1", health="connected")
    (remote,) = RouteAgent.from_object(api.stored[f"{OPERATOR}/routeagents/c1-gw1"]).remote_endpoints
    assert (remote.status, remote.status_message) == ("none", "Health check is not performed on gateway nodes")
    assert remote.latency is None
    assert process.pinger is not None
    assert process.pinger.targets == {}


@pytest.mark.parametrize(
    ("without", "message"),
    [("pinger", "Health check is not enabled"), ("address", "Health checker IP is not configured")],
)
def test_without_a_way_to_ping_a_route_agent_says_so(without: str, message: str) -> None:
    process, api = route_agent()
    if without == "pinger":
        process.pinger = None
        process.settings = Settings.from_environment(ENVIRONMENT | {"SUBMARINER_HEALTHCHECKENABLED": "false"})
    else:
        body = next(body for key, body in api.stored.items() if "endpoints/c2" in key)
        del body["spec"]["healthCheckIP"]
        process.refresh()
    process.publish()
    name = process.settings.node_name
    (remote,) = RouteAgent.from_object(api.stored[f"{OPERATOR}/routeagents/{name}"]).remote_endpoints
    assert (remote.status, remote.status_message) == ("none", message)


def test_an_endpoint_that_makes_no_sense_does_not_stop_the_others() -> None:
    process, api = route_agent()
    api.stored[f"{OPERATOR}/endpoints/odd"] = {"metadata": {"name": "odd"}, "spec": {"cluster_id": "c9"}}
    process.refresh()
    assert [e.cluster_id for e in process.remotes] == ["c2"]


def test_an_api_that_comes_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a second period begins the loop is stopped, as SIGTERM would."""
    monkeypatch.setattr(agent, "RETRY_S", 0.01)
    process, api = route_agent(health="connected")
    api.stored.clear()
    api.fails = True
    waits: list[float] = []

    def wait(until: float) -> bool:
        waits.append(until)
        api.fails = len(waits) < 3
        if len(waits) > 6:
            raise agent.Stop
        return False

    monkeypatch.setattr(process, "_wait", wait)
    with pytest.raises(agent.Stop):
        process.run()
    assert f"{OPERATOR}/routeagents/c1-w1" in api.stored


def test_a_missing_variable_is_named_and_the_process_ends() -> None:
    code = "import sys; from pytest_submariner.lab.submariner.gateway import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for name in ENVIRONMENT:
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "cannot start: 'NODE_NAME'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_sigterm_ends_a_process_that_cannot_reach_the_api() -> None:
    code = "import sys; from pytest_submariner.lab.submariner.routeagent import main; sys.exit(main())"
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "LAB_API_URL": "https://127.0.0.1:1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == f"submariner-routeagent version: {objects.VERSION}\n"
    line = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "GET /apis/submariner.io/v1/namespaces/submariner-operator/endpoints" in line


def test_settings_do_not_print_their_secrets() -> None:
    assert "secret-token" not in repr(Settings.from_environment(ENVIRONMENT))


def test_the_cni_address_is_found_by_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert discovery.cni_ip(["127.0.0.0/8"]) == "127.0.0.1"
    assert discovery.cni_ip(["203.0.113.0/24"]) is None

"""The status path: what a Gateway must say to count as connected."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from pytest_submariner.errors import NodeUnreachable
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.probes import gateway_status
from pytest_submariner.probes.gateway_status import judge, milliseconds, watch

RTT = {"average": "417.568µs", "last": "364.5µs", "max": "954.5µs", "min": "206.1µs", "stdDev": "208.4µs"}
GATEWAY: dict[str, Any] = {
    "metadata": {"name": "c1-gw"},
    "status": {
        "haStatus": "active",
        "connections": [
            {
                "status": "connected",
                "statusMessage": "",
                "usingIP": "172.18.2.1",
                "endpoint": {
                    "cluster_id": "c2",
                    "backend": "vxlan",
                    "cable_name": "submariner-cable-c2-172-18-2-1",
                    "healthCheckIP": "10.9.1.1",
                },
                "latencyRTT": RTT,
            }
        ],
    },
}


def gateway(**connection: Any) -> dict[str, Any]:
    made = copy.deepcopy(GATEWAY)
    made["status"]["connections"][0].update(connection)
    return made


PASSIVE: dict[str, Any] = {"metadata": {"name": "c1-gw2"}, "status": {"haStatus": "passive", "connections": []}}


def test_connected() -> None:
    status = judge([PASSIVE, GATEWAY], "c2", health_check=True)
    assert status.verdict is Verdict.OK
    assert status.rtt_ms == pytest.approx(0.417568)
    assert "round trip 417.568µs" in status.detail
    assert any("172.18.2.1" in line for line in status.evidence)


@pytest.mark.parametrize(
    ("gateways", "health_check", "why"),
    [
        ([], True, "exactly one Gateway must be active: none of 0"),
        ([PASSIVE], True, "exactly one Gateway must be active: none of 1"),
        ([GATEWAY, gateway()], True, "exactly one Gateway must be active: c1-gw, c1-gw of 2"),
        ([gateway(endpoint={"cluster_id": "c3"})], True, "no connection to cluster c2 .it has: c3."),
        ([gateway(status="error", statusMessage="Failed to ping")], True, "says of cluster c2: error: Failed to ping"),
        ([gateway(status="connecting")], False, "says of cluster c2: connecting"),
        ([gateway(latencyRTT=None)], True, "without latencyRTT.average, latencyRTT.last"),
        ([gateway(latencyRTT={**RTT, "min": ""})], None, "without latencyRTT.min$"),
        ([gateway(endpoint={"cluster_id": "c2"})], True, "without endpoint.healthCheckIP"),
    ],
)
def test_not_connected(gateways: list[dict[str, Any]], health_check: bool | None, why: str) -> None:
    status = judge(gateways, "c2", health_check=health_check)
    assert status.verdict is Verdict.BLOCKED
    assert re.search(why, status.detail), status.detail


def test_without_health_check_no_round_trip_is_asked_for() -> None:
    status = judge([gateway(latencyRTT=None, endpoint={"cluster_id": "c2"})], "c2", health_check=None)
    assert status.verdict is Verdict.OK
    assert status.rtt_ms is None
    assert "health check is off" in status.detail


@pytest.mark.parametrize(
    ("duration", "ms"),
    [
        ("417.568µs", 0.417568),
        ("2.1ms", 2.1),
        ("0s", 0.0),
        ("1m2.5s", 62500.0),
        ("1us", 0.001),
        ("", None),
        ("fast", None),
        ("3", None),
    ],
)
def test_go_durations(duration: str, ms: float | None) -> None:
    assert milliseconds(duration) == ms


class Kube:
    """Gateways that change from read to read, and gateway pods with the setting of their health check."""

    def __init__(self, *readings: list[dict[str, Any]]) -> None:
        self.readings = list(readings)

    def list(self, resource: str, *, labels: str = "") -> list[dict[str, Any]]:
        if resource == "pods":
            assert labels == "app=submariner-gateway"
            return [{"spec": {"containers": [{"env": [{"name": "SUBMARINER_HEALTHCHECKENABLED", "value": "true"}]}]}}]
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


def test_it_waits_for_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_status, "PAUSE_S", 0.01)
    kube: Any = Kube([gateway(status="connecting")], [GATEWAY])
    status = watch(lambda: kube, lambda: kube, "c2", 5.0)
    assert (status.verdict, status.reads) == (Verdict.OK, 2)


def test_it_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_status, "PAUSE_S", 0.01)
    kube: Any = Kube([gateway(status="error")])
    status = watch(lambda: kube, lambda: kube, "c2", 0.05)
    assert status.verdict is Verdict.BLOCKED
    assert 1 < status.reads < 20


def test_an_api_that_does_not_answer_is_an_error() -> None:
    def gone() -> Any:
        raise NodeUnreachable("https://api refused the connection")

    status = watch(gone, gone, "c2", 1.0)
    assert status.verdict is Verdict.ERROR
    assert status.detail == "could not ask: https://api refused the connection"

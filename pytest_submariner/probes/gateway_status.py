"""The status path: what the active Gateway publishes about its cable to another cluster, as subctl's gateway spec reads it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_submariner.errors import SubmarinerError
from pytest_submariner.model.verdict import Verdict

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient

PAUSE_S = 1.0
RTT_FIELDS = ("average", "last", "max", "min", "stdDev")
_UNITS_MS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1000.0, "ms": 1.0, "µs": 1e-3, "us": 1e-3, "ns": 1e-6}
_PART = re.compile(r"([0-9.]+)(ns|us|µs|ms|h|m|s)")


@dataclass(frozen=True)
class GatewayStatus:
    """What was read last, judged; `reads` is how often it was asked."""

    verdict: Verdict
    detail: str
    reads: int
    rtt_ms: float | None = None
    evidence: tuple[str, ...] = ()


def watch(
    source: Callable[[], KubeClient], target: Callable[[], KubeClient], cluster_id: str, wait_s: float
) -> GatewayStatus:
    """Read the Gateways of the source's cluster until the connection to `cluster_id` is good, for at most `wait_s` seconds."""
    end = time.monotonic() + wait_s
    reads = 0
    while True:
        reads += 1
        try:
            gateways = source().list("gateways.submariner.io")
            status = judge(gateways, cluster_id, health_check=_health_check(target()), reads=reads)
        except SubmarinerError as error:
            return GatewayStatus(Verdict.ERROR, f"could not ask: {error}", reads)
        if status.verdict is Verdict.OK or time.monotonic() + PAUSE_S > end:
            return status
        time.sleep(PAUSE_S)


def judge(
    gateways: list[dict[str, Any]], cluster_id: str, *, health_check: bool | None, reads: int = 1
) -> GatewayStatus:
    """One reading. `health_check` is the remote cluster's setting; None (unknown) takes a published health-check IP for a yes."""
    active = [gateway for gateway in gateways if gateway.get("status", {}).get("haStatus") == "active"]
    if len(active) != 1:
        names = ", ".join(_name(gateway) for gateway in active) or "none"
        return GatewayStatus(Verdict.BLOCKED, f"exactly one Gateway must be active: {names} of {len(gateways)}", reads)
    gateway = active[0]
    connections = gateway["status"].get("connections") or []
    connection = next((c for c in connections if c.get("endpoint", {}).get("cluster_id") == cluster_id), None)
    if connection is None:
        others = ", ".join(str(c.get("endpoint", {}).get("cluster_id")) for c in connections) or "none"
        detail = f"Gateway {_name(gateway)} has no connection to cluster {cluster_id} (it has: {others})"
        return GatewayStatus(Verdict.BLOCKED, detail, reads)
    evidence = _evidence(gateway, connection)
    status, message = connection.get("status"), connection.get("statusMessage")
    if status != "connected":
        detail = f"Gateway {_name(gateway)} says of cluster {cluster_id}: {status}" + (
            f": {message}" if message else ""
        )
        return GatewayStatus(Verdict.BLOCKED, detail, reads, evidence=evidence)
    rtt = connection.get("latencyRTT") or {}
    if health_check is None:
        health_check = bool(connection["endpoint"].get("healthCheckIP"))
    if health_check:
        missing = [f"latencyRTT.{field}" for field in RTT_FIELDS if not rtt.get(field)]
        missing += [] if connection["endpoint"].get("healthCheckIP") else ["endpoint.healthCheckIP"]
        if missing:
            detail = f"Gateway {_name(gateway)} is connected to cluster {cluster_id}, but without {', '.join(missing)}"
            return GatewayStatus(Verdict.BLOCKED, detail, reads, evidence=evidence)
    said = f", round trip {rtt['average']}" if rtt.get("average") else ", health check is off"
    detail = f"Gateway {_name(gateway)} is connected to cluster {cluster_id}{said}"
    return GatewayStatus(Verdict.OK, detail, reads, milliseconds(rtt.get("average", "")), evidence)


def milliseconds(duration: str) -> float | None:
    """A Go duration (`417.568µs`, `1m2.5s`) in ms; None for what is not one."""
    parts = _PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        return None
    return round(sum(float(number) * _UNITS_MS[unit] for number, unit in parts), 6)


def _evidence(gateway: dict[str, Any], connection: dict[str, Any]) -> tuple[str, ...]:
    endpoint = connection.get("endpoint", {})
    using = f" over {connection['usingIP']}" if connection.get("usingIP") else ""
    lines = [
        f"Gateway {_name(gateway)}: {endpoint.get('backend', 'unknown')} cable {endpoint.get('cable_name')}{using} "
        f"is {connection.get('status')}"
    ]
    if connection.get("latencyRTT"):
        lines.append("latencyRTT " + ", ".join(f"{key} {value}" for key, value in connection["latencyRTT"].items()))
    if endpoint.get("healthCheckIP"):
        lines.append(f"health check pings {endpoint['healthCheckIP']}")
    return tuple(lines)


def _health_check(kube: KubeClient) -> bool | None:
    """SUBMARINER_HEALTHCHECKENABLED of the remote gateway pods; None when no such pod tells."""
    for pod in kube.list("pods", labels="app=submariner-gateway"):
        for variable in pod["spec"]["containers"][0].get("env") or ():
            if variable.get("name") == "SUBMARINER_HEALTHCHECKENABLED" and "value" in variable:
                return str(variable["value"]).lower() == "true"
    return None


def _name(gateway: dict[str, Any]) -> str:
    return str(gateway.get("metadata", {}).get("name"))

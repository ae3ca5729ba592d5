"""What Submariner publishes, typed: Endpoint, Cluster, Gateway and RouteAgent, parsed from API objects and written
back.

Unknown fields are ignored, so objects of newer releases can be read; a missing field that matters is a TopologyError
naming it. Shapes: submariner:pkg/apis/submariner.io/v1/types.go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_submariner.errors import TopologyError

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """One end of a cable: a cluster's active gateway, its subnets (service CIDRs first, then pod CIDRs) and where to
    reach it.

    `hostname` is the OS hostname of the gateway node, which need not be the Node's name. `created` orders Endpoints
    of one cluster (RFC 3339 text of metadata.creationTimestamp, "" when unknown)."""

    cluster_id: str
    cable_name: str
    hostname: str
    subnets: tuple[str, ...]
    private_ip: str
    public_ip: str = ""
    nat_enabled: bool = False
    backend: str = "libreswan"
    backend_config: Mapping[str, str] = field(default_factory=dict, hash=False)
    health_check_ip: str = ""
    name: str = field(default="", compare=False)
    created: str = field(default="", compare=False)

    @classmethod
    def from_object(cls, source: Object) -> Endpoint:
        """From an `endpoints.submariner.io` object."""
        metadata = source.get("metadata") or {}
        name = metadata.get("name", "")
        return cls.from_spec(source.get("spec") or {}, name=name, created=metadata.get("creationTimestamp") or "")

    @classmethod
    def from_spec(cls, spec: Object, *, name: str = "", created: str = "") -> Endpoint:
        """From an Endpoint's spec, as Gateway and RouteAgent status embed it too."""
        owner = f"Endpoint {name or spec.get('cable_name', '?')}"
        return cls(
            cluster_id=_required(spec, "cluster_id", owner),
            cable_name=_required(spec, "cable_name", owner),
            hostname=_required(spec, "hostname", owner),
            subnets=tuple(spec.get("subnets") or ()),
            private_ip=_required(spec, "private_ip", owner),
            public_ip=spec.get("public_ip") or "",
            nat_enabled=bool(spec.get("nat_enabled")),
            backend=spec.get("backend") or "libreswan",
            backend_config=dict(spec.get("backend_config") or {}),
            health_check_ip=spec.get("healthCheckIP") or "",
            name=name,
            created=created,
        )

    def to_spec(self) -> dict[str, Any]:
        """The spec as upstream writes it; healthCheckIP is left out when there is none."""
        spec: dict[str, Any] = {
            "cluster_id": self.cluster_id,
            "cable_name": self.cable_name,
            "hostname": self.hostname,
            "subnets": list(self.subnets),
            "private_ip": self.private_ip,
            "public_ip": self.public_ip,
            "nat_enabled": self.nat_enabled,
            "backend": self.backend,
            "backend_config": dict(self.backend_config),
        }
        if self.health_check_ip:
            spec["healthCheckIP"] = self.health_check_ip
        return spec


@dataclass(frozen=True)
class Cluster:
    """The CIDRs of a cluster; `global_cidrs` is not empty with globalnet."""

    cluster_id: str
    pod_cidrs: tuple[str, ...]
    service_cidrs: tuple[str, ...]
    global_cidrs: tuple[str, ...] = ()

    @classmethod
    def from_object(cls, source: Object) -> Cluster:
        """From a `clusters.submariner.io` object."""
        spec = source.get("spec") or {}
        return cls(
            cluster_id=_required(spec, "cluster_id", f"Cluster {(source.get('metadata') or {}).get('name', '?')}"),
            pod_cidrs=tuple(spec.get("cluster_cidr") or ()),
            service_cidrs=tuple(spec.get("service_cidr") or ()),
            global_cidrs=tuple(spec.get("global_cidr") or ()),
        )

    def to_spec(self) -> dict[str, Any]:
        return {
            "cluster_id": self.cluster_id,
            "color_codes": ["blue"],
            "cluster_cidr": list(self.pod_cidrs),
            "service_cidr": list(self.service_cidrs),
            "global_cidr": list(self.global_cidrs),
        }


@dataclass(frozen=True)
class Connection:
    """A cable as a Gateway reports it (`status`: connected, connecting, error), or a remote Endpoint as a RouteAgent
    does (also none, and "" until the first reply). `latency` maps last, min, average, max and stdDev to Go
    durations; None when absent."""

    endpoint: Endpoint
    status: str
    status_message: str = ""
    using_ip: str = ""
    using_nat: bool = False
    latency: Mapping[str, str] | None = field(default=None, hash=False)

    @classmethod
    def from_dict(cls, source: Object) -> Connection:
        """From `Gateway.status.connections[]` (key `endpoint`) or `RouteAgent.status.remoteEndpoints[]` (key
        `spec`)."""
        latency = source.get("latencyRTT")
        return cls(
            endpoint=Endpoint.from_spec(source.get("endpoint") or source.get("spec") or {}),
            status=source.get("status") or "",
            status_message=source.get("statusMessage") or "",
            using_ip=source.get("usingIP") or "",
            using_nat=bool(source.get("usingNAT")),
            latency=dict(latency) if latency else None,
        )


@dataclass(frozen=True)
class Gateway:
    """What a gateway pod publishes; `name` is the OS hostname, `ha_status` active or passive, `updated` Unix seconds
    or None."""

    name: str
    ha_status: str
    local_endpoint: Endpoint
    connections: tuple[Connection, ...] = ()
    status_failure: str = ""
    version: str = ""
    updated: int | None = None

    @classmethod
    def from_object(cls, source: Object) -> Gateway:
        """From a `gateways.submariner.io` object. TopologyError while its status is still empty."""
        metadata, status = source.get("metadata") or {}, source.get("status") or {}
        name = metadata.get("name", "?")
        stamp = (metadata.get("annotations") or {}).get("update-timestamp", "")
        return cls(
            name=name,
            ha_status=_required(status, "haStatus", f"Gateway {name}", part="status"),
            local_endpoint=Endpoint.from_spec(status.get("localEndpoint") or {}),
            connections=tuple(Connection.from_dict(c) for c in status.get("connections") or ()),
            status_failure=status.get("statusFailure") or "",
            version=status.get("version") or "",
            updated=int(stamp) if stamp.isdigit() else None,
        )

    @property
    def is_active(self) -> bool:
        return self.ha_status == "active"


@dataclass(frozen=True)
class RouteAgent:
    """What a route agent publishes; `name` is the Node's name."""

    name: str
    remote_endpoints: tuple[Connection, ...] = ()
    status_failure: str = ""
    version: str = ""

    @classmethod
    def from_object(cls, source: Object) -> RouteAgent:
        """From a `routeagents.submariner.io` object."""
        status = source.get("status") or {}
        return cls(
            name=(source.get("metadata") or {}).get("name", "?"),
            remote_endpoints=tuple(Connection.from_dict(c) for c in status.get("remoteEndpoints") or ()),
            status_failure=status.get("statusFailure") or "",
            version=status.get("version") or "",
        )


def _required(source: Object, key: str, owner: str, *, part: str = "spec") -> str:
    value = source.get(key)
    if not isinstance(value, str) or not value:
        raise TopologyError(f"{owner} has no {part}.{key}: the object is incomplete or not Submariner's")
    return value

"""Services as kube-proxy sees them: one entry per port, with the chain names the genuine one gives. Pure.

Chain names are base32 of SHA-256, cut to 16 signs (kubernetes:pkg/proxy/iptables/proxier.go), so a Service keeps its
chains over restarts, and `KUBE-SVC-NPX46M4PTMTKRN6Y` is default/kubernetes:https on any cluster.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pytest_submariner.lab.controllers.backends import SERVICE_LABEL

Object = dict[str, Any]
PROXY_LABEL = "service.kubernetes.io/service-proxy-name"
"""On a Service: another proxy than the cluster's own serves it."""


@dataclass(frozen=True)
class ServicePort:
    """One port of one Service."""

    name: str
    """`namespace/service`, and `:port` when the port has a name."""
    protocol: str
    """Lower case, as iptables spells it."""
    cluster_ip: str
    port: int
    node_port: int
    external_ips: tuple[str, ...]
    endpoints: tuple[str, ...]
    """`address:port`, in order."""

    @property
    def service_chain(self) -> str:
        return "KUBE-SVC-" + _hash(self.name + self.protocol)

    @property
    def external_chain(self) -> str:
        return "KUBE-EXT-" + _hash(self.name + self.protocol)

    def endpoint_chain(self, endpoint: str) -> str:
        return "KUBE-SEP-" + _hash(self.name + self.protocol + endpoint)


def service_ports(services: Iterable[Object], slices: Iterable[Object]) -> list[ServicePort]:
    """By name. Headless and ExternalName Services have nothing to proxy."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for item in slices:
        metadata = item["metadata"]
        if service := (metadata.get("labels") or {}).get(SERVICE_LABEL):
            by_service.setdefault((metadata["namespace"], service), []).append(item)
    found = []
    for service in services:
        metadata, spec = service["metadata"], service["spec"]
        if spec.get("clusterIP", "None") in {"None", ""} or PROXY_LABEL in (metadata.get("labels") or {}):
            continue
        own = by_service.get((metadata["namespace"], metadata["name"]), [])
        found += [_service_port(metadata, spec, port, own) for port in spec.get("ports") or ()]
    return sorted(found, key=lambda s: (s.name, s.protocol))


def _service_port(metadata: Object, spec: Object, port: Object, slices: list[Object]) -> ServicePort:
    port_name = port.get("name") or ""
    return ServicePort(
        name=f"{metadata['namespace']}/{metadata['name']}" + (f":{port_name}" if port_name else ""),
        protocol=port.get("protocol", "TCP").lower(),
        cluster_ip=spec["clusterIP"],
        port=port["port"],
        node_port=port.get("nodePort", 0),
        external_ips=tuple(spec.get("externalIPs") or ()),
        endpoints=_endpoints(slices, port_name, port.get("protocol", "TCP")),
    )


def _endpoints(slices: list[Object], port_name: str, protocol: str) -> tuple[str, ...]:
    """The ready ones; when there are none, those that are on their way out but still serve."""
    ready, draining = set(), set()
    for item in slices:
        numbers = [
            port["port"]
            for port in item.get("ports") or ()
            if (port.get("name") or "") == port_name and port.get("protocol", "TCP") == protocol and port.get("port")
        ]
        for endpoint in item.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            addresses = {f"{endpoint['addresses'][0]}:{number}" for number in numbers}
            if conditions.get("ready", True):
                ready |= addresses
            elif conditions.get("serving") and conditions.get("terminating"):
                draining |= addresses
    return tuple(sorted(ready or draining))


def _hash(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest())[:16].decode("ascii")

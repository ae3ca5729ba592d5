"""Who stands behind a Service: its selected pods as Endpoints and as EndpointSlices. Pure.

As kubernetes:pkg/controller/endpoint and staging/src/k8s.io/endpointslice do it, for IPv4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pytest_submariner.lab.controllers.conditions import is_true
from pytest_submariner.lab.controllers.selectors import matches_labels

Object = dict[str, Any]
HEADLESS_LABEL = "service.kubernetes.io/headless"
SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_LABEL = "endpointslice.kubernetes.io/managed-by"
ENDPOINTS_LABEL = "endpoints.kubernetes.io/managed-by"
ENDPOINTS_MANAGER = "endpoint-controller"
SLICE_MANAGER = "endpointslice-controller.k8s.io"
Ports = tuple[tuple[str, int, str], ...]
"""(name, number, protocol) each, as one pod serves them."""


@dataclass(frozen=True)
class Backend:
    """One pod of a Service."""

    ip: str
    node: str
    hostname: str
    namespace: str
    name: str
    uid: str
    ports: Ports
    ready: bool
    """Ready and not on its way out, or the Service publishes those that are not ready too."""
    serving: bool
    terminating: bool

    @property
    def target(self) -> Object:
        return {"kind": "Pod", "namespace": self.namespace, "name": self.name, "uid": self.uid}


def is_headless(service: Object) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def backends(service: Object, pods: Iterable[Object]) -> list[Backend]:
    """By address. Empty for a Service without selector: its endpoints are someone else's."""
    spec, namespace = service["spec"], service["metadata"]["namespace"]
    selector = spec.get("selector")
    if not selector or spec.get("type") == "ExternalName":
        return []
    found = [
        _backend(service, pod)
        for pod in pods
        if pod["metadata"]["namespace"] == namespace
        and matches_labels(selector, pod["metadata"].get("labels") or {})
        and pod.get("status", {}).get("podIP")
        and pod["status"].get("phase") not in {"Succeeded", "Failed"}
    ]
    return sorted(found, key=lambda b: (tuple(int(part) for part in b.ip.split(".")), b.name))


def endpoints(service: Object, found: Iterable[Backend]) -> Object:
    """The Endpoints object. Terminating pods are left out, unless the Service publishes what is not ready."""
    metadata = service["metadata"]
    labels = {**(metadata.get("labels") or {}), ENDPOINTS_LABEL: ENDPOINTS_MANAGER}
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    subsets: dict[Ports, dict[str, list[Object]]] = {}
    for backend in found:
        if backend.terminating and not backend.ready:
            continue
        address = {"ip": backend.ip, "nodeName": backend.node, "targetRef": backend.target}
        if backend.hostname:
            address["hostname"] = backend.hostname
        subset = subsets.setdefault(backend.ports, {})
        subset.setdefault("addresses" if backend.ready else "notReadyAddresses", []).append(address)
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels},
        "subsets": [addresses | _subset_ports(ports) for ports, addresses in sorted(subsets.items())],
    }


def slices(service: Object, found: Iterable[Backend]) -> list[Object]:
    """EndpointSlices without a name: one for each set of ports; a single empty one when nobody is there."""
    metadata = service["metadata"]
    labels = {**(metadata.get("labels") or {}), SERVICE_LABEL: metadata["name"], MANAGED_LABEL: SLICE_MANAGER}
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    owner = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    groups: dict[Ports, list[Object]] = {}
    for backend in found:
        groups.setdefault(backend.ports, []).append(_slice_endpoint(backend))
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": labels,
                "ownerReferences": [owner],
            },
            "addressType": "IPv4",
            "endpoints": members,
            "ports": _port_list(ports),
        }
        for ports, members in sorted((groups or {(): []}).items())
    ]


def _backend(service: Object, pod: Object) -> Backend:
    metadata, spec = pod["metadata"], pod["spec"]
    serving, terminating = is_true(pod, "Ready"), bool(metadata.get("deletionTimestamp"))
    in_subdomain = spec.get("subdomain") == service["metadata"]["name"]
    return Backend(
        ip=pod["status"]["podIP"],
        node=spec.get("nodeName", ""),
        hostname=spec.get("hostname", "") if in_subdomain else "",
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        ports=_ports(service, pod),
        ready=bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating),
        serving=serving,
        terminating=terminating,
    )


def _ports(service: Object, pod: Object) -> Ports:
    """A named target port is looked up in the pod's containers; where it has none of that name, the port is left out."""
    ports = []
    for port in service["spec"].get("ports") or ():
        protocol, target = port.get("protocol", "TCP"), port.get("targetPort") or port["port"]
        number = target if isinstance(target, int) else _named_port(pod, target, protocol)
        if number is not None:
            ports.append((port.get("name") or "", number, protocol))
    return tuple(ports)


def _named_port(pod: Object, name: str, protocol: str) -> int | None:
    if name.isdigit():
        return int(name)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def _port_list(ports: Ports) -> list[Object]:
    return [{"name": name, "port": number, "protocol": protocol} for name, number, protocol in ports]


def _subset_ports(ports: Ports) -> dict[str, list[Object]]:
    """Endpoints, unlike slices, leave out an empty name and an empty list."""
    listed = [{k: v for k, v in port.items() if v != ""} for port in _port_list(ports)]
    return {"ports": listed} if listed else {}


def _slice_endpoint(backend: Backend) -> Object:
    endpoint: Object = {
        "addresses": [backend.ip],
        "conditions": {"ready": backend.ready, "serving": backend.serving, "terminating": backend.terminating},
        "targetRef": backend.target,
        "nodeName": backend.node,
    }
    if backend.hostname:
        endpoint["hostname"] = backend.hostname
    return endpoint

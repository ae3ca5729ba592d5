"""What the API of one cluster holds that a diagnosis asks for, as plain objects, and what could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

RESOURCES = {
    "endpoints": "endpoints.submariner.io",
    "clusters": "clusters.submariner.io",
    "gateways": "gateways.submariner.io",
    "routeagents": "routeagents.submariner.io",
    "nodes": "nodes",
    "pods": "pods",
    "services": "services",
    "daemonsets": "daemonsets.apps",
    "deployments": "deployments.apps",
    "networkpolicies": "networkpolicies.networking.k8s.io",
    "namespaces": "namespaces",
    "leases": "leases.coordination.k8s.io",
    "configmaps": "configmaps",
    "ippools": "ippools.crd.projectcalico.org",
    "serviceexports": "serviceexports.multicluster.x-k8s.io",
    "serviceimports": "serviceimports.multicluster.x-k8s.io",
    "endpointslices": "endpointslices.discovery.k8s.io",
    "globalingressips": "globalingressips.submariner.io",
    "clusterglobalegressips": "clusterglobalegressips.submariner.io",
    "globalegressips": "globalegressips.submariner.io",
    "submariners": "submariners.submariner.io",
}
"""Short name -> what the API calls it."""


@dataclass(frozen=True)
class ClusterObjects:
    """`found`: objects by the short names of `RESOURCES`, of all namespaces; a kind the cluster does not serve is an
    empty list. `unread`: kinds that could not be read, with the reason. `broker`: the same, as the broker holds them
    (endpoints and clusters), or None. `clock_s`: the API server's time, seconds since 1970. `logs`: last lines by
    `pod/container`, redacted."""

    position: str
    found: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    broker: Mapping[str, tuple[Object, ...]] | None = None
    broker_error: str = ""
    clock_s: float | None = None
    logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __getitem__(self, kind: str) -> tuple[Object, ...]:
        """Objects of a kind; empty too when it could not be read: ask `knows` where absence is to prove something."""
        return self.found.get(kind, ())

    def knows(self, kind: str) -> bool:
        return kind in self.found

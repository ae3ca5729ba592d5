"""What the API of one cluster holds that a diagnosis asks for, as plain objects, and what could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
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


_SOURCE_NAMESPACE = "lighthouse.submariner.io/sourceNamespace"
"""Label of local ServiceImports (lighthouse:pkg/constants/constants.go)."""


def exported_namespaces(found: Mapping[str, tuple[Object, ...]]) -> frozenset[str]:
    """Namespaces of Services that are, or were, exported: their Services and EndpointSlices are read."""
    spaces = {
        str(o["metadata"]["namespace"]) for kind in ("serviceexports", "globalingressips") for o in found.get(kind, ())
    }
    imports = (item["metadata"] for item in found.get("serviceimports", ()))
    return frozenset(spaces | {str((m.get("labels") or {}).get(_SOURCE_NAMESPACE) or m["namespace"]) for m in imports})


class BrokerProblem(StrEnum):
    """Why the broker's copies are not known."""

    NONE = ""
    CREDENTIALS = "credentials"
    """The broker's API refuses the token on record (401, 403)."""
    CERTIFICATE = "certificate"
    """Its certificate is not one of the authority on record, has expired or is not valid yet."""
    UNREACHABLE = "unreachable"
    """Not reached from where the diagnosis runs, which says nothing about the cluster."""
    UNKNOWN = "unknown"
    """Address or credentials could not be read."""


@dataclass(frozen=True)
class ClusterObjects:
    """`found`: objects by the short names of `RESOURCES`; a kind the cluster does not serve is an empty list. Of nodes, namespaces,
    daemonsets and all kinds of Submariner's and of service discovery all are here; of the others those a diagnosis needs
    (`objects.py`). `unread`: kinds that could not be read, with the reason. `broker`: endpoints and clusters as the broker holds
    them, or None: then `broker_problem` and `broker_error` say why. `clock_s`: the API server's time, seconds since 1970. `logs`:
    known error lines by `pod/container`, redacted; `tails`: their last lines, redacted, which no rule reads and `to_dict` leaves
    to the sysdump's own files. `psk_digest`: equal for clusters read by one process that have the
    same IPsec pre-shared key, "" when it was not read; its key was never stored."""

    position: str
    found: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    broker: Mapping[str, tuple[Object, ...]] | None = None
    broker_error: str = ""
    broker_problem: BrokerProblem = BrokerProblem.NONE
    clock_s: float | None = None
    logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    psk_digest: str = ""
    tails: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __getitem__(self, kind: str) -> tuple[Object, ...]:
        """Objects of a kind; empty too when it could not be read: ask `knows` where absence is to prove something."""
        return self.found.get(kind, ())

    def knows(self, *kinds: str) -> bool:
        return all(kind in self.found for kind in kinds)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; the credentials that objects carry were taken out when they were read."""
        return {
            "position": self.position,
            "found": {kind: list(objects) for kind, objects in self.found.items()},
            "unread": dict(self.unread),
            "broker": None if self.broker is None else {kind: list(objects) for kind, objects in self.broker.items()},
            "broker_error": self.broker_error,
            "broker_problem": self.broker_problem.value,
            "clock_s": self.clock_s,
            "logs": {name: list(lines) for name, lines in self.logs.items()},
            "psk_digest": self.psk_digest,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ClusterObjects:
        """The inverse of `to_dict`. KeyError or ValueError when it is none."""
        broker = data["broker"]
        return cls(
            position=data["position"],
            found={kind: tuple(objects) for kind, objects in data["found"].items()},
            unread=dict(data["unread"]),
            broker=None if broker is None else {kind: tuple(objects) for kind, objects in broker.items()},
            broker_error=data["broker_error"],
            broker_problem=BrokerProblem(data["broker_problem"]),
            clock_s=data["clock_s"],
            logs={name: tuple(lines) for name, lines in data["logs"].items()},
            psk_digest=data["psk_digest"],
        )

"""Where the objects of a kind live: from `endpoints.submariner.io` to `/apis/submariner.io/v1/…/endpoints`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Resource:
    """A kind of object. `prefix` is `/api/v1` or `/apis/GROUP/VERSION`, `plural` the last word of its path."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Collection or object. A namespaced kind without namespace means all namespaces."""
        parts = [self.prefix]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


def _kinds(prefix: str, plurals: Iterable[str], *, namespaced: bool = True) -> dict[str, Resource]:
    group = prefix.split("/")[2] if prefix.startswith("/apis/") else ""
    return {(f"{p}.{group}" if group else p): Resource(prefix, p, namespaced) for p in plurals}


KNOWN: dict[str, Resource] = {
    **_kinds("/api/v1", ("nodes", "namespaces"), namespaced=False),
    **_kinds("/api/v1", ("pods", "services", "endpoints", "configmaps", "secrets", "events", "serviceaccounts")),
    **_kinds("/apis/apps/v1", ("daemonsets", "deployments")),
    **_kinds("/apis/coordination.k8s.io/v1", ("leases",)),
    **_kinds("/apis/discovery.k8s.io/v1", ("endpointslices",)),
    **_kinds("/apis/rbac.authorization.k8s.io/v1", ("roles", "rolebindings")),
    **_kinds("/apis/apiextensions.k8s.io/v1", ("customresourcedefinitions",), namespaced=False),
    **_kinds("/apis/crd.projectcalico.org/v1", ("ippools",), namespaced=False),
    # submariner:pkg/apis/submariner.io/v1/types.go; only clusterglobalegressips has no namespace
    **_kinds(
        "/apis/submariner.io/v1",
        ("clusters", "endpoints", "gateways", "routeagents", "gatewayroutes", "nongatewayroutes"),
    ),
    **_kinds("/apis/submariner.io/v1", ("globalegressips", "globalingressips")),
    **_kinds("/apis/submariner.io/v1", ("clusterglobalegressips",), namespaced=False),
    # submariner-operator:api/v1alpha1
    **_kinds("/apis/submariner.io/v1alpha1", ("submariners", "brokers", "servicediscoveries")),
    **_kinds("/apis/multicluster.x-k8s.io/v1alpha1", ("serviceexports", "serviceimports")),
}
"""Kinds that need no discovery. A bare name is a core kind, others carry their API group."""


def split(resource: str) -> tuple[str, str]:
    """`endpoints.submariner.io` -> (`endpoints`, `submariner.io`); the group of a core kind is empty."""
    plural, _, group = resource.partition(".")
    return plural, group

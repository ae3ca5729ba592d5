"""Services that clusters export to each other, as Lighthouse's objects tell (lighthouse:pkg/constants/constants.go)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pytest_submariner.diagnose.objects.clusterobjects import Object, exported_namespaces
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.published import (
    Published,
    all_published,
    conditions_of,
    labels_of,
    name_of,
    namespace_of,
)

SERVICE_NAME: Final = "multicluster.kubernetes.io/service-name"
SOURCE_CLUSTER: Final = "multicluster.kubernetes.io/source-cluster"
SOURCE_NAMESPACE: Final = "lighthouse.submariner.io/sourceNamespace"
IS_HEADLESS: Final = "lighthouse.submariner.io/is-headless"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
LIGHTHOUSE: Final = "lighthouse-agent.submariner.io"
KUBERNETES_SERVICE: Final = "kubernetes.io/service-name"
COREDNS: Final = "submariner-lighthouse-coredns"
AGENT: Final = "submariner-lighthouse-agent"
SETTLED_S: Final = 15.0
"""How long objects may take to follow each other before a difference means anything."""


@dataclass(frozen=True)
class Slice:
    """An EndpointSlice of Lighthouse in one cluster, about a Service of another, or its own. `source`: that cluster's ID."""

    object: Object
    service: str
    namespace: str
    source: str
    is_headless: bool
    addresses: frozenset[str]


def is_installed(told: Published) -> bool:
    """Whether the cluster takes part in service discovery."""
    if any((item.get("spec") or {}).get("serviceDiscoveryEnabled") for item in told.objects["submariners"]):
        return True
    return any(name_of(item) in (COREDNS, AGENT) for item in told.objects["deployments"])


def discovering(seen: Observation) -> tuple[Published, ...]:
    """Clusters that take part, in the order of positions."""
    return tuple(told for told in all_published(seen) if is_installed(told))


def slices(told: Published) -> Iterator[Slice]:
    for item in told.objects["endpointslices"]:
        known = labels_of(item)
        if known.get(MANAGED_BY) == LIGHTHOUSE and SERVICE_NAME in known:
            yield Slice(
                item,
                known[SERVICE_NAME],
                known.get(SOURCE_NAMESPACE) or namespace_of(item),
                known.get(SOURCE_CLUSTER, ""),
                known.get(IS_HEADLESS) == "true",
                _addresses(item),
            )


def own_addresses(told: Published, namespace: str, service: str) -> frozenset[str]:
    """What the cluster's own slices list for one of its Services."""
    found = (
        _addresses(item)
        for item in told.objects["endpointslices"]
        if namespace_of(item) == namespace
        and labels_of(item).get(KUBERNETES_SERVICE) == service
        and labels_of(item).get(MANAGED_BY) != LIGHTHOUSE
    )
    return frozenset(address for addresses in found for address in addresses)


def services_known(told: Published, namespace: str) -> bool:
    """Whether all Services and slices of a namespace were read, so that absence means something."""
    return told.objects.knows("services", "endpointslices") and namespace in exported_namespaces(told.objects.found)


def service(told: Published, namespace: str, name: str) -> Object | None:
    found = (item for item in told.objects["services"] if (namespace_of(item), name_of(item)) == (namespace, name))
    return next(found, None)


def is_ready(export: Object) -> bool:
    known = conditions_of(export)
    valid, ready = known.get("Valid", {}).get("status"), known.get("Ready", {}).get("status")
    return valid == "True" and ready in ("True", None)


def has_settled(told: Published, since: str | None) -> bool:
    """Whether a time an object tells (RFC 3339) lies long enough back; without time or clock nothing is held back."""
    if not since or told.objects.clock_s is None:
        return True
    try:
        then = datetime.fromisoformat(since.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return True
    return told.objects.clock_s - then >= SETTLED_S


def _addresses(item: Object) -> frozenset[str]:
    return frozenset(
        str(address) for endpoint in item.get("endpoints") or () for address in endpoint.get("addresses") or ()
    )

"""What Submariner published in one cluster's API, typed, and who is who in it. Objects that are incomplete are left out: an agent
that is starting has not filled them yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network
from typing import TypeVar

from pytest_submariner.dataplane.addresses import ipv4_cidrs
from pytest_submariner.dataplane.constants import BROKER_NAMESPACE, GATEWAY_LABEL, TIMESTAMP_ANNOTATION
from pytest_submariner.dataplane.objects import Cluster as ClusterObject
from pytest_submariner.dataplane.objects import Connection, Endpoint
from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects, Object
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.errors import TopologyError
from pytest_submariner.model.topology import Cluster, Node

LEASE = "submariner-gateway-lock"
"""submariner:pkg/gateway/gateway.go"""
STALE_S = 20.0
"""A Gateway is refreshed every 5 s and counts as stale after 15 s (submariner:pkg/cableengine/syncer/syncer.go)."""
_HOLDER = "-submariner-gateway"
T = TypeVar("T")


@dataclass(frozen=True)
class Published:
    """`cluster`: as discovered; `objects`: as its API holds them."""

    cluster: Cluster
    objects: ClusterObjects

    @property
    def position(self) -> str:
        return self.cluster.position

    @cached_property
    def endpoints(self) -> tuple[Endpoint, ...]:
        found = parsed(Endpoint.from_object, _in_force(self.objects["endpoints"]))
        return tuple(sorted(found, key=lambda e: (e.created, e.name)))

    @property
    def local(self) -> tuple[Endpoint, ...]:
        """Of this cluster, the newest last; one in health."""
        return tuple(e for e in self.endpoints if e.cluster_id == self.cluster.cluster_id)

    @property
    def own(self) -> Endpoint | None:
        """The newest of `local`: the one agents go by."""
        return self.local[-1] if self.local else None

    def copy_of(self, other: Published) -> Endpoint | None:
        """The newest Endpoint of another cluster that this one holds."""
        found = [e for e in self.endpoints if e.cluster_id == other.cluster.cluster_id]
        return found[-1] if found else None

    @cached_property
    def clusters(self) -> tuple[ClusterObject, ...]:
        return parsed(ClusterObject.from_object, _in_force(self.objects["clusters"]))

    @property
    def ranges(self) -> ClusterObject | None:
        """The CIDRs the cluster says of itself."""
        return next((c for c in self.clusters if c.cluster_id == self.cluster.cluster_id), None)

    @property
    def global_cidrs(self) -> tuple[str, ...]:
        """With Globalnet, the range its global addresses are from."""
        return self.ranges.global_cidrs if self.ranges is not None else ()

    @property
    def active(self) -> tuple[Object, ...]:
        """Gateways that say they are active; one in health."""
        return tuple(g for g in self.objects["gateways"] if (g.get("status") or {}).get("haStatus") == "active")

    @cached_property
    def gateway(self) -> Object | None:
        """The active Gateway; of several the one that holds the lease."""
        holding = [g for g in self.active if name_of(g) == self.holder]
        return next(iter([*holding, *self.active]), None)

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """Of the active Gateway."""
        found = ((self.gateway or {}).get("status") or {}).get("connections") or ()
        return parsed(Connection.from_dict, found)

    def connection_to(self, other: Published) -> Connection | None:
        return next((c for c in self.connections if c.endpoint.cluster_id == other.cluster.cluster_id), None)

    @property
    def holder(self) -> str:
        """The OS hostname of the gateway that holds the lease, "" when nobody does or it was not read."""
        leases = (lease for lease in self.objects["leases"] if name_of(lease) == LEASE)
        identity = (next(leases, {}).get("spec") or {}).get("holderIdentity") or ""
        return str(identity).removesuffix(_HOLDER)

    @property
    def labelled(self) -> tuple[str, ...]:
        """Names of the nodes that may be gateways."""
        return tuple(name_of(n) for n in self.objects["nodes"] if labels_of(n).get(GATEWAY_LABEL) == "true")

    def pods(self, app: str) -> tuple[Object, ...]:
        """Of one of Submariner's workloads, such as `submariner-gateway`."""
        return tuple(p for p in self.objects["pods"] if labels_of(p).get("app") == app)

    def named(self, node: str) -> Node | None:
        return next((found for found in self.cluster.nodes if found.name == node), None)

    def logged(self, workload: str, said: Callable[[str], object]) -> tuple[str, ...]:
        """`pod/container: line` for lines of a workload's containers of which `said` holds."""
        return tuple(
            f"{place} logged: {line}"
            for place, lines in self.objects.logs.items()
            if place.startswith(workload)
            for line in lines
            if said(line)
        )


def published(seen: Observation, position: str) -> Published | None:
    """None when the cluster's API was not read."""
    objects = seen.objects.get(position)
    return None if objects is None else Published(seen.topology.cluster(position), objects)


def all_published(seen: Observation) -> tuple[Published, ...]:
    """Of every cluster whose Endpoints were read, in the order of positions."""
    found = (published(seen, cluster.position) for cluster in seen.clusters)
    return tuple(p for p in found if p is not None and p.objects.knows("endpoints"))


def pairs(seen: Observation) -> Iterator[tuple[Published, Published]]:
    """Every two clusters, once."""
    found = all_published(seen)
    for index, one in enumerate(found):
        for other in found[index + 1 :]:
            yield one, other


def parsed(make: Callable[[Object], T], sources: Iterable[Object]) -> tuple[T, ...]:
    found = []
    for source in sources:
        try:
            found.append(make(source))
        except TopologyError:
            continue
    return tuple(found)


def name_of(item: Object) -> str:
    return str((item.get("metadata") or {}).get("name") or "")


def namespace_of(item: Object) -> str:
    return str((item.get("metadata") or {}).get("namespace") or "")


def labels_of(item: Object) -> dict[str, str]:
    return (item.get("metadata") or {}).get("labels") or {}


def annotations_of(item: Object) -> dict[str, str]:
    return (item.get("metadata") or {}).get("annotations") or {}


def conditions_of(item: Object) -> dict[str, Object]:
    """By type."""
    return {str(c.get("type")): c for c in (item.get("status") or {}).get("conditions") or ()}


def updated(gateway: Object) -> float | None:
    """When a Gateway was refreshed last, in seconds since 1970; older releases do not say."""
    stamp = annotations_of(gateway).get(TIMESTAMP_ANNOTATION, "")
    return float(stamp) if stamp.isdigit() else None


def gateway_age_s(seen: Observation, told: Published) -> float | None:
    """How long ago the active Gateway was refreshed, by the clock of the node that writes it, else by the API server's; None when
    it does not say, or no clock was read."""
    gateway = told.gateway
    written = updated(gateway) if gateway is not None else None
    if gateway is None or written is None:
        return None
    sight = seen.sight(told.named(name_of(gateway)) or seen.gateway(told.position))
    clock_s = sight.before.clock_s if sight is not None else None
    now = clock_s if clock_s is not None else told.objects.clock_s
    return None if now is None else now - written


def is_running(pod: Object) -> bool:
    """Whether all its containers run now: a crash loop has moments in which the phase says Running."""
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or ()
    return status.get("phase") == "Running" and all("running" in (c.get("state") or {}) for c in containers)


def restarts(pod: Object) -> int:
    return sum(int(c.get("restartCount") or 0) for c in (pod.get("status") or {}).get("containerStatuses") or ())


def shared(one: Iterable[str], other: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of networks that have an address in common, IPv4."""
    others = ipv4_cidrs(other)
    return tuple(
        (left, right) for left in ipv4_cidrs(one) for right in others if IPv4Network(left).overlaps(IPv4Network(right))
    )


def _in_force(objects: Iterable[Object]) -> Iterator[Object]:
    """Without the broker's own copies, which a cluster that hosts the broker holds too."""
    return (item for item in objects if namespace_of(item) != BROKER_NAMESPACE)

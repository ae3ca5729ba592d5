"""What the data plane of a node is computed from: facts of the node, and the cluster's objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from pytest_submariner.dataplane.addresses import overlap
from pytest_submariner.dataplane.objects import Cluster, Connection, Endpoint
from pytest_submariner.errors import TopologyError


@dataclass(frozen=True)
class NodeFacts:
    """A node as its agents find it.

    `underlay_device`, `underlay_ip`, `underlay_mtu`: device of the default route, its first IPv4 address, its MTU in
    bytes.
    `cni_device`, `cni_ip`: first device with an address inside a pod CIDR; None when discovery found none, which
    silently leaves out the SNAT rule, the routes of table 150 and an rp_filter (submariner:pkg/cni/cni_iface.go).
    `gateway_pod`: a gateway container started here, active or not; its entrypoint writes a sysctl.
    `next_hops`: remote gateway address -> next hop by which the node reaches it; read only for a remote gateway
    inside a remote subnet.
    `tcp_clamp_mss`: the Node annotation `submariner.io/tcp-clamp-mss`, None or 0 when absent.
    """

    name: str
    hostname: str
    underlay_device: str
    underlay_ip: str
    underlay_mtu: int
    cni_device: str | None = None
    cni_ip: str | None = None
    gateway_pod: bool = False
    next_hops: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    tcp_clamp_mss: int | None = None


@dataclass(frozen=True)
class ClusterView:
    """Submariner's objects as one cluster holds them, local and synced ones together.

    `node_ips`: first IPv4 InternalIP of every Node. `connections`: cables of the active gateway; None when not
    known, then every remote Endpoint is taken to be reached at its private IP.
    """

    cluster_id: str
    endpoints: tuple[Endpoint, ...]
    clusters: tuple[Cluster, ...]
    node_ips: tuple[str, ...]
    connections: tuple[Connection, ...] | None = None

    @cached_property
    def cluster(self) -> Cluster:
        """TopologyError when the cluster did not publish itself."""
        for cluster in self.clusters:
            if cluster.cluster_id == self.cluster_id:
                return cluster
        raise TopologyError(f"no Cluster object for cluster ID {self.cluster_id}: its gateway has not published one")

    @cached_property
    def local(self) -> Endpoint | None:
        """The local Endpoint; the newest if a fail-over left several."""
        return self._newest().get(self.cluster_id)

    @cached_property
    def remotes(self) -> tuple[Endpoint, ...]:
        """One Endpoint per remote cluster (the newest), by cluster ID."""
        return tuple(
            endpoint for cluster_id, endpoint in sorted(self._newest().items()) if cluster_id != self.cluster_id
        )

    @cached_property
    def reachable_remotes(self) -> tuple[Endpoint, ...]:
        """Remote Endpoints the kube-proxy handler programs: those whose subnets do not overlap a local pod or
        service CIDR."""
        own = (*self.cluster.pod_cidrs, *self.cluster.service_cidrs)
        return tuple(remote for remote in self.remotes if not overlap(remote.subnets, own))

    @cached_property
    def cables(self) -> tuple[tuple[Endpoint, str], ...]:
        """Remote Endpoints with a cable, each with the address in use, by cluster ID."""
        if self.connections is None:
            return tuple((remote, remote.private_ip) for remote in self.reachable_remotes)
        found = {c.endpoint.cluster_id: (c.endpoint, c.using_ip or c.endpoint.private_ip) for c in self.connections}
        return tuple(found[cluster_id] for cluster_id in sorted(found) if cluster_id != self.cluster_id)

    def is_active_gateway(self, node: NodeFacts) -> bool:
        """Whether the local Endpoint names this node's OS hostname: the data plane's role, which a label does not give
        (submariner:pkg/event/controller/endpoint_created.go)."""
        return self.local is not None and self.local.hostname == node.hostname

    def _newest(self) -> dict[str, Endpoint]:
        newest: dict[str, Endpoint] = {}
        for endpoint in sorted(self.endpoints, key=lambda e: (e.created, e.name)):
            newest[endpoint.cluster_id] = endpoint
        return newest

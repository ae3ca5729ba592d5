"""One cluster as Submariner sees it, from the objects its API holds: nodes and their roles, CIDRs, drivers, versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pytest_submariner.errors import SubmarinerError, TopologyError
from pytest_submariner.kube.errors import ResourceAbsent
from pytest_submariner.model.topology import Cluster, Node, Role

GATEWAY_LABEL = "submariner.io/gateway"
GATEWAY_LEASE = "submariner-gateway-lock"
REMOTE_LABEL = "submariner-io/clusterID"
"""On Endpoints and Clusters copied from the broker, with the ID of the cluster they came from (admiral:pkg/federate)."""

Object = dict[str, Any]


class Lister(Protocol):
    """The part of `kube.client.KubeClient` that discovery needs."""

    def version(self) -> str: ...

    def list(
        self, resource: str, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> list[Object]: ...


def discover(kube: Lister, position: str, *, context: str, kubeconfig: str | None, where: str) -> Cluster:
    """Ask one cluster. `where` names it in messages. TopologyError when Submariner is absent.

    Without an active gateway (none labelled, none elected) no node has the role: paths through one are skipped with that reason,
    all others are asked and fail, and the diagnosis says why there is none."""
    try:
        gateways = kube.list("gateways.submariner.io")
        endpoints = kube.list("endpoints.submariner.io")
        clusters = kube.list("clusters.submariner.io")
    except ResourceAbsent:
        raise TopologyError(
            f"{where}: Submariner is not installed (the API server does not know submariner.io objects); "
            "join the cluster with subctl join, or name another context"
        ) from None
    nodes = kube.list("nodes")
    active = _active_gateway(kube, gateways, nodes)
    installation = _installation(kube)
    cluster_id = _cluster_id(active, installation, endpoints, clusters, where)
    gateway_node = _node_of(active, nodes) if active else None
    if active and gateway_node is None:
        raise TopologyError(
            f"{where}: the active Gateway {_name(active)} names no node of the cluster (nodes: {_names(nodes)})"
        )
    own = next((c for c in clusters if c.get("spec", {}).get("cluster_id") == cluster_id), {}).get("spec", {})
    endpoint = active.get("status", {}).get("localEndpoint") or {}
    return Cluster(
        position=position,
        context=context,
        kubeconfig=kubeconfig,
        cluster_id=cluster_id,
        nodes=tuple(_node(node, position, gateway_node) for node in sorted(nodes, key=_name)),
        pod_cidrs=tuple(own.get("cluster_cidr") or ()),
        service_cidrs=tuple(own.get("service_cidr") or ()),
        network_plugin=str(installation.get("status", {}).get("networkPlugin") or ""),
        cable_driver=str(endpoint.get("backend") or installation.get("spec", {}).get("cableDriver") or ""),
        submariner_version=str(
            active.get("status", {}).get("version") or installation.get("spec", {}).get("version") or ""
        ),
        kubernetes_version=kube.version(),
        globalnet=bool(own.get("global_cidr")),
    )


def _active_gateway(kube: Lister, gateways: Sequence[Object], nodes: Sequence[Object]) -> Object:
    """The Gateway that says it is active, {} when none does. Of two (a failover under way, an impostor) the one that holds the
    lease, else one whose node has the label."""
    active = [g for g in gateways if g.get("status", {}).get("haStatus") == "active"]
    if len(active) > 1:
        labelled = [g for g in active if (node := _node_of(g, nodes)) and _is_labelled(node)] or active
        holder = _lease_holder(kube)
        active = [g for g in active if holder and holder.startswith(f"{_name(g)}-")] or labelled
    return active[0] if active else {}


def _lease_holder(kube: Lister) -> str:
    """`<OS hostname>-submariner-gateway`, or "" (submariner:pkg/gateway/gateway.go)."""
    try:
        leases = kube.list("leases.coordination.k8s.io", fields=f"metadata.name={GATEWAY_LEASE}")
    except SubmarinerError:
        return ""
    return str(next(iter(leases), {}).get("spec", {}).get("holderIdentity") or "")


def _installation(kube: Lister) -> Object:
    """The operator's Submariner object; {} on clusters that were joined without the operator."""
    try:
        return next(iter(kube.list("submariners.submariner.io")), {})
    except ResourceAbsent:
        return {}


def _cluster_id(
    active: Object, installation: Object, endpoints: Sequence[Object], clusters: Sequence[Object], where: str
) -> str:
    """Four objects say it; the gateway is the first to know."""
    local, own = ([i for i in found if not _is_remote(i)] for found in (endpoints, clusters))
    for said in (
        (active.get("status", {}).get("localEndpoint") or {}).get("cluster_id"),
        installation.get("spec", {}).get("clusterID"),
        local[0].get("spec", {}).get("cluster_id") if len(local) == 1 else None,
        own[0].get("spec", {}).get("cluster_id") if len(own) == 1 else None,
    ):
        if said:
            return str(said)
    raise TopologyError(
        f"{where}: Submariner has not published a local Endpoint yet; wait for the gateway pod and try again"
    )


def _node_of(gateway: Object, nodes: Sequence[Object]) -> Object | None:
    """A Gateway is named after its host, which on some platforms is not the node's name: then the address decides."""
    endpoint = gateway.get("status", {}).get("localEndpoint") or {}
    hosts = {_name(gateway), endpoint.get("hostname")} - {None, ""}
    for node in nodes:
        if hosts & {_name(node), (node["metadata"].get("labels") or {}).get("kubernetes.io/hostname")}:
            return node
    return next((n for n in nodes if _internal_ip(n) and _internal_ip(n) == endpoint.get("private_ip")), None)


def _node(node: Object, position: str, gateway_node: Object | None) -> Node:
    role = Role.PASSIVE if _is_labelled(node) else Role.NON_GATEWAY
    if node is gateway_node:
        role = Role.GATEWAY
    return Node(_name(node), position, role, _internal_ip(node), dict(node["metadata"].get("labels") or {}))


def _internal_ip(node: Object) -> str:
    """The first IPv4 InternalIP: Submariner's data plane of these paths is IPv4."""
    addresses = node.get("status", {}).get("addresses") or []
    return next((a["address"] for a in addresses if a.get("type") == "InternalIP" and ":" not in a["address"]), "")


def _is_remote(item: Object) -> bool:
    return REMOTE_LABEL in (item.get("metadata", {}).get("labels") or {})


def _is_labelled(node: Object) -> bool:
    return (node["metadata"].get("labels") or {}).get(GATEWAY_LABEL) == "true"


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def _names(things: Sequence[Object]) -> str:
    return ", ".join(sorted(_name(t) for t in things)) or "none"

"""One cluster as Submariner sees it, from the objects its API holds: nodes and their roles, CIDRs, drivers, versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pytest_submariner.errors import TopologyError
from pytest_submariner.kube.errors import ResourceAbsent
from pytest_submariner.model.topology import Cluster, Node, Role

GATEWAY_LABEL = "submariner.io/gateway"
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
    """Ask one cluster. `where` names it in messages. TopologyError when Submariner is absent or no gateway node is active."""
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
    active = _active_gateway(gateways, nodes, where)
    installation = _installation(kube)
    cluster_id = _cluster_id(active, installation, endpoints, where)
    gateway_node = _node_of(active, nodes)
    if gateway_node is None:
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


def _active_gateway(gateways: Sequence[Object], nodes: Sequence[Object], where: str) -> Object:
    """The Gateway that says it is active. Of two (a failover under way), the one whose node still has the label."""
    active = [g for g in gateways if g.get("status", {}).get("haStatus") == "active"]
    if len(active) > 1:
        active = [g for g in active if (node := _node_of(g, nodes)) and _is_labelled(node)] or active
    if active:
        return active[0]
    labelled = [n for n in nodes if _is_labelled(n)]
    if not labelled:
        raise TopologyError(
            f"{where}: no gateway node; label one of {_names(nodes)} with {GATEWAY_LABEL}=true (subctl join does) and try again"
        )
    states = ", ".join(f"{_name(g)} is {g.get('status', {}).get('haStatus') or 'without status'}" for g in gateways)
    raise TopologyError(
        f"{where}: no gateway is active (labelled nodes: {_names(labelled)}; Gateways: {states or 'none'}); "
        "look at the submariner-gateway pods of those nodes"
    )


def _installation(kube: Lister) -> Object:
    """The operator's Submariner object; {} on clusters that were joined without the operator."""
    try:
        return next(iter(kube.list("submariners.submariner.io")), {})
    except ResourceAbsent:
        return {}


def _cluster_id(active: Object, installation: Object, endpoints: Sequence[Object], where: str) -> str:
    """Three objects say it; the gateway is the first to know."""
    local = [e for e in endpoints if REMOTE_LABEL not in (e.get("metadata", {}).get("labels") or {})]
    for said in (
        (active.get("status", {}).get("localEndpoint") or {}).get("cluster_id"),
        installation.get("spec", {}).get("clusterID"),
        local[0].get("spec", {}).get("cluster_id") if len(local) == 1 else None,
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


def _node(node: Object, position: str, gateway_node: Object) -> Node:
    role = Role.PASSIVE if _is_labelled(node) else Role.NON_GATEWAY
    if node is gateway_node:
        role = Role.GATEWAY
    return Node(_name(node), position, role, _internal_ip(node), dict(node["metadata"].get("labels") or {}))


def _internal_ip(node: Object) -> str:
    """The first IPv4 InternalIP: Submariner's data plane of these paths is IPv4."""
    addresses = node.get("status", {}).get("addresses") or []
    return next((a["address"] for a in addresses if a.get("type") == "InternalIP" and ":" not in a["address"]), "")


def _is_labelled(node: Object) -> bool:
    return (node["metadata"].get("labels") or {}).get(GATEWAY_LABEL) == "true"


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def _names(things: Sequence[Object]) -> str:
    return ", ".join(sorted(_name(t) for t in things)) or "none"

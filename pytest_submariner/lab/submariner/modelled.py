"""Submariner without its agents: its objects, its pods, and the state of every node as the model says it has to be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.objects import Cluster, Endpoint
from pytest_submariner.dataplane.view import ClusterView
from pytest_submariner.lab.apierrors import ApiError
from pytest_submariner.lab.spec import ClusterSpec, LabSpec, NodeSpec
from pytest_submariner.lab.submariner import crds, objects, workloads
from pytest_submariner.lab.submariner.access import ApiAccess
from pytest_submariner.lab.submariner.apply import Applier
from pytest_submariner.lab.submariner.readiness import wait_for
from pytest_submariner.lab.submariner.topology import cluster_of, endpoint_of, node_facts
from pytest_submariner.model.nodestate import NodeState

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi
    from pytest_submariner.lab.network import Network

__all__ = ["ApiAccess", "ModelledSubmariner"]

Object = dict[str, Any]
READY_DEADLINE_S: Final = 30.0
MANY_NODES: Final = 20
"""From here on the network's neighbours are permanent, and so are these."""


class ModelledSubmariner:
    """`install()` once; afterwards `apply_all()` follows the objects, `heal()` puts nodes right."""

    def __init__(self, spec: LabSpec, apis: Mapping[str, KubeApi], network: Network, api_access: ApiAccess) -> None:
        """`apis`: cluster -> its API; `api_access`: how the pods reach it."""
        self._spec = spec
        self._apis = apis
        self._access = api_access
        self._applier = Applier(network, permanent_neighbours=len(spec.nodes) >= MANY_NODES)

    async def install(self) -> None:
        """Objects, pods, node state. Returns when every supported path is programmed, the gateway and route agent
        pods run and the active gateways report their cables connected. LabError says what is missing after
        READY_DEADLINE_S."""
        await asyncio.gather(*(self._install_objects(cluster) for cluster in self._spec.clusters))
        await asyncio.gather(self.apply_all(), *(self._install_workloads(cluster) for cluster in self._spec.clusters))
        await asyncio.gather(*(self._await_ready(cluster) for cluster in self._spec.clusters))

    async def stop(self) -> None:
        """Nothing of its own runs: the pods are the kubelet's, the node state ends with the namespaces."""

    async def apply_all(self) -> None:
        """Computes every node's role and state from the objects as they are now, and programs what changed."""
        await self._applier.apply(await self._states())

    async def heal(self, node: str | None = None) -> None:
        """Puts one node right (or all) whatever was done to Submariner's state there. LabError for a node the lab
        does not have."""
        if node is not None:
            self._spec.node(node)
        states = await self._states()
        await self._applier.heal(state for state in states if node in (None, state.node))

    async def view(self, cluster: ClusterSpec) -> ClusterView:
        """The cluster's objects, as its agents see them."""
        api = self._apis[cluster.name]
        endpoints, clusters, nodes = await asyncio.gather(
            api.list(_path(objects.GROUP_V1, "endpoints", c.OPERATOR_NAMESPACE)),
            api.list(_path(objects.GROUP_V1, "clusters", c.OPERATOR_NAMESPACE)),
            api.list("/api/v1/nodes"),
        )
        return ClusterView(
            cluster_id=cluster.name,
            endpoints=tuple(map(Endpoint.from_object, endpoints)),
            clusters=tuple(map(Cluster.from_object, clusters)),
            node_ips=tuple(ip for node in nodes if (ip := _internal_ip(node))),
        )

    async def _states(self) -> list[NodeState]:
        views = await asyncio.gather(*(self.view(cluster) for cluster in self._spec.clusters))
        return [
            expected_state(node_facts(node), view)
            for cluster, view in zip(self._spec.clusters, views, strict=True)
            for node in cluster.nodes
        ]

    async def _install_objects(self, cluster: ClusterSpec) -> None:
        """Namespaces first; then the rest, whose order does not matter."""
        await crds.install(self._apis[cluster.name], crds.definitions())
        create = _Creator(self._apis[cluster.name])
        is_broker = cluster == self._spec.clusters[0]
        names = [c.OPERATOR_NAMESPACE, *([c.BROKER_NAMESPACE] if is_broker else [])]
        await asyncio.gather(*(create("v1", "namespaces", objects.namespace(name)) for name in names))
        broker = self._access.urls[self._spec.clusters[0].name].partition("://")[2]
        synced = [
            self._synced(other, c.OPERATOR_NAMESPACE, is_synced=other != cluster) for other in self._spec.clusters
        ]
        if is_broker:
            synced += [self._synced(other, c.BROKER_NAMESPACE, is_synced=True) for other in self._spec.clusters]
            synced.append([(objects.GROUP_V1ALPHA1, "brokers", objects.broker())])
        await asyncio.gather(
            create.with_status(
                objects.GROUP_V1ALPHA1,
                "submariners",
                objects.submariner(cluster, self._spec.cable, broker),
                objects.submariner_status(cluster),
            ),
            create(objects.GROUP_V1ALPHA1, "servicediscoveries", objects.service_discovery(cluster, broker)),
            create("coordination.k8s.io/v1", "leases", objects.lease(leader(cluster.gateways))),
            create("v1", "secrets", workloads.secret(cluster, self._access)),
            *(create(*item) for group in synced for item in group),
            self._await_nodes(cluster),
        )

    def _synced(self, cluster: ClusterSpec, namespace: str, *, is_synced: bool) -> list[tuple[str, str, Object]]:
        """Cluster and Endpoint of one cluster as another cluster, the broker or itself holds them."""
        endpoint = endpoint_of(cluster, leader(cluster.gateways), self._spec.cable)
        return [
            (objects.GROUP_V1, "clusters", objects.cluster(cluster_of(cluster), namespace, synced=is_synced)),
            (objects.GROUP_V1, "endpoints", objects.endpoint(endpoint, namespace, synced=is_synced)),
        ]

    async def _install_workloads(self, cluster: ClusterSpec) -> None:
        create = _Creator(self._apis[cluster.name])
        daemonsets = (
            workloads.gateway_daemonset(cluster, self._spec.cable),
            workloads.route_agent_daemonset(cluster),
        )
        await asyncio.gather(*(create("apps/v1", "daemonsets", daemonset) for daemonset in daemonsets))

    async def _await_nodes(self, cluster: ClusterSpec) -> None:
        """The FDB of a gateway is made of Node objects, which the kubelet registers."""
        names = {node.name for node in cluster.nodes}

        def missing(nodes: Sequence[Object]) -> str:
            absent = sorted(names - {node["metadata"]["name"] for node in nodes if _internal_ip(node)})
            return f"nodes not registered: {', '.join(absent)}" if absent else ""

        await wait_for(self._apis[cluster.name], "/api/v1/nodes", missing, READY_DEADLINE_S)

    async def _await_ready(self, cluster: ClusterSpec) -> None:
        api = self._apis[cluster.name]
        pods, gateways = len(cluster.nodes) + len(cluster.gateways), len(cluster.gateways)
        remotes = len(self._spec.clusters) - 1

        def not_running(found: Sequence[Object]) -> str:
            waiting = sorted(pod["metadata"]["name"] for pod in found if not _is_ready(pod))
            if waiting:
                return f"pods not running: {', '.join(waiting)}"
            return f"{len(found)} of {pods} Submariner pods exist" if len(found) < pods else ""

        def not_connected(found: Sequence[Object]) -> str:
            if len(found) < gateways:
                return f"{len(found)} of {gateways} Gateways published"
            active = [gateway for gateway in found if gateway["status"]["haStatus"] == "active"]
            connected = [connection for gateway in active for connection in gateway["status"]["connections"]]
            healthy = [connection for connection in connected if _has_latency(connection)]
            return "" if active and len(healthy) == remotes else f"{len(healthy)} of {remotes} cables answered a ping"

        await asyncio.gather(
            wait_for(api, _path("v1", "pods", c.OPERATOR_NAMESPACE), not_running, READY_DEADLINE_S),
            wait_for(api, _path(objects.GROUP_V1, "gateways", c.OPERATOR_NAMESPACE), not_connected, READY_DEADLINE_S),
        )


def leader(gateways: Sequence[NodeSpec]) -> NodeSpec:
    """The active one of a cluster's gateways: the first by name."""
    return min(gateways, key=lambda node: node.name)


class _Creator:
    """Creates objects; one that is there already stays as it is."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def __call__(self, api_version: str, resource: str, body: Object) -> None:
        await self._once(self._api.create(_path(api_version, resource, body["metadata"].get("namespace")), body))

    async def with_status(self, api_version: str, resource: str, body: Object, status: Object) -> None:
        """For kinds with a status subresource, which a create ignores."""
        await self(api_version, resource, body)
        collection = _path(api_version, resource, body["metadata"].get("namespace"))
        await self._api.patch(f"{collection}/{body['metadata']['name']}/status", status)

    async def _once(self, creation: Awaitable[Object]) -> None:
        try:
            await creation
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise


def _path(api_version: str, resource: str, namespace: str | None) -> str:
    root = "/apis" if "/" in api_version else "/api"
    return (
        f"{root}/{api_version}/namespaces/{namespace}/{resource}" if namespace else f"{root}/{api_version}/{resource}"
    )


def _internal_ip(node: Object) -> str:
    """The first InternalIP of a Node; "" while it has none."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((a["address"] for a in addresses if a["type"] == "InternalIP" and ":" not in a["address"]), "")


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _has_latency(connection: Object) -> bool:
    last: str = (connection.get("latencyRTT") or {}).get("last", "0s")
    return last != "0s" and bool(connection["status"] == "connected")

"""Submariner without its agents: its objects, its pods, and the state of every node as the model says it has to be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.objects import Cluster, Endpoint
from pytest_submariner.dataplane.view import ClusterView
from pytest_submariner.lab.spec import ClusterSpec, LabSpec, NodeSpec
from pytest_submariner.lab.submariner import crds, objects, workloads
from pytest_submariner.lab.submariner.access import ApiAccess
from pytest_submariner.lab.submariner.apply import Applier
from pytest_submariner.lab.submariner.brokeraccess import entry
from pytest_submariner.lab.submariner.brokersync import BrokerSync
from pytest_submariner.lab.submariner.creation import Creator, path
from pytest_submariner.lab.submariner.foundation import Broker, lay_foundation, open_broker
from pytest_submariner.lab.submariner.readiness import internal_ip, submariner_ready
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
    """`install()` once; afterwards nodes follow the objects, and `heal()` puts nodes right."""

    def __init__(self, spec: LabSpec, apis: Mapping[str, KubeApi], network: Network, api_access: ApiAccess) -> None:
        """`apis`: cluster -> its API; `api_access`: how the pods reach it."""
        self._spec = spec
        self._apis = apis
        self._access = api_access
        self._applier = Applier(network, permanent_neighbours=len(spec.nodes) >= MANY_NODES)
        self._following: asyncio.Task[None] | None = None

    async def prepare(self, cluster: ClusterSpec) -> None:
        """The kinds, which have to be there before anything else."""
        await crds.install_early(self._apis[cluster.name], crds.definitions())

    async def install(self) -> None:
        """Objects, pods, node state. Returns when every supported path is programmed, the gateway and route agent
        pods run and the active gateways report their cables connected. LabError says what is missing after
        READY_DEADLINE_S."""
        broker = await open_broker(self._apis[self._spec.clusters[0].name], self._spec, self._access)
        await asyncio.gather(*(self._install_objects(cluster, broker) for cluster in self._spec.clusters))
        # Paths first: a hundred pods that start and ping while packet filters are restored make both many times slower.
        await self.apply_all()
        await asyncio.gather(*(self._install_workloads(cluster) for cluster in self._spec.clusters))
        remotes = len(self._spec.clusters) - 1
        await asyncio.gather(
            *(submariner_ready(self._apis[c.name], c, remotes, READY_DEADLINE_S) for c in self._spec.clusters)
        )
        name = self._spec.clusters[0].name
        sync = BrokerSync(self._apis, name, entry(self._access.urls[name]), self.apply_all)
        self._following = asyncio.create_task(sync.run(), name="broker sync")

    async def stop(self) -> None:
        """Stops following; the pods are the kubelet's, the node state ends with the namespaces."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

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
            api.list(path(objects.GROUP_V1, "endpoints", c.OPERATOR_NAMESPACE)),
            api.list(path(objects.GROUP_V1, "clusters", c.OPERATOR_NAMESPACE)),
            api.list("/api/v1/nodes"),
        )
        return ClusterView(
            cluster_id=cluster.name,
            endpoints=tuple(map(Endpoint.from_object, endpoints)),
            clusters=tuple(map(Cluster.from_object, clusters)),
            node_ips=tuple(ip for node in nodes if (ip := internal_ip(node))),
        )

    async def _states(self) -> list[NodeState]:
        views = await asyncio.gather(*(self.view(cluster) for cluster in self._spec.clusters))
        return [
            expected_state(node_facts(node), view)
            for cluster, view in zip(self._spec.clusters, views, strict=True)
            for node in cluster.nodes
        ]

    async def _install_objects(self, cluster: ClusterSpec, broker: Broker) -> None:
        """The operator's objects, and those that agents would have published or synced from the broker."""
        await lay_foundation(self._apis[cluster.name], self._spec, cluster, broker)
        create = Creator(self._apis[cluster.name])
        synced = [
            self._synced(other, c.OPERATOR_NAMESPACE, is_synced=other != cluster) for other in self._spec.clusters
        ]
        if cluster == self._spec.clusters[0]:
            synced += [self._synced(other, c.BROKER_NAMESPACE, is_synced=True) for other in self._spec.clusters]
        await asyncio.gather(
            create("coordination.k8s.io/v1", "leases", objects.lease(leader(cluster.gateways).name)),
            create("v1", "secrets", workloads.secret(cluster, self._access)),
            *(create(*item) for group in synced for item in group),
        )

    def _synced(self, cluster: ClusterSpec, namespace: str, *, is_synced: bool) -> list[tuple[str, str, Object]]:
        """Cluster and Endpoint of one cluster as another cluster, the broker or itself holds them."""
        endpoint = endpoint_of(cluster, leader(cluster.gateways), self._spec.cable)
        return [
            (objects.GROUP_V1, "clusters", objects.cluster(cluster_of(cluster), namespace, synced=is_synced)),
            (objects.GROUP_V1, "endpoints", objects.endpoint(endpoint, namespace, synced=is_synced)),
        ]

    async def _install_workloads(self, cluster: ClusterSpec) -> None:
        create = Creator(self._apis[cluster.name])
        daemonsets = (
            workloads.gateway_daemonset(cluster, self._spec.cable),
            workloads.route_agent_daemonset(cluster),
        )
        await asyncio.gather(*(create("apps/v1", "daemonsets", daemonset) for daemonset in daemonsets))


def leader(gateways: Sequence[NodeSpec]) -> NodeSpec:
    """The active one of a cluster's gateways: the first by name."""
    return min(gateways, key=lambda node: node.name)

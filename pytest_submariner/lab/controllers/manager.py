"""All controllers of one cluster, as kube-controller-manager, kube-scheduler, kube-proxy and the CNI's policy agent are on a real one."""

from __future__ import annotations

import asyncio
from typing import Protocol

from pytest_submariner.lab.controllers.daemonsets import DaemonSets
from pytest_submariner.lab.controllers.deployments import Deployments
from pytest_submariner.lab.controllers.endpoints import EndpointsController
from pytest_submariner.lab.controllers.garbage import Garbage
from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.kubeproxy import KubeProxy, NodeRules
from pytest_submariner.lab.controllers.namespaces import Namespaces
from pytest_submariner.lab.controllers.networkpolicies import NetworkPolicies
from pytest_submariner.lab.controllers.nodes import Nodes
from pytest_submariner.lab.controllers.replicasets import ReplicaSets
from pytest_submariner.lab.controllers.scheduler import Scheduler
from pytest_submariner.lab.controllers.serviceaccounts import ServiceAccounts
from pytest_submariner.lab.controllers.statefulsets import StatefulSets
from pytest_submariner.lab.kubeapi import KubeApi
from pytest_submariner.lab.spec import ClusterSpec


class _Stoppable(Protocol):
    async def stop(self) -> None: ...


class Controllers:
    """Everything works by events of shared informers, over HTTP only, so it serves any API server."""

    def __init__(self, cluster: ClusterSpec, api: KubeApi, network: NodeRules) -> None:
        self._cluster, self._api, self._network = cluster, api, network
        self._informers: Informers | None = None
        self._running: list[_Stoppable] = []

    async def start(self) -> None:
        """Returns when every controller has seen what there is; what it then does goes on in the background."""
        api = self._api
        self._informers = informers = Informers(api)
        await informers.start()
        proxy = KubeProxy(self._cluster, self._network, informers.services, informers.endpoint_slices)
        proxy.start()
        self._running = [
            proxy,
            NetworkPolicies(self._cluster, self._network, informers),
            Nodes(api, informers.nodes),
            Scheduler(api, informers),
            EndpointsController(api, informers),
            DaemonSets(api, informers),
            ReplicaSets(api, informers),
            Deployments(api, informers),
            StatefulSets(api, informers),
            ServiceAccounts(api, informers.namespaces, informers.service_accounts, informers.root_cas),
            Garbage(api, informers),
            Namespaces(api, informers.namespaces, informers.pods),
        ]

    async def stop(self) -> None:
        """Ends every task and watch; the API client stays open, and node rules stay as they are."""
        await asyncio.gather(*(controller.stop() for controller in self._running))
        self._running = []
        if self._informers is not None:
            await self._informers.stop()

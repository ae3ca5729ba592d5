"""The collections the controllers of one cluster follow: one informer per kind, whoever needs it."""

from __future__ import annotations

import asyncio

from pytest_submariner.lab.controllers.serviceaccounts import ROOT_CA
from pytest_submariner.lab.informer import Informer
from pytest_submariner.lab.kubeapi import KubeApi


class Informers:
    """Shared, all namespaces. Nothing is asked of the server before `start`."""

    def __init__(self, api: KubeApi) -> None:
        self.nodes = api.informer("/api/v1/nodes")
        self.namespaces = api.informer("/api/v1/namespaces")
        self.pods = api.informer("/api/v1/pods")
        self.services = api.informer("/api/v1/services")
        self.endpoints = api.informer("/api/v1/endpoints")
        self.endpoint_slices = api.informer("/apis/discovery.k8s.io/v1/endpointslices")
        self.service_accounts = api.informer("/api/v1/serviceaccounts", fields="metadata.name=default")
        self.root_cas = api.informer("/api/v1/configmaps", fields=f"metadata.name={ROOT_CA}")
        self.daemon_sets = api.informer("/apis/apps/v1/daemonsets")
        self.replica_sets = api.informer("/apis/apps/v1/replicasets")
        self.deployments = api.informer("/apis/apps/v1/deployments")
        self.network_policies = api.informer("/apis/networking.k8s.io/v1/networkpolicies")
        self.stateful_sets = api.informer("/apis/apps/v1/statefulsets")

    async def start(self) -> None:
        """Returns when the first list of each is in its cache."""
        for informer in self._all():
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in self._all()))

    async def stop(self) -> None:
        await asyncio.gather(*(informer.stop() for informer in self._all()))

    def _all(self) -> list[Informer]:
        return [value for value in vars(self).values() if isinstance(value, Informer)]

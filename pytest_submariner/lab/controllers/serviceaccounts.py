"""What every namespace gets: the service account `default`, and the authority's certificate in a ConfigMap."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_submariner.lab.apierrors import ApiError
from pytest_submariner.lab.controllers.reconciler import Reconciler
from pytest_submariner.lab.informer import Event, Informer, Key
from pytest_submariner.lab.kubeapi import KubeApi, Object, path_to

ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"


class ServiceAccounts:
    """Makes both in a new namespace, and again when someone deletes one."""

    def __init__(self, api: KubeApi, namespaces: Informer, accounts: Informer, root_cas: Informer) -> None:
        self._api = api
        self._namespaces, self._accounts, self._root_cas = namespaces, accounts, root_cas
        self._queue = Reconciler("service accounts", self._provide)
        namespaces.on_event(lambda event: self._queue.add(("", event.object["metadata"]["name"])))
        for informer in (accounts, root_cas):
            informer.on_event(self._changed)

    async def stop(self) -> None:
        await self._queue.stop()

    def _changed(self, event: Event) -> None:
        if event.type == "DELETED":
            self._queue.add(("", event.object["metadata"]["namespace"]))

    async def _provide(self, key: Key) -> None:
        namespace = self._namespaces.cache.get(key)
        if namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return
        for informer, resource, body in self._wanted():
            name = body["metadata"]["name"]
            if (key[1], name) not in informer.cache:
                try:
                    await self._api.create(path_to("v1", resource, key[1]), body)
                except ApiError as error:
                    if error.reason != "AlreadyExists":
                        raise

    def _wanted(self) -> Iterable[tuple[Informer, str, Object]]:
        yield (
            self._accounts,
            "serviceaccounts",
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": ACCOUNT},
            },
        )
        if self._api.ca_pem:
            yield (
                self._root_cas,
                "configmaps",
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": ROOT_CA},
                    "data": {"ca.crt": self._api.ca_pem.decode("ascii")},
                },
            )

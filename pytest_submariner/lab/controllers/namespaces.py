"""Empties a namespace that is being deleted, then lets it go (kubernetes:pkg/controller/namespace)."""

from __future__ import annotations

import asyncio
import time

from pytest_submariner.lab.apierrors import ApiError
from pytest_submariner.lab.controllers.reconciler import Reconciler
from pytest_submariner.lab.informer import Event, Informer, Key
from pytest_submariner.lab.kubeapi import KubeApi, Object, path_to

FINALIZER = "kubernetes"
DISCOVERY_AGE_S = 10.0
RECHECK_S = 0.25
"""For contents that go by someone else's hand (finalizers, pods in their grace time); the end of a pod is seen at once."""


class Namespaces:
    """Deletes everything namespaced that discovery names, waits until it is gone, and puts the empty finalizer list."""

    def __init__(self, api: KubeApi, namespaces: Informer, pods: Informer) -> None:
        self._api, self._namespaces = api, namespaces
        self._resources: list[tuple[str, str]] = []
        self._discovered_at = float("-inf")
        self._queue = Reconciler("namespaces", self._empty)
        namespaces.on_event(self._changed)
        pods.on_event(self._pod_changed)

    async def stop(self) -> None:
        await self._queue.stop()

    def _changed(self, event: Event) -> None:
        if event.type != "DELETED" and _is_terminating(event.object):
            self._queue.add(("", event.object["metadata"]["name"]))

    def _pod_changed(self, event: Event) -> None:
        key = ("", event.object["metadata"]["namespace"])
        if event.type == "DELETED" and _is_terminating(self._namespaces.cache.get(key)):
            self._queue.add(key)

    async def _empty(self, key: Key) -> None:
        if not _is_terminating(self._namespaces.cache.get(key)):
            return
        name = key[1]
        resources = await self._discover()
        left = await asyncio.gather(*(self._delete_all(version, plural, name) for version, plural in resources))
        if any(left):
            self._queue.add(key, after_s=RECHECK_S)
            return

        def release(namespace: Object) -> None:
            namespace["spec"]["finalizers"] = [f for f in namespace["spec"].get("finalizers", ()) if f != FINALIZER]

        await self._api.update(path_to("v1", "namespaces", name=name), release, subresource="finalize")

    async def _delete_all(self, api_version: str, plural: str, namespace: str) -> bool:
        """Whether anything is left of one kind."""
        path = path_to(api_version, plural, namespace)
        try:
            items = await self._api.list(path)
            if any(not item["metadata"].get("deletionTimestamp") for item in items):
                await self._api.delete(path)
                items = await self._api.list(path)
        except ApiError as error:
            if error.status in {404, 405}:  # a kind that went away, or can't be listed or deleted as a collection
                return False
            raise
        return bool(items)

    async def _discover(self) -> list[tuple[str, str]]:
        """(apiVersion, plural) of each namespaced kind that can be listed and deleted; remembered for a while."""
        if time.monotonic() - self._discovered_at > DISCOVERY_AGE_S:
            core, named = await asyncio.gather(self._api.get("/api"), self._api.get("/apis"))
            versions = [("/api/", v) for v in (core or {}).get("versions", ())]
            versions += [("/apis/", v["groupVersion"]) for g in (named or {}).get("groups", ()) for v in g["versions"]]
            lists = await asyncio.gather(*(self._api.get(prefix + version) for prefix, version in versions))
            self._resources = [
                (version, resource["name"])
                for (_, version), found in zip(versions, lists, strict=True)
                for resource in (found or {}).get("resources", ())
                if resource["namespaced"] and {"list", "deletecollection"} <= set(resource["verbs"])
            ]
            self._discovered_at = time.monotonic()
        return self._resources


def _is_terminating(namespace: Object | None) -> bool:
    return namespace is not None and bool(namespace["metadata"].get("deletionTimestamp"))

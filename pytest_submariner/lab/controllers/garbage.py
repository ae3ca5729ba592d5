"""Removes what its owners have left behind, and does the two special ways of deleting an owner.

As kubernetes:pkg/controller/garbagecollector, for the kinds that have owners in the lab.
"""

from __future__ import annotations

import asyncio

from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.reconciler import Reconciler, key_of
from pytest_submariner.lab.controllers.workload import is_deleting
from pytest_submariner.lab.informer import Event, Informer, Key
from pytest_submariner.lab.kubeapi import KubeApi, Object, path_to

FOREGROUND = "foregroundDeletion"
"""On the owner: its dependents go first (`--cascade=foreground`)."""
ORPHAN = "orphan"
"""On the owner: its dependents stay (`--cascade=orphan`)."""


class Garbage:
    """Follows owners and dependents through the shared informers; an owner of a kind not followed counts as alive."""

    def __init__(self, api: KubeApi, informers: Informers) -> None:
        self._api = api
        self._owners: dict[tuple[str, str], tuple[Informer, str]] = {
            ("v1", "Pod"): (informers.pods, "pods"),
            ("v1", "Service"): (informers.services, "services"),
            ("v1", "Endpoints"): (informers.endpoints, "endpoints"),
            ("apps/v1", "DaemonSet"): (informers.daemon_sets, "daemonsets"),
            ("apps/v1", "ReplicaSet"): (informers.replica_sets, "replicasets"),
            ("apps/v1", "Deployment"): (informers.deployments, "deployments"),
            ("apps/v1", "StatefulSet"): (informers.stateful_sets, "statefulsets"),
        }
        self._dependents = {
            "pods": (informers.pods, "v1"),
            "replicasets": (informers.replica_sets, "apps/v1"),
            "endpointslices": (informers.endpoint_slices, "discovery.k8s.io/v1"),
        }
        self._queues = [
            self._follow_dependents(resource, informer, version)
            for resource, (informer, version) in self._dependents.items()
        ]
        self._queues += [
            self._follow_owners(version, informer, resource)
            for (version, _), (informer, resource) in self._owners.items()
        ]

    async def stop(self) -> None:
        await asyncio.gather(*(queue.stop() for queue in self._queues))

    def _follow_dependents(self, resource: str, informer: Informer, version: str) -> Reconciler:
        async def collect(key: Key) -> None:
            item = informer.cache.get(key)
            if item is None or is_deleting(item) or await self._has_living_owner(item):
                return
            await self._api.delete(path_to(version, resource, *key), uid=item["metadata"]["uid"])

        queue = Reconciler(f"garbage {resource}", collect)

        def changed(event: Event) -> None:
            if event.type == "ADDED" and _references(event.object):
                queue.add(key_of(event.object))

        def owner_changed(event: Event) -> None:
            if event.type == "DELETED":
                for dependent in _owned(informer, event.object):
                    queue.add(key_of(dependent))

        informer.on_event(changed)
        for owners, _ in self._owners.values():
            owners.on_event(owner_changed)
        return queue

    def _follow_owners(self, version: str, informer: Informer, resource: str) -> Reconciler:
        async def release(key: Key) -> None:
            owner = informer.cache.get(key)
            if owner is None or not is_deleting(owner):
                return
            finalizers = set(owner["metadata"].get("finalizers") or ())
            path = path_to(version, resource, *key)
            if FOREGROUND in finalizers:
                left = await self._delete_dependents(owner)
                if not left:
                    await self._api.update(path, lambda item: _drop(item, FOREGROUND))
            elif ORPHAN in finalizers:
                await self._orphan_dependents(owner)
                await self._api.update(path, lambda item: _drop(item, ORPHAN))

        queue = Reconciler(f"garbage owners {resource}", release)

        def changed(event: Event) -> None:
            if is_deleting(event.object) and event.object["metadata"].get("finalizers"):
                queue.add(key_of(event.object))

        def dependent_gone(event: Event) -> None:
            if event.type == "DELETED":
                for reference in _references(event.object):
                    key = (event.object["metadata"]["namespace"], reference["name"])
                    owner = informer.cache.get(key)
                    if owner and owner["metadata"]["uid"] == reference["uid"] and is_deleting(owner):
                        queue.add(key)

        informer.on_event(changed)
        for dependents, _ in self._dependents.values():
            dependents.on_event(dependent_gone)
        return queue

    async def _has_living_owner(self, item: Object) -> bool:
        references = _references(item)
        for reference in references:
            followed = self._owners.get((reference["apiVersion"], reference["kind"]))
            if followed is None:
                return True
            informer, resource = followed
            key = (item["metadata"]["namespace"], reference["name"])
            cached = informer.cache.get(key)
            if cached is None or cached["metadata"]["uid"] != reference["uid"]:
                # The owner may be younger than what its informer has heard.
                cached = await self._api.get(path_to(reference["apiVersion"], resource, *key))
            if cached is not None and cached["metadata"]["uid"] == reference["uid"]:
                return True
        return not references

    async def _delete_dependents(self, owner: Object) -> bool:
        """Whether any is left."""
        left = False
        for resource, (informer, version) in self._dependents.items():
            for dependent in _owned(informer, owner):
                left = True
                if not is_deleting(dependent):
                    path = path_to(version, resource, *key_of(dependent))
                    await self._api.delete(path, uid=dependent["metadata"]["uid"])
        return left

    async def _orphan_dependents(self, owner: Object) -> None:
        uid = owner["metadata"]["uid"]

        def cut(item: Object) -> None:
            kept = [reference for reference in _references(item) if reference["uid"] != uid]
            item["metadata"]["ownerReferences"] = kept

        for resource, (informer, version) in self._dependents.items():
            for dependent in _owned(informer, owner):
                await self._api.update(path_to(version, resource, *key_of(dependent)), cut)


def _references(item: Object) -> list[Object]:
    return list(item["metadata"].get("ownerReferences") or ())


def _owned(informer: Informer, owner: Object) -> list[Object]:
    uid = owner["metadata"]["uid"]
    return [d for d in informer.cache.values() if any(reference["uid"] == uid for reference in _references(d))]


def _drop(item: Object, finalizer: str) -> None:
    item["metadata"]["finalizers"] = [f for f in item["metadata"].get("finalizers") or () if f != finalizer]

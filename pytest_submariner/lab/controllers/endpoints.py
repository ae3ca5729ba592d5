"""Keeps the Endpoints and EndpointSlices of every Service with a selector, and slices for Endpoints written by hand."""

from __future__ import annotations

from typing import Any

from pytest_submariner.lab.controllers.backends import (
    ENDPOINTS_LABEL,
    ENDPOINTS_MANAGER,
    MANAGED_LABEL,
    SERVICE_LABEL,
    SLICE_MANAGER,
    backends,
    endpoints,
    slices,
)
from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.mirroring import MIRROR_MANAGER, mirrored
from pytest_submariner.lab.controllers.reconciler import Reconciler, key_of
from pytest_submariner.lab.controllers.selectors import matches_labels
from pytest_submariner.lab.informer import Event, Key
from pytest_submariner.lab.kubeapi import KubeApi, Object, path_to

SLICES = "discovery.k8s.io/v1"


class EndpointsController:
    """One pass per Service: what should be there out of the caches, then the writes that are missing."""

    def __init__(self, api: KubeApi, informers: Informers) -> None:
        self._api = api
        self._services, self._pods = informers.services, informers.pods
        self._endpoints, self._slices = informers.endpoints, informers.endpoint_slices
        self._queue = Reconciler("endpoints", self._reconcile)
        self._bereft: set[Key] = set()
        """Services that were deleted: their Endpoints go with them, whoever wrote those."""
        self._services.on_event(self._service_changed)
        self._pods.on_event(self._pod_changed)
        self._endpoints.on_event(lambda event: self._queue.add(key_of(event.object)))
        self._slices.on_event(self._slice_changed)

    async def stop(self) -> None:
        await self._queue.stop()

    def _service_changed(self, event: Event) -> None:
        key = key_of(event.object)
        (self._bereft.add if event.type == "DELETED" else self._bereft.discard)(key)
        self._queue.add(key)

    def _pod_changed(self, event: Event) -> None:
        if event.old is not None and _traits(event.old) == _traits(event.object) and event.type != "DELETED":
            return
        states = [pod["metadata"].get("labels") or {} for pod in (event.object, event.old) if pod is not None]
        namespace = event.object["metadata"]["namespace"]
        for key, service in self._services.cache.items():
            selector = service["spec"].get("selector")
            if key[0] == namespace and selector and any(matches_labels(selector, labels) for labels in states):
                self._queue.add(key)

    def _slice_changed(self, event: Event) -> None:
        metadata = event.object["metadata"]
        if service := (metadata.get("labels") or {}).get(SERVICE_LABEL):
            self._queue.add((metadata["namespace"], service))

    async def _reconcile(self, key: Key) -> None:
        service = self._services.cache.get(key)
        if service is None:
            await self._put_slices(key, SLICE_MANAGER, [])
            await self._put_slices(key, MIRROR_MANAGER, [])
            left = self._endpoints.cache.get(key)
            ours = left and (left["metadata"].get("labels") or {}).get(ENDPOINTS_LABEL) == ENDPOINTS_MANAGER
            # Endpoints that someone else wrote may be waiting for a Service that is still to come.
            if left and (ours or key in self._bereft):
                await self._api.delete(path_to("v1", "endpoints", *key), uid=left["metadata"]["uid"])
            self._bereft.discard(key)
        elif service["spec"].get("selector"):
            found = backends(service, self._pods.cache.values())
            await self._put_slices(key, SLICE_MANAGER, slices(service, found))
            await self._put_slices(key, MIRROR_MANAGER, [])
            await self._put_endpoints(key, endpoints(service, found))
        else:
            await self._put_slices(key, MIRROR_MANAGER, mirrored(self._endpoints.cache.get(key)))

    async def _put_endpoints(self, key: Key, wanted: Object) -> None:
        current = self._endpoints.cache.get(key)
        if current is None:
            self._endpoints.observe(await self._api.create(path_to("v1", "endpoints", key[0]), wanted))
        elif changed := _merged(current, wanted, ("subsets",)):
            self._endpoints.observe(await self._api.replace(path_to("v1", "endpoints", *key), changed))

    async def _put_slices(self, key: Key, manager: str, wanted: list[Object]) -> None:
        """Bring the slices one manager keeps for a Service to `wanted`; those there are used again, in order of name."""
        namespace, service = key
        labels = {SERVICE_LABEL: service, MANAGED_LABEL: manager}
        current = sorted(
            (item for item in self._slices.cache.values() if _carries(item, namespace, labels)),
            key=lambda item: str(item["metadata"]["name"]),
        )
        collection = path_to(SLICES, "endpointslices", namespace)
        for have, want in zip(current, wanted, strict=False):
            if changed := _merged(have, want, ("endpoints", "ports")):
                path = f"{collection}/{have['metadata']['name']}"
                self._slices.observe(await self._api.replace(path, changed))
        for want in wanted[len(current) :]:
            self._slices.observe(await self._api.create(collection, want))
        for have in current[len(wanted) :]:
            await self._api.delete(f"{collection}/{have['metadata']['name']}")


def _carries(item: Object, namespace: str, labels: dict[str, str]) -> bool:
    metadata = item["metadata"]
    return metadata["namespace"] == namespace and matches_labels(labels, metadata.get("labels") or {})


def _merged(current: Object, wanted: Object, fields: tuple[str, ...]) -> Object | None:
    """`current` with the fields and labels of `wanted`; None when it has them. An absent list and an empty one are equal."""
    labels = wanted["metadata"].get("labels") or {}
    have: dict[str, Any] = current["metadata"].get("labels") or {}
    if matches_labels(labels, have) and all((current.get(f) or []) == wanted[f] for f in fields):
        return None
    metadata = {**current["metadata"], "labels": {**have, **labels}}
    return {**current, "metadata": metadata, **{f: wanted[f] for f in fields}}


def _traits(pod: Object) -> tuple[object, ...]:
    """What a Service's endpoints depend on."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    ready = [c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"]
    return metadata.get("labels"), "deletionTimestamp" in metadata, status.get("podIP"), status.get("phase"), ready

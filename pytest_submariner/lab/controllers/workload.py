"""What the controllers of apps/v1 share: pods made from a template, known by their owner reference."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

from pytest_submariner.lab.controllers.conditions import is_true
from pytest_submariner.lab.controllers.reconciler import Reconciler
from pytest_submariner.lab.informer import Event, Informer
from pytest_submariner.lab.kubeapi import KubeApi, Object, path_to

_SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and nothing that looks like another sign (apimachinery:pkg/util/rand)."""


class Workload:
    """The pods (or ReplicaSets) of one kind of owner."""

    def __init__(self, api: KubeApi, dependents: Informer, api_version: str, resource: str, kind: str) -> None:
        """`resource` and `api_version` of the dependents, `kind` of the owner (in apps/v1)."""
        self._api, self._dependents = api, dependents
        self._api_version, self._resource, self.kind = api_version, resource, kind

    def wake(self, queue: Reconciler) -> None:
        """Add an owner's key to `queue` whenever one of its dependents changes."""

        def changed(event: Event) -> None:
            owner = controller_of(event.object)
            if owner and owner["kind"] == self.kind:
                queue.add((event.object["metadata"]["namespace"], owner["name"]))

        self._dependents.on_event(changed)

    def of(self, owner: Object) -> list[Object]:
        """By name."""
        uid = owner["metadata"]["uid"]
        found = [d for d in self._dependents.cache.values() if (controller_of(d) or {}).get("uid") == uid]
        return sorted(found, key=lambda d: str(d["metadata"]["name"]))

    async def create(self, owner: Object, body: Object) -> Object:
        metadata = owner["metadata"]
        reference = {
            "apiVersion": "apps/v1",
            "kind": self.kind,
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        body = {**body, "metadata": {**body["metadata"], "ownerReferences": [reference]}}
        path = path_to(self._api_version, self._resource, metadata["namespace"])
        return self._dependents.observe(await self._api.create(path, body))

    async def delete(self, dependent: Object) -> None:
        metadata = dependent["metadata"]
        path = path_to(self._api_version, self._resource, metadata["namespace"], metadata["name"])
        await self._api.delete(path, uid=metadata["uid"])


async def put_status(api: KubeApi, informer: Informer, resource: str, owner: Object, status: Object) -> None:
    """Write the fields of `status` where they differ; other fields stay."""
    current = owner.get("status") or {}
    status = {"observedGeneration": owner["metadata"].get("generation", 0), **status}
    if all(current.get(field, 0) == value for field, value in status.items()):
        return
    metadata = owner["metadata"]
    path = path_to("apps/v1", resource, metadata["namespace"], metadata["name"])
    informer.observe(await api.patch(path + "/status", {"status": status}))


def pod_body(owner: Object, labels: dict[str, str], **spec: Any) -> Object:
    """A pod out of the owner's template, with more labels and with fields of its spec set; no name yet."""
    template = copy.deepcopy(owner["spec"]["template"])
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{owner['metadata']['name']}-",
            "labels": {**(metadata.get("labels") or {}), **labels},
            "annotations": metadata.get("annotations") or {},
        },
        "spec": {**template["spec"], **spec},
    }


def template_hash(owner: Object) -> str:
    """Ten signs that change with the pod template: what controller-revision-hash and pod-template-hash are for."""
    digest = hashlib.sha256(json.dumps(owner["spec"]["template"], sort_keys=True).encode()).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:10])


def controller_of(item: Object) -> Object | None:
    references = item["metadata"].get("ownerReferences") or ()
    return next((reference for reference in references if reference.get("controller")), None)


def is_deleting(item: Object) -> bool:
    return bool(item["metadata"].get("deletionTimestamp"))


def is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def is_available(pod: Object) -> bool:
    """Ready and staying; minReadySeconds is not waited for."""
    return is_true(pod, "Ready") and not is_deleting(pod)

"""A ReplicaSet for the present template of each Deployment, and none but empty ones for older templates.

Simpler than kubernetes:pkg/controller/deployment in one thing: a rolling update brings up all new pods before it lets the
old ones go, whatever maxSurge and maxUnavailable say.
"""

from __future__ import annotations

import asyncio
import copy

from pytest_submariner.lab.controllers.conditions import now, set_condition
from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.reconciler import Reconciler, key_of
from pytest_submariner.lab.controllers.workload import Workload, is_deleting, put_status, template_hash
from pytest_submariner.lab.informer import Key
from pytest_submariner.lab.kubeapi import KubeApi, Object, path_to

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


class Deployments:
    """Scales ReplicaSets; the pods are theirs."""

    def __init__(self, api: KubeApi, informers: Informers) -> None:
        self._api, self._deployments, self._replica_sets = api, informers.deployments, informers.replica_sets
        self._sets = Workload(api, informers.replica_sets, "apps/v1", "replicasets", "Deployment")
        self._queue = Reconciler("deployments", self._reconcile)
        self._deployments.on_event(lambda event: self._queue.add(key_of(event.object)))
        self._sets.wake(self._queue)

    async def stop(self) -> None:
        await self._queue.stop()

    async def _reconcile(self, key: Key) -> None:
        owner = self._deployments.cache.get(key)
        if owner is None or is_deleting(owner):
            return
        wanted, hash_ = owner["spec"].get("replicas", 1), template_hash(owner)
        sets = self._sets.of(owner)
        old = [s for s in sets if s["metadata"]["labels"].get(HASH_LABEL) != hash_]
        new = next((s for s in sets if s not in old), None)
        recreate = (owner["spec"].get("strategy") or {}).get("type") == "Recreate"
        if recreate and any((s.get("status") or {}).get("replicas", 0) for s in old):
            await asyncio.gather(*(self._scale(s, 0) for s in old))
        elif new is None:
            revision = 1 + max((int(s["metadata"]["annotations"].get(REVISION, 0)) for s in sets), default=0)
            new = await self._sets.create(owner, _replica_set(owner, hash_, wanted, revision))
        else:
            new = await self._scale(new, wanted)
            if (new.get("status") or {}).get("availableReplicas", 0) >= wanted:
                await asyncio.gather(*(self._scale(s, 0) for s in old))
        await put_status(self._api, self._deployments, "deployments", owner, _status(owner, new, old, wanted))

    async def _scale(self, replica_set: Object, replicas: int) -> Object:
        if replica_set["spec"].get("replicas", 1) == replicas:
            return replica_set
        metadata = replica_set["metadata"]
        path = path_to("apps/v1", "replicasets", metadata["namespace"], metadata["name"])
        return self._replica_sets.observe(await self._api.patch(path, {"spec": {"replicas": replicas}}))


def _replica_set(owner: Object, hash_: str, replicas: int, revision: int) -> Object:
    spec = owner["spec"]
    template = copy.deepcopy(spec["template"])
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: hash_}
    template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
    selector = spec["selector"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{owner['metadata']['name']}-{hash_}",
            "labels": labels,
            "annotations": {REVISION: str(revision)},
        },
        "spec": {
            "replicas": replicas,
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: hash_}},
            "template": template,
        },
    }


def _status(owner: Object, new: Object | None, old: list[Object], wanted: int) -> Object:
    current = (new or {}).get("status") or {}
    everyone = [current, *(s.get("status") or {} for s in old)]
    available = sum(status.get("availableReplicas", 0) for status in everyone)
    updated, total = current.get("replicas", 0), sum(status.get("replicas", 0) for status in everyone)
    draft: Object = {"status": {"conditions": copy.deepcopy((owner.get("status") or {}).get("conditions") or [])}}
    enough = available >= wanted
    set_condition(
        draft,
        "Available",
        str(enough),
        reason="MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        message=f"Deployment {'has' if enough else 'does not have'} minimum availability.",
        at=now(),
    )
    done = updated == wanted == total and available == wanted
    name = new["metadata"]["name"] if new else ""
    set_condition(
        draft,
        "Progressing",
        "True",
        reason="NewReplicaSetAvailable" if done else "ReplicaSetUpdated",
        message=f'ReplicaSet "{name}" {"has successfully progressed" if done else "is progressing"}.',
        at=now(),
    )
    return {
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": available,
        "availableReplicas": available,
        "unavailableReplicas": max(total - available, 0),
        "conditions": draft["status"]["conditions"],
    }

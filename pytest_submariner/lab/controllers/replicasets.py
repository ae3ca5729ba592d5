"""As many pods as a ReplicaSet asks for (kubernetes:pkg/controller/replicaset)."""

from __future__ import annotations

import asyncio

from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.reconciler import Reconciler, key_of
from pytest_submariner.lab.controllers.workload import (
    Workload,
    is_available,
    is_deleting,
    is_finished,
    pod_body,
    put_status,
)
from pytest_submariner.lab.informer import Key
from pytest_submariner.lab.kubeapi import KubeApi, Object


class ReplicaSets:
    """Pods that finished or are being deleted don't count; of too many, those that don't serve yet go first."""

    def __init__(self, api: KubeApi, informers: Informers) -> None:
        self._api, self._sets = api, informers.replica_sets
        self._pods = Workload(api, informers.pods, "v1", "pods", "ReplicaSet")
        self._queue = Reconciler("replicasets", self._reconcile)
        self._sets.on_event(lambda event: self._queue.add(key_of(event.object)))
        self._pods.wake(self._queue)

    async def stop(self) -> None:
        await self._queue.stop()

    async def _reconcile(self, key: Key) -> None:
        owner = self._sets.cache.get(key)
        if owner is None or is_deleting(owner):
            return
        wanted = owner["spec"].get("replicas", 1)
        active = self._active(owner)
        surplus = sorted(active, key=lambda pod: (is_available(pod), bool(pod["spec"].get("nodeName"))))
        await asyncio.gather(
            *(self._pods.create(owner, pod_body(owner, {})) for _ in range(wanted - len(active))),
            *(self._pods.delete(pod) for pod in surplus[: max(len(active) - wanted, 0)]),
        )
        active = self._active(owner)
        available = sum(is_available(pod) for pod in active)
        status = {
            "replicas": len(active),
            "fullyLabeledReplicas": len(active),
            "readyReplicas": available,
            "availableReplicas": available,
        }
        await put_status(self._api, self._sets, "replicasets", owner, status)

    def _active(self, owner: Object) -> list[Object]:
        return [pod for pod in self._pods.of(owner) if not is_finished(pod) and not is_deleting(pod)]

"""Pods `name-0`, `name-1`, … in order, each with a name that stays (kubernetes:pkg/controller/statefulset).

Volume claims are not made: nothing in the lab stores data.
"""

from __future__ import annotations

from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.reconciler import Reconciler, key_of
from pytest_submariner.lab.controllers.workload import (
    Workload,
    is_available,
    is_deleting,
    is_finished,
    pod_body,
    put_status,
    template_hash,
)
from pytest_submariner.lab.informer import Key
from pytest_submariner.lab.kubeapi import KubeApi, Object

HASH_LABEL = "controller-revision-hash"


class StatefulSets:
    """One step per pass: the next pod is made when all before it serve, the last one goes first."""

    def __init__(self, api: KubeApi, informers: Informers) -> None:
        self._api, self._sets = api, informers.stateful_sets
        self._pods = Workload(api, informers.pods, "v1", "pods", "StatefulSet")
        self._queue = Reconciler("statefulsets", self._reconcile)
        self._sets.on_event(lambda event: self._queue.add(key_of(event.object)))
        self._pods.wake(self._queue)

    async def stop(self) -> None:
        await self._queue.stop()

    async def _reconcile(self, key: Key) -> None:
        owner = self._sets.cache.get(key)
        if owner is None or is_deleting(owner):
            return
        wanted, hash_ = owner["spec"].get("replicas", 1), template_hash(owner)
        pods = {_ordinal(pod): pod for pod in self._pods.of(owner)}
        if doomed := _to_delete(owner, pods, wanted, hash_):
            await self._pods.delete(doomed)
        parallel = owner["spec"].get("podManagementPolicy") == "Parallel"
        for ordinal in range(wanted):
            pod = pods.get(ordinal)
            if pod is None:
                await self._pods.create(owner, _pod(owner, ordinal, hash_))
            if not parallel and (pod is None or not is_available(pod)):
                break
        await put_status(self._api, self._sets, "statefulsets", owner, _status(self._pods.of(owner), hash_))


def _to_delete(owner: Object, pods: dict[int, Object], wanted: int, hash_: str) -> Object | None:
    """A finished pod, else the highest one too many, else (all serving) the highest of an older template."""
    if any(is_deleting(pod) for pod in pods.values()):
        return None
    finished = [pod for pod in pods.values() if is_finished(pod)]
    surplus = [ordinal for ordinal in pods if ordinal >= wanted]
    if finished or surplus:
        return finished[0] if finished else pods[max(surplus)]
    if (owner["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
        return None
    broken = any(not is_available(pod) and _hash(pod) == hash_ for pod in pods.values())
    old = [ordinal for ordinal, pod in pods.items() if _hash(pod) != hash_]
    return pods[max(old)] if old and not broken else None


def _pod(owner: Object, ordinal: int, hash_: str) -> Object:
    name = f"{owner['metadata']['name']}-{ordinal}"
    labels = {
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
        HASH_LABEL: hash_,
    }
    body = pod_body(owner, labels, hostname=name, subdomain=owner["spec"].get("serviceName", ""))
    del body["metadata"]["generateName"]
    body["metadata"]["name"] = name
    return body


def _status(pods: list[Object], hash_: str) -> Object:
    available = sum(is_available(pod) for pod in pods)
    updated = sum(_hash(pod) == hash_ for pod in pods)
    return {
        "replicas": len(pods),
        "readyReplicas": available,
        "availableReplicas": available,
        "updatedReplicas": updated,
        "currentReplicas": len(pods) if updated == len(pods) else len(pods) - updated,
        "updateRevision": hash_,
    }


def _ordinal(pod: Object) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _hash(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(HASH_LABEL, ""))

"""One pod of each DaemonSet on every node that fits (kubernetes:pkg/controller/daemon)."""

from __future__ import annotations

import asyncio
from typing import Any

from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.placement import reason_against
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
from pytest_submariner.lab.informer import Event, Key
from pytest_submariner.lab.kubeapi import KubeApi, Object

HASH_LABEL = "controller-revision-hash"
GATHER_S = 0.002
"""Pods of a set become ready in bursts; one status serves the burst."""
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


class DaemonSets:
    """Creates missing pods, replaces finished and outdated ones, removes those whose node does not fit any more.

    The pods are put on their node directly (spec.nodeName) instead of through affinity and the scheduler: the outcome is
    the same, for one request less per pod.
    """

    def __init__(self, api: KubeApi, informers: Informers) -> None:
        self._api, self._sets, self._nodes = api, informers.daemon_sets, informers.nodes
        self._pods = Workload(api, informers.pods, "v1", "pods", "DaemonSet")
        self._queue = Reconciler("daemonsets", self._reconcile, delay_s=GATHER_S)
        self._sets.on_event(lambda event: self._queue.add(key_of(event.object)))
        self._pods.wake(self._queue)
        self._nodes.on_event(self._node_changed)

    async def stop(self) -> None:
        await self._queue.stop()

    def _node_changed(self, event: Event) -> None:
        for key in self._sets.cache:
            self._queue.add(key)

    async def _reconcile(self, key: Key) -> None:
        owner = self._sets.cache.get(key)
        if owner is None or is_deleting(owner):
            return
        spec = {**owner["spec"]["template"]["spec"], "tolerations": _tolerations(owner)}
        fitting = {name for (_, name), node in self._nodes.cache.items() if reason_against(spec, node) is None}
        hash_ = template_hash(owner)
        pods = self._pods.of(owner)
        keep: dict[str, Object] = {}
        doomed: list[Object] = []
        for pod in pods:
            node = pod["spec"].get("nodeName", "")
            if is_finished(pod) or node not in fitting or node in keep:
                doomed.append(pod)
            else:
                keep[node] = pod
        occupied = {pod["spec"].get("nodeName", "") for pod in pods}
        doomed += _outdated(owner, keep, hash_, len(fitting))
        await asyncio.gather(
            *(self._pods.create(owner, _pod(owner, node, hash_)) for node in sorted(fitting - occupied)),
            *(self._pods.delete(pod) for pod in doomed if not is_deleting(pod)),
        )
        await put_status(self._api, self._sets, "daemonsets", owner, _status(self._pods.of(owner), fitting, hash_))


def _outdated(owner: Object, keep: dict[str, Object], hash_: str, wanted: int) -> list[Object]:
    """Pods of an older template to replace now: those that don't serve, and as many more as may be away at a time."""
    strategy: dict[str, Any] = owner["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return []
    old = [pod for pod in keep.values() if _hash(pod) != hash_]
    allowed = _share((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), wanted)
    away = wanted - sum(is_available(pod) for pod in keep.values())
    serving = [pod for pod in old if is_available(pod)]
    return [pod for pod in old if not is_available(pod)] + serving[: max(allowed - away, 0)]


def _share(value: int | str, total: int) -> int:
    """`1` or `"25%"` of `total`, rounded up, at least 1."""
    if isinstance(value, str) and value.endswith("%"):
        return max(-(-total * int(value[:-1]) // 100), 1)
    return max(int(value), 1)


def _pod(owner: Object, node: str, hash_: str) -> Object:
    return pod_body(owner, {HASH_LABEL: hash_}, nodeName=node, tolerations=_tolerations(owner))


def _tolerations(owner: Object) -> list[Object]:
    spec = owner["spec"]["template"]["spec"]
    own = list(spec.get("tolerations") or ())
    added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in _TOLERATED]
    if spec.get("hostNetwork"):
        key = "node.kubernetes.io/network-unavailable"
        added.append({"key": key, "operator": "Exists", "effect": "NoSchedule"})
    return own + [toleration for toleration in added if toleration not in own]


def _status(pods: list[Object], fitting: set[str], hash_: str) -> Object:
    placed = {pod["spec"].get("nodeName", ""): pod for pod in pods if not is_finished(pod)}
    scheduled = {node: pod for node, pod in placed.items() if node in fitting}
    available = sum(is_available(pod) for pod in scheduled.values())
    return {
        "desiredNumberScheduled": len(fitting),
        "currentNumberScheduled": len(scheduled),
        "updatedNumberScheduled": sum(_hash(pod) == hash_ for pod in scheduled.values()),
        "numberMisscheduled": len(placed) - len(scheduled),
        "numberReady": available,
        "numberAvailable": available,
        "numberUnavailable": len(fitting) - available,
    }


def _hash(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(HASH_LABEL, ""))

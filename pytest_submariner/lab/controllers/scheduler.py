"""Binds pods to nodes, or says on the pod why it can't."""

from __future__ import annotations

from collections import Counter

from pytest_submariner.lab.apierrors import ApiError
from pytest_submariner.lab.controllers.conditions import is_true, now, set_condition
from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.placement import choose
from pytest_submariner.lab.controllers.reconciler import Reconciler, key_of
from pytest_submariner.lab.informer import Event, Key
from pytest_submariner.lab.kubeapi import KubeApi, Object, path_to

NAME = "default-scheduler"


class Scheduler:
    """One decision at a time, in the order in which pods come; the bindings themselves run side by side."""

    def __init__(self, api: KubeApi, informers: Informers) -> None:
        self._api = api
        self._pods, self._nodes = informers.pods, informers.nodes
        self._placed: dict[Key, str] = {}
        """Where each pod runs or is about to: a pod counts from the decision on, not from the event that confirms it."""
        self._refused: set[Key] = set()
        self._queue = Reconciler("scheduler", self._schedule)
        self._pods.on_event(self._pod_changed)
        self._nodes.on_event(self._node_changed)

    async def stop(self) -> None:
        await self._queue.stop()

    def _pod_changed(self, event: Event) -> None:
        pod, key = event.object, key_of(event.object)
        node = pod["spec"].get("nodeName")
        if event.type == "DELETED" or _is_finished(pod):
            self._placed.pop(key, None)
            self._refused.discard(key)
        elif node:
            self._placed[key] = node
            self._refused.discard(key)
        elif key not in self._placed and _is_waiting(pod):
            self._queue.add(key)

    def _node_changed(self, event: Event) -> None:
        if event.type == "DELETED" or event.old is None or _traits(event.old) != _traits(event.object):
            for key in self._refused:
                self._queue.add(key)

    async def _schedule(self, key: Key) -> None:
        pod = self._pods.cache.get(key)
        if pod is None or pod["spec"].get("nodeName") or key in self._placed or not _is_waiting(pod):
            return
        node, message = choose(pod["spec"], self._nodes.cache.values(), Counter(self._placed.values()))
        if node is None:
            self._refused.add(key)
            await self._refuse(pod, message)
        else:
            self._placed[key] = node
            await self._bind(pod, key, node)

    async def _bind(self, pod: Object, key: Key, node: str) -> None:
        namespace, name = key
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": namespace, "name": name, "uid": pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._api.create(path_to("v1", "pods", namespace, name) + "/binding", binding)
        except ApiError as error:
            self._placed.pop(key, None)
            if error.status != 409:  # 409: someone else has bound it, or it is another pod by now; its event tells
                raise
        except BaseException:
            self._placed.pop(key, None)
            raise

    async def _refuse(self, pod: Object, message: str) -> None:
        def mark(current: Object) -> None:
            set_condition(current, "PodScheduled", "False", reason="Unschedulable", message=message, at=now())

        conditions = (pod.get("status") or {}).get("conditions") or ()
        if any(c["type"] == "PodScheduled" and c.get("message") == message for c in conditions):
            return
        namespace, name = key_of(pod)
        await self._api.update(path_to("v1", "pods", namespace, name), mark, subresource="status")


def _is_waiting(pod: Object) -> bool:
    spec, metadata = pod["spec"], pod["metadata"]
    return (
        spec.get("schedulerName", NAME) == NAME
        and not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and not metadata.get("deletionTimestamp")
    )


def _is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def _traits(node: Object) -> tuple[object, ...]:
    """What the decision reads of a node: a heartbeat must not wake every pod that waits."""
    spec = node.get("spec") or {}
    return node["metadata"].get("labels"), spec.get("taints"), spec.get("unschedulable"), is_true(node, "Ready")

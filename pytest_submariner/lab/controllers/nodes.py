"""Keeps the not-ready taint of nodes in step with their Ready condition (kubernetes:pkg/controller/nodelifecycle).

A genuine API server taints every node at its creation (admission plugin TaintNodesByCondition); somebody has to take that away.
"""

from __future__ import annotations

from pytest_submariner.lab.controllers.conditions import is_true
from pytest_submariner.lab.controllers.placement import NOT_READY
from pytest_submariner.lab.controllers.reconciler import Reconciler, key_of
from pytest_submariner.lab.informer import Event, Informer, Key
from pytest_submariner.lab.kubeapi import KubeApi, Object, path_to


class Nodes:
    """Takes the taint from nodes that are ready, gives it to those that no longer are.

    A node that was never ready is left as it is: the scheduler avoids it anyway, and while a lab boots that saves two writes
    per node.
    """

    def __init__(self, api: KubeApi, nodes: Informer) -> None:
        self._api, self._nodes = api, nodes
        self._queue = Reconciler("nodes", self._reconcile)
        nodes.on_event(self._changed)

    async def stop(self) -> None:
        await self._queue.stop()

    def _changed(self, event: Event) -> None:
        ready, tainted = is_true(event.object, "Ready"), _is_tainted(event.object)
        was_ready = event.old is not None and is_true(event.old, "Ready")
        if event.type != "DELETED" and ((ready and tainted) or (was_ready and not ready)):
            self._queue.add(key_of(event.object))

    async def _reconcile(self, key: Key) -> None:
        def match(node: Object) -> None:
            taints = [t for t in node["spec"].get("taints") or () if t["key"] != NOT_READY]
            if not is_true(node, "Ready"):
                taints.append({"key": NOT_READY, "effect": "NoSchedule"})
            if taints or "taints" in node["spec"]:
                node["spec"]["taints"] = taints

        written = await self._api.update(path_to("v1", "nodes", name=key[1]), match)
        if written is not None:
            self._nodes.observe(written)


def _is_tainted(node: Object) -> bool:
    return any(taint["key"] == NOT_READY for taint in (node.get("spec") or {}).get("taints") or ())

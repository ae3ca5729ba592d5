"""Warnings about pods as Event objects, which `kubectl describe pod` shows. What goes well makes no event."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from pytest_submariner.errors import LabError
from pytest_submariner.lab.kubeapi import KubeApi
from pytest_submariner.lab.kubelet.container import now

Object = dict[str, Any]
log = logging.getLogger(__name__)


class Events:
    """Writes in the background: no pod waits for its events."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._known: dict[tuple[str, str, str], tuple[str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def warn(self, pod: Object, reason: str, message: str, *, container: str) -> None:
        """One object per pod, reason and message; more of the same raise its count."""
        task = asyncio.create_task(self._write(pod, reason, message, container))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, pod: Object, reason: str, message: str, container: str) -> None:
        metadata, key = pod["metadata"], (pod["metadata"]["uid"], reason, message)
        path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        name, count = self._known.get(key, (f"{metadata['name']}.{uuid.uuid4().hex[:16]}", 0))
        self._known[key] = (name, count + 1)
        try:
            if count:
                await self._api.patch(f"{path}/{name}", {"count": count + 1, "lastTimestamp": now()})
            else:
                await self._api.create(path, self._event(pod, name, reason, message, container))
        except LabError as error:
            # Its namespace may be on its way out; nothing depends on an event.
            log.debug("event %s of %s/%s: %s", reason, metadata["namespace"], metadata["name"], error)

    @staticmethod
    def _event(pod: Object, name: str, reason: str, message: str, container: str) -> Object:
        metadata, spec = pod["metadata"], pod["spec"]
        kind = (
            "initContainers" if any(c["name"] == container for c in spec.get("initContainers") or ()) else "containers"
        )
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "fieldPath": f"spec.{kind}{{{container}}}",
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet", "host": spec.get("nodeName", "")},
            "reportingComponent": "kubelet",
            "reportingInstance": spec.get("nodeName", ""),
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }

"""Objects in every namespace, those of the future too: what a platform's namespace template does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.errors import LabError
from pytest_submariner.lab.faults.steps import EveryNamespace
from pytest_submariner.lab.faults.values import Values, filled
from pytest_submariner.lab.informer import Event
from pytest_submariner.lab.kubeapi import ApiError, KubeApi

Undo = Callable[[], Awaitable[None]]
_SYSTEM: Final = frozenset({"kube-system", "kube-public", "kube-node-lease", c.OPERATOR_NAMESPACE, c.BROKER_NAMESPACE})
"""Namespaces of the platform itself are left alone."""
log = logging.getLogger(__name__)


async def everywhere(step: EveryNamespace, api: KubeApi, found: Values) -> Undo:
    """Makes the step's objects in the namespaces there are, and goes on with new ones until undone."""
    step = EveryNamespace(step.resource, tuple(filled(body, found) for body in step.bodies))
    namespaces = api.informer("/api/v1/namespaces")
    tasks: set[asyncio.Task[None]] = set()
    done: set[str] = set()

    def begin(event: Event) -> None:
        metadata = event.object["metadata"]
        name = metadata["name"]
        if event.type == "DELETED" or metadata.get("deletionTimestamp"):
            done.discard(name)
        elif name not in _SYSTEM | done:
            done.add(name)
            task = asyncio.create_task(_fill(step, api, name))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def undo() -> None:
        await namespaces.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(api.delete(_path(step, name, body)) for name in done for body in step.bodies))

    namespaces.on_event(begin)
    namespaces.start()
    await namespaces.synced.wait()
    await asyncio.gather(*tasks)
    return undo


async def _fill(step: EveryNamespace, api: KubeApi, namespace: str) -> None:
    """A namespace that goes meanwhile needs nothing."""
    for body in step.bodies:
        metadata: dict[str, Any] = {**body["metadata"], "namespace": namespace}
        try:
            await api.create(_path(step, namespace), {**body, "metadata": metadata})
        except ApiError as error:
            if error.reason not in ("AlreadyExists", "NotFound", "Forbidden"):
                log.warning("namespace %s: %s", namespace, error)
        except LabError as error:
            log.warning("namespace %s: %s", namespace, error)


def _path(step: EveryNamespace, namespace: str, body: dict[str, Any] | None = None) -> str:
    group, _, plural = step.resource.rpartition("/")
    name = f"/{body['metadata']['name']}" if body else ""
    return f"/apis/{group}/namespaces/{namespace}/{plural}{name}"

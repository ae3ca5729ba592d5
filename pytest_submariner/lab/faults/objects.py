"""Runs the steps of a fault that are about objects of the API, and says how to undo them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.errors import LabError
from pytest_submariner.lab.faults.steps import ObjectAdded, ObjectChanged, ObjectRemoved, Whose
from pytest_submariner.lab.faults.values import Values, filled
from pytest_submariner.lab.kubeapi import ApiError, KubeApi
from pytest_submariner.lab.spec import LabSpec, NodeSpec

Object = dict[str, Any]
Undo = Callable[[], Awaitable[None]]
FOLLOW_S: Final = 5.0
"""How long other clusters may take to have a changed Endpoint, and a server to serve a new kind."""
_PARTS_S: Final = 60.0
"""How long the lab's own parts may take to remove a pod, or to start one and elect it."""
_POLL_S: Final = 0.05
_OWN_METADATA: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")


@dataclass(frozen=True)
class ObjectSteps:
    """`run()` returns what undoes the step. LabError says which object is missing or what the server refused."""

    spec: LabSpec
    apis: Mapping[str, KubeApi]

    async def run(self, step: ObjectChanged | ObjectRemoved | ObjectAdded, node: NodeSpec, found: Values) -> Undo:
        match step:
            case ObjectChanged():
                return await self._changed(step, self._api(step.whose, node, found), found)
            case ObjectRemoved():
                return await self._removed(step, self.apis[node.cluster], found)
            case ObjectAdded():
                return await self._added(step, self._api(step.whose, node, found), found)

    def _api(self, whose: Whose, node: NodeSpec, found: Values) -> KubeApi:
        broker = self.spec.clusters[0].name
        return self.apis[{Whose.OWN: node.cluster, Whose.REMOTE: found["RCLUSTER"], Whose.BROKER: broker}[whose]]

    async def _changed(self, step: ObjectChanged, api: KubeApi, found: Values) -> Undo:
        path = filled(step.path, found)
        before = await api.get(path)
        if before is None:
            raise LabError(f"there is no object {path}")
        target = f"{path}/{step.subresource}" if step.subresource else path
        after = await api.patch(target, filled(step.patch, found))
        await self._followed(after)
        taken = filled(step.takes, found)
        if taken:
            await _wait(api, taken, present=False)

        async def undo() -> None:
            def put_back(now: Object) -> None:
                if "metadata" in step.patch:
                    for part in ("labels", "annotations"):
                        now["metadata"].pop(part, None)
                        if part in before["metadata"]:
                            now["metadata"][part] = before["metadata"][part]
                for part in {"spec", "status"} & step.patch.keys() & before.keys():
                    now[part] = before[part]

            if await api.update(path, put_back, subresource=step.subresource) is None:
                await _create_again(api, path, before)
            await self._followed(before)
            if taken:
                await _wait(api, taken, present=True)

        return undo

    async def _removed(self, step: ObjectRemoved, api: KubeApi, found: Values) -> Undo:
        path = filled(step.path, found)
        before = await api.get(path)
        if before is None:
            raise LabError(f"there is no object {path}")
        await api.delete(path)

        async def undo() -> None:
            if await api.get(path) is None:
                await _create_again(api, path, before)
            await self._followed(before)

        return undo

    async def _added(self, step: ObjectAdded, api: KubeApi, found: Values) -> Undo:
        collection, body = filled(step.collection, found), filled(step.body, found)
        await _create_when_served(api, collection, body)

        async def undo() -> None:
            await api.delete(f"{collection}/{body['metadata']['name']}")

        return undo

    async def _followed(self, changed: Object) -> None:
        """Waits until every cluster has a changed Endpoint, and a modelled data plane the time to follow it."""
        if changed.get("kind") != "Endpoint":
            return
        name = changed["metadata"]["name"]
        deadline = asyncio.get_running_loop().time() + FOLLOW_S
        for api in self.apis.values():
            path = f"/apis/submariner.io/v1/namespaces/{c.OPERATOR_NAMESPACE}/endpoints/{name}"
            while asyncio.get_running_loop().time() < deadline:
                copy = await api.get(path)
                if copy is not None and copy["spec"] == changed["spec"]:
                    break
                await asyncio.sleep(_POLL_S)


async def _create_when_served(api: KubeApi, collection: str, body: Object) -> None:
    """A kind that a definition of just before defines may take a moment."""
    deadline = asyncio.get_running_loop().time() + FOLLOW_S
    while True:
        try:
            await api.create(collection, body)
            return
        except ApiError as error:
            if error.status != 404 or asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(_POLL_S)


async def _create_again(api: KubeApi, path: str, before: Object) -> None:
    metadata = {k: v for k, v in before["metadata"].items() if k not in _OWN_METADATA}
    try:
        await api.create(path.rpartition("/")[0], {**before, "metadata": metadata})
    except ApiError as error:
        if error.reason != "AlreadyExists":  # the agent was quicker
            raise


async def _wait(api: KubeApi, path: str, *, present: bool) -> None:
    """LabError when the lab's own parts do not remove or make the object."""
    deadline = asyncio.get_running_loop().time() + _PARTS_S
    while (await api.get(path) is not None) is not present:
        if asyncio.get_running_loop().time() > deadline:
            raise LabError(f"{path} is {'not there' if present else 'still there'} after {_PARTS_S:g} s")
        await asyncio.sleep(_POLL_S)

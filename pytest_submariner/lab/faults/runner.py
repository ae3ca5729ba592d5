"""Runs one step of a fault in the lab, and says how to undo it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.errors import LabError
from pytest_submariner.lab.faults import device
from pytest_submariner.lab.faults.steps import (
    DeviceChanged,
    ObjectAdded,
    ObjectChanged,
    ObjectRemoved,
    Place,
    Shell,
    Step,
)
from pytest_submariner.lab.faults.values import Values, assignments, filled
from pytest_submariner.lab.kubeapi import ApiError, KubeApi
from pytest_submariner.lab.spec import LabSpec, NodeSpec

if TYPE_CHECKING:
    from pytest_submariner.lab.network import Network
    from pytest_submariner.lab.spawner import Sandbox

Object = dict[str, Any]
Undo = Callable[[], Awaitable[None]]
_FOLLOW_S: Final = 5.0
"""How long other clusters may take to have a changed Endpoint."""
_PARTS_S: Final = 60.0
"""How long the lab's own parts may take to remove a pod, or to start one and elect it."""
_POLL_S: Final = 0.05
_OWN_METADATA: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")


@dataclass
class Runner:
    """`run()` returns what undoes the step. LabError says which command failed, where, and what it said."""

    spec: LabSpec
    network: Network
    apis: Mapping[str, KubeApi]
    _fabric: Sandbox | None = None

    async def run(self, step: Step, node: NodeSpec, found: Values) -> Undo:
        match step:
            case Shell():
                return await self._shell(step, found)
            case DeviceChanged():
                return await self._device(step, found)
            case ObjectChanged():
                return await self._object(step, self.apis[node.cluster], found)
            case ObjectRemoved():
                return await self._removed(step, self.apis[node.cluster], found)
            case ObjectAdded():
                return await self._added(step, self.apis[node.cluster], found)

    async def _shell(self, step: Shell, found: Values) -> Undo:
        done: list[tuple[str, str]] = []

        async def undo() -> None:
            while done:
                target, kept = done[-1]
                await self._sh(target, step.undo, {**found, "KEPT": kept})
                done.pop()

        try:
            for target in self._targets(step.at, found):
                kept = (await self._sh(target, step.keep, found)).strip() if step.keep else ""
                if step.keep and not kept:
                    raise LabError(f"{target} does not have what the fault works on: `{step.keep}` prints nothing")
                await self._sh(target, step.do, found)
                done.append((target, kept))
        except LabError:
            await undo()
            raise
        return undo

    async def _device(self, step: DeviceChanged, found: Values) -> Undo:
        (target,) = self._targets(step.at, found)
        surveyed = await self._sh(target, device.survey(step.device), found)
        commands = device.rebuild(step.device, surveyed)

        async def undo() -> None:
            await self._sh(target, commands, found)

        try:
            await self._sh(target, step.do, found)
        except LabError:
            await undo()
            raise
        return undo

    async def _object(self, step: ObjectChanged, api: KubeApi, found: Values) -> Undo:
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
                if step.subresource:
                    now[step.subresource] = before[step.subresource]
                    return
                for part in ("labels", "annotations"):
                    now["metadata"].pop(part, None)
                    if part in before["metadata"]:
                        now["metadata"][part] = before["metadata"][part]
                if "spec" in before:
                    now["spec"] = before["spec"]

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
        await api.create(collection, body)

        async def undo() -> None:
            await api.delete(f"{collection}/{body['metadata']['name']}")

        return undo

    async def _followed(self, changed: Object) -> None:
        """Waits until every cluster has a changed Endpoint, and a modelled data plane the time to follow it."""
        if changed.get("kind") != "Endpoint":
            return
        name = changed["metadata"]["name"]
        deadline = asyncio.get_running_loop().time() + _FOLLOW_S
        for api in self.apis.values():
            path = f"/apis/submariner.io/v1/namespaces/{c.OPERATOR_NAMESPACE}/endpoints/{name}"
            while asyncio.get_running_loop().time() < deadline:
                copy = await api.get(path)
                if copy is not None and copy["spec"] == changed["spec"]:
                    break
                await asyncio.sleep(_POLL_S)

    def _targets(self, place: Place, found: Values) -> Sequence[str]:
        match place:
            case Place.NODE:
                return (found["NODE"],)
            case Place.GATEWAY:
                return (found["GATEWAY"],)
            case Place.REMOTE_GATEWAY:
                return (found["RGATEWAY"],)
            case Place.EVERY_NODE:
                return tuple(node.name for node in self.spec.nodes)
            case Place.FABRIC:
                return (FABRIC,)

    async def _sh(self, target: str, commands: str, found: Values) -> str:
        script = f"set -eu\n{assignments(found)}{commands}\n"
        if target == FABRIC:
            self._fabric = self._fabric or await self.network.fabric_sandbox()
            status, out, said = await self.network.run_in(self._fabric, "sh", "-c", script)
        else:
            status, out, said = await self.network.run(target, "sh", "-c", script)
        if status:
            reason = " ".join(said.decode(errors="replace").split()) or f"exit status {status}"
            raise LabError(f"on {target}: {commands.strip().splitlines()[0]}: {reason}")
        return out.decode(errors="replace")


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


FABRIC: Final = "the fabric"

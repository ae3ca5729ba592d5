"""Runs one step of a fault in the lab, and says how to undo it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.errors import LabError
from pytest_submariner.lab.faults import device
from pytest_submariner.lab.faults.everynamespace import everywhere
from pytest_submariner.lab.faults.objects import ObjectSteps
from pytest_submariner.lab.faults.steps import DeviceChanged, EveryNamespace, Paused, Place, Shell, Step
from pytest_submariner.lab.faults.values import Values, assignments
from pytest_submariner.lab.kubeapi import KubeApi
from pytest_submariner.lab.spec import LabSpec, NodeSpec

if TYPE_CHECKING:
    from pytest_submariner.lab.network import Network
    from pytest_submariner.lab.spawner import Sandbox

Undo = Callable[[], Awaitable[None]]
PodSandbox = Callable[[str, str, str], "Sandbox | None"]
"""Cluster, namespace and name of a pod -> the namespaces of its first container, None when it does not run."""


@dataclass
class Runner:
    """`run()` returns what undoes the step. LabError says which command failed, where, and what it said."""

    spec: LabSpec
    network: Network
    apis: Mapping[str, KubeApi]
    pod_sandbox: PodSandbox
    _fabric: Sandbox | None = None

    async def run(self, step: Step, node: NodeSpec, found: Values) -> Undo:
        match step:
            case Shell():
                return await self._shell(step, found)
            case DeviceChanged():
                return await self._device(step, found)
            case EveryNamespace():
                return await everywhere(step, self.apis[node.cluster], found)
            case Paused():
                return await self._paused(step, node)
            case _:
                return await ObjectSteps(self.spec, self.apis).run(step, node, found)

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

    async def _paused(self, step: Paused, node: NodeSpec) -> Undo:
        """Of a pod that is gone by then nothing is left to be undone."""
        pods = await self.apis[node.cluster].list(
            f"/api/v1/namespaces/{c.OPERATOR_NAMESPACE}/pods",
            labels=f"app={step.app}",
            fields=f"spec.nodeName={node.name}",
        )
        names = [pod["metadata"]["name"] for pod in pods]

        async def signal(word: str) -> int:
            found = [self.pod_sandbox(node.cluster, c.OPERATOR_NAMESPACE, name) for name in names]
            for sandbox in (sandbox for sandbox in found if sandbox is not None):
                await self.network.run_in(sandbox, "sh", "-c", _SIGNAL_OTHERS.replace("WORD", word))
            return len(found) - found.count(None)

        if not await signal("STOP"):
            raise LabError(f"{node.name} runs no {step.app}")

        async def undo() -> None:
            await signal("CONT")

        return undo

    def _targets(self, place: Place, found: Values) -> Sequence[str]:
        match place:
            case Place.NODE:
                return (found["NODE"],)
            case Place.GATEWAY:
                return (found["GATEWAY"],)
            case Place.REMOTE_GATEWAY:
                return (found["RGATEWAY"],)
            case Place.BOTH_GATEWAYS:
                return (found["GATEWAY"], found["RGATEWAY"])
            case Place.CLUSTER:
                return tuple(node.name for node in self.spec.cluster(found["CLUSTER"]).nodes)
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


_SIGNAL_OTHERS: Final = """mine=$(readlink /proc/$$/ns/mnt)
for process in /proc/[0-9]*; do
    [ "$(readlink "$process/ns/mnt")" = "$mine" ] || continue
    [ "${process#/proc/}" = $$ ] || kill -WORD "${process#/proc/}" 2>/dev/null || true
done"""
"""Pods see the processes of others too; those with the same mounts are the pod's own."""
FABRIC: Final = "the fabric"

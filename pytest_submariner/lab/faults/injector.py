"""A lab's active faults: injected, listed, healed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_submariner.dataplane.constants import OPERATOR_NAMESPACE
from pytest_submariner.errors import LabError
from pytest_submariner.lab.faults.fault import Fault, Injection, Role
from pytest_submariner.lab.faults.runner import PodSandbox, Runner, Undo
from pytest_submariner.lab.faults.steps import Step
from pytest_submariner.lab.faults.table import lookup
from pytest_submariner.lab.faults.values import values
from pytest_submariner.lab.kubeapi import KubeApi
from pytest_submariner.lab.network import Network
from pytest_submariner.lab.spec import ClusterSpec, LabSpec, NodeSpec

_GATEWAYS = f"/apis/submariner.io/v1/namespaces/{OPERATOR_NAMESPACE}/gateways"


@dataclass
class _Active:
    """An injected fault and what is left to undo, the last step first."""

    fault: Injection
    node: NodeSpec
    undo: list[Undo] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.fault.id}@{self.node.name}"


class Injector:
    """One per lab. Faults are injected and healed one at a time, whoever asks."""

    def __init__(self, spec: LabSpec, network: Network, apis: Mapping[str, KubeApi], pod_sandbox: PodSandbox) -> None:
        self._spec = spec
        self._apis = apis
        self._runner = Runner(spec, network, apis, pod_sandbox)
        self._active: list[_Active] = []
        self._lock = asyncio.Lock()

    @property
    def active(self) -> list[str]:
        """`id@node`, in the order of their injection."""
        return [str(item) for item in self._active]

    async def inject(
        self, name: str, cluster: str | None = None, node: str | None = None, *, otherwise: bool = False
    ) -> dict[str, str | None]:
        """Injects the fault (or look-alike) called `name` at `node`, else at the first node of its role in `cluster` (else the first
        cluster); `otherwise`: by the other means.

        Returns `{"id", "code", "cluster", "node"}`. LabError for what is unknown, of the wrong role, there already or not for
        this lab; a fault that fails halfway is undone first."""
        fault = lookup(name)
        steps = _other_steps(fault) if otherwise else fault.steps
        if self._spec.submariner not in fault.modes:
            raise LabError(f"{fault.id} is for labs with --submariner {' or '.join(fault.modes)}")
        async with self._lock:
            where = self._spec.cluster(
                cluster or (self._spec.node(node).cluster if node else self._spec.clusters[0].name)
            )
            gateways = {c.name: await self._active_gateway(c) for c in self._spec.clusters}
            chosen = _choose(fault, where, gateways[where.name], node)
            if any(item.fault is fault and item.node is chosen for item in self._active):
                raise LabError(
                    f"{fault.id} is on {chosen.name} already; heal it first with `submariner-lab heal {fault.id}`"
                )
            found = values(self._spec, chosen, gateways)
            if missing := [need for need in fault.needs if need not in found]:
                raise LabError(f"{fault.id} needs {_NEEDS[missing[0]]}")
            item = _Active(fault, chosen)
            try:
                for step in steps:
                    item.undo.append(await self._runner.run(step, chosen, found))
            except LabError as error:
                await self._undo(item, f"; and it could not be undone ({error})")
                raise LabError(f"{item} was not injected: {error}") from error
            self._active.append(item)
        return {"id": fault.id, "code": fault.code, "cluster": chosen.cluster, "node": chosen.name}

    async def heal(self, name: str | None = None) -> list[str]:
        """Undoes the fault `name` wherever it is, or all of them, the newest first. Returns them as `id@node`.

        LabError when there is no such fault, or when the lab has changed so that it cannot be undone: it then stays on the list."""
        async with self._lock:
            chosen = [item for item in self._active if name is None or item.fault is lookup(name)]
            if name is not None and not chosen:
                raise LabError(f"{lookup(name).id} is not active; active: {', '.join(self.active) or 'none'}")
            for item in reversed(chosen):
                await self._undo(item, "")
                self._active.remove(item)
        return [str(item) for item in chosen]

    async def _undo(self, item: _Active, context: str) -> None:
        while item.undo:
            try:
                await item.undo[-1]()
            except LabError as error:
                raise LabError(f"{item} cannot be undone: {error}{context}; boot the lab anew") from error
            item.undo.pop()

    async def _active_gateway(self, cluster: ClusterSpec) -> NodeSpec:
        """By the Gateway objects; while they name none, the first gateway node."""
        found = await self._apis[cluster.name].list(_GATEWAYS)
        names = {g["metadata"]["name"] for g in found if (g.get("status") or {}).get("haStatus") == "active"}
        return min(cluster.gateways, key=lambda node: (node.name not in names, node.name))


_NEEDS = {
    "OTHER_GATEWAY": "a passive gateway node; boot the lab with --gateways 2",
    "WORKER": "a node that is not the active gateway; boot the lab with --workers 1",
    "OTHER_WORKER": "two nodes that are no gateways; boot the lab with --workers 2",
}


def _other_steps(fault: Injection) -> tuple[Step, ...]:
    if not isinstance(fault, Fault) or not fault.otherwise:
        raise LabError(f"{fault.id} can be made in one way only: leave out --otherwise")
    return fault.otherwise


def _choose(fault: Injection, cluster: ClusterSpec, gateway: NodeSpec, name: str | None) -> NodeSpec:
    """The named node, or the first of the fault's role. LabError says what the role is."""
    others = sorted((n for n in cluster.nodes if n is not gateway), key=lambda n: (n.gateway, n.name))
    fitting = [gateway] if fault.node_role is Role.GATEWAY else others
    role = "the active gateway" if fault.node_role is Role.GATEWAY else "a node that is not the active gateway"
    if name is None:
        if not fitting:
            raise LabError(f"{fault.id} needs {role}; cluster {cluster.name} has none")
        return fitting[0]
    for node in cluster.nodes:
        if node.name == name:
            if node in fitting:
                return node
            raise LabError(
                f"{fault.id} is a fault of {role}: {name} is not one; in {cluster.name}: "
                f"{', '.join(n.name for n in fitting) or 'none'}"
            )
    raise LabError(f"cluster {cluster.name} has no node {name!r}; it has {', '.join(n.name for n in cluster.nodes)}")

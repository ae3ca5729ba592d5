"""The part of the CNI that keeps each node's packet filter at what NetworkPolicies ask for. Without a policy it does nothing at all."""

from __future__ import annotations

import asyncio
import logging

from pytest_submariner.errors import LabError
from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.kubeproxy import GATHER_S, RETRY_S, NodeRules
from pytest_submariner.lab.controllers.networkpolicy import Pods, address
from pytest_submariner.lab.controllers.policyrules import PolicyRules, policy_rules
from pytest_submariner.lab.informer import Event
from pytest_submariner.lab.spec import ClusterSpec

log = logging.getLogger(__name__)


class NetworkPolicies:
    """One task per node while policies isolate pods there. A new pod is isolated some milliseconds after it has its
    address, as with any CNI whose policies follow the API."""

    def __init__(self, cluster: ClusterSpec, network: NodeRules, informers: Informers) -> None:
        """Call it when the informers are synced."""
        self._cluster, self._network, self._informers = cluster, network, informers
        self._wanted: dict[str, PolicyRules] = {}
        self._programmed: dict[str, PolicyRules] = {}
        self._sets: dict[str, set[str]] = {}
        """Node -> names of the sets it may have."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        for informer in (informers.network_policies, informers.pods, informers.namespaces):
            informer.on_event(self._on_event)

    async def stop(self) -> None:
        """The rules stay, as those of a CNI that ended."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _on_event(self, event: Event) -> None:
        is_needed = self._informers.network_policies.cache or self._wanted
        if is_needed and self._timer is None and _matters(event):
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._compute)

    def _compute(self) -> None:
        self._timer = None
        policies = list(self._informers.network_policies.cache.values())
        pods = Pods(self._informers.pods.cache.values(), self._informers.namespaces.cache.values())
        wanted = {node.name: policy_rules(policies, pods, node.name) for node in self._cluster.nodes}
        self._wanted = {node: rules for node, rules in wanted.items() if rules.chains}
        for node in wanted:
            if self._is_behind(node) and node not in self._tasks:
                self._tasks[node] = asyncio.create_task(self._program(node), name=f"network policies {node}")

    async def _program(self, node: str) -> None:
        """Ends when the node has what is wanted by then, and nothing else."""
        try:
            while self._is_behind(node):
                try:
                    await self._restore(node, self._wanted.get(node, PolicyRules()))
                    continue
                except LabError as error:
                    log.info("network policies on %s: %s; again in %s s", node, error, RETRY_S)
                except Exception:
                    log.exception("network policies on %s; again in %s s", node, RETRY_S)
                await asyncio.sleep(RETRY_S)
        finally:
            del self._tasks[node]

    def _is_behind(self, node: str) -> bool:
        wanted = self._wanted.get(node, PolicyRules())
        return wanted != self._programmed.get(node, PolicyRules()) or wanted.set_names != self._sets.get(node, set())

    async def _restore(self, node: str, rules: PolicyRules) -> None:
        """Sets, rules, then the end of sets nobody refers to any more. That may need a second try: the kernel lets go of the
        rules of before some time after their removal."""
        sets = self._sets.setdefault(node, set())
        before = self._programmed.get(node, PolicyRules())
        if rules != before:
            sets |= rules.set_names
            await self._network.restore(node, ipset=rules.set_text(), iptables=rules.restore_text(before))
            self._programmed[node] = rules
        stale = sets - rules.set_names
        await self._network.restore(node, ipset="".join(f"destroy {name}\n" for name in sorted(stale)))
        sets -= stale


def _matters(event: Event) -> bool:
    """Of pods and namespaces labels and addresses matter, of policies the spec; not what a kubelet reports all the time."""
    if event.type != "MODIFIED" or event.old is None:
        return True
    old, new = event.old, event.object
    if "podSelector" in (new.get("spec") or {}):
        return bool(old["spec"] != new["spec"])
    if old["metadata"].get("labels") != new["metadata"].get("labels"):
        return True
    return "containers" in (new.get("spec") or {}) and address(old) != address(new)

"""Makes nodes match the model: the first time, after a change of roles, and after damage."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_submariner.errors import LabError
from pytest_submariner.lab.netlink import Batch, NetlinkError
from pytest_submariner.lab.submariner import plan, restore
from pytest_submariner.model.nodestate import NodeState

if TYPE_CHECKING:
    from pytest_submariner.lab.network import Network

_AT_ONCE: Final = 16
"""Nodes whose packet filters are restored concurrently. iptables-nft mostly waits for the kernel; more than 16 gain
nothing."""


class Applier:
    """Programs nodes and remembers what it programmed, so that a second call sends the difference only."""

    def __init__(self, network: Network, *, permanent_neighbours: bool = False) -> None:
        """`permanent_neighbours`: VXLAN next hops need no ARP."""
        self._network = network
        self._permanent_neighbours = permanent_neighbours
        self._record: dict[str, NodeState] = {}
        self._damaged: set[str] = set()
        """Nodes where a change was begun and not finished: the record does not tell what is there."""
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._restores = asyncio.Semaphore(_AT_ONCE)

    async def apply(self, states: Iterable[NodeState]) -> None:
        """Brings every node named by `states` there, all of them at once. LabError names the node that refused and
        why."""
        await asyncio.gather(*(self._apply(state) for state in states))

    async def heal(self, states: Iterable[NodeState]) -> None:
        """The same from an unknown beginning: whatever was deleted, changed or added in Submariner's place is put
        right."""
        await asyncio.gather(*(self._heal(state) for state in states))

    async def _apply(self, state: NodeState) -> None:
        if state.node in self._damaged:
            await self._heal(state)
            return
        async with self._locks[state.node]:
            old = self._record.get(state.node)
            target = _with_left_behind(old, state)
            if old == target:
                return
            self._damaged.add(state.node)
            self._program(state, plan.change(old or NodeState(state.node), target))
            await self._restore(state, old)
            self._record[state.node] = target
            self._damaged.discard(state.node)

    async def _heal(self, state: NodeState) -> None:
        async with self._locks[state.node]:
            self._damaged.add(state.node)
            commands = plan.clear_commands(state)
            # Its exit status says only that something was not there to be removed.
            await self._network.run(state.node, "ip", "-force", "-batch", "-", stdin=commands.encode())
            self._program(state, plan.build(state))
            status, saved, problem = await self._network.run(state.node, "iptables-save")
            if status:
                raise LabError(f"iptables-save on {state.node} ended with {status}: {problem.decode(errors='replace')}")
            jumps = restore.count_jumps(saved.decode(errors="replace"))
            text = restore.iptables_text(state, jumps=jumps)
            async with self._restores:
                await self._network.restore(state.node, iptables=text, ipset=restore.ipset_text(state))
            self._record[state.node] = state
            self._damaged.discard(state.node)

    def _program(self, state: NodeState, batch: Batch) -> None:
        try:
            self._network.program(state.node, batch)
            if self._permanent_neighbours:
                self._network.program(state.node, plan.neighbours(state))
        except NetlinkError as error:
            raise LabError(f"node {state.node}: the kernel refused a part of Submariner's state: {error}") from error
        self._network.sysctl(state.node, state.sysctls or {})

    async def _restore(self, state: NodeState, old: NodeState | None) -> None:
        iptables = ipset = ""
        if old is None or old.packet_filters != state.packet_filters:
            # Only this class puts jumps there, each once, so the record tells what is present.
            iptables = restore.iptables_text(state, jumps={} if old is None else None)
        if old is None or old.ipsets != state.ipsets:
            ipset = restore.ipset_text(state)
        if iptables or ipset:
            async with self._restores:
                await self._network.restore(state.node, iptables=iptables, ipset=ipset)


def _with_left_behind(old: NodeState | None, state: NodeState) -> NodeState:
    """`state` plus the rule that outlives the gateway role."""
    rules = state.rules or ()
    if old is not None and plan.LEFT_BEHIND in (old.rules or ()) and plan.LEFT_BEHIND not in rules:
        return replace(state, rules=(*rules, plan.LEFT_BEHIND))
    return state

"""When the CNI's policy agent programs nodes: not without policies, once for a burst, again what the kernel refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_submariner.errors import LabError
from pytest_submariner.lab.controllers.informers import Informers
from pytest_submariner.lab.controllers.networkpolicies import NetworkPolicies
from pytest_submariner.lab.informer import Event, EventType
from pytest_submariner.lab.spec import LabSpec

Object = dict[str, Any]
CLUSTER = LabSpec.make("test").cluster("c1")
DENY = {
    "metadata": {"namespace": "ns", "name": "deny"},
    "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
}


class Collection:
    """An informer without a server."""

    def __init__(self) -> None:
        self.cache: dict[tuple[str, str], Object] = {}
        self._handlers: list[Callable[[Event], None]] = []

    def on_event(self, handler: Callable[[Event], None]) -> None:
        self._handlers.append(handler)

    def put(self, item: Object) -> None:
        key = item["metadata"].get("namespace", ""), item["metadata"]["name"]
        old = self.cache.get(key)
        self.cache[key] = item
        self._tell("MODIFIED" if old else "ADDED", item, old)

    def remove(self, name: str) -> None:
        self._tell("DELETED", self.cache.pop(("ns", name)), None)

    def _tell(self, kind: EventType, item: Object, old: Object | None) -> None:
        for handler in self._handlers:
            handler(Event(kind, item, old))


class Nodes:
    """Records what is restored where; refuses the first `busy` removals of sets."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str, str]] = []
        self.busy = 0

    async def restore(self, node: str, *, iptables: str = "", ipset: str = "", flush: bool = False) -> None:
        if ipset.startswith("destroy") and self.busy:
            self.busy -= 1
            raise LabError("ipset restore ended with 1: Set cannot be destroyed: it is in use by a kernel component")
        self.texts += [(node, iptables, ipset)] if iptables or ipset else []


class World(SimpleNamespace):
    """What the controller sees, and what it did."""

    def __init__(self) -> None:
        super().__init__(network_policies=Collection(), pods=Collection(), namespaces=Collection())
        self.nodes = Nodes()
        self.controller = NetworkPolicies(CLUSTER, self.nodes, cast(Informers, self))

    async def settled(self) -> list[tuple[str, str, str]]:
        await asyncio.sleep(0.05)
        seen, self.nodes.texts = self.nodes.texts, []
        return seen


def pod(name: str, ip: str, node: str = "c1-w1", **status: Any) -> Object:
    return {
        "metadata": {"namespace": "ns", "name": name},
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": "Running", "podIP": ip, **status},
    }


@pytest.mark.asyncio
async def test_nothing_is_done_without_a_policy_and_nothing_is_left_after_the_last() -> None:
    world = World()
    world.pods.put(pod("a", "10.8.2.10"))
    assert await world.settled() == []
    world.network_policies.put(DENY)
    ((node, rules, sets),) = await world.settled()
    assert node == "c1-w1"
    assert "-I FORWARD 1" in rules
    name = sets.split()[1]
    world.network_policies.remove("deny")
    (_, rules, _), (_, _, removal) = await world.settled()
    assert "-D FORWARD" in rules
    assert removal == f"destroy {name}\n"
    world.pods.put(pod("b", "10.8.2.11"))
    assert await world.settled() == []
    await world.controller.stop()


@pytest.mark.asyncio
async def test_a_burst_is_one_restore_and_a_report_of_the_kubelet_is_none() -> None:
    world = World()
    world.network_policies.put(DENY)
    for number in range(10, 30):
        world.pods.put(pod(f"p{number}", f"10.8.2.{number}"))
    assert len([text for _, text, _ in await world.settled() if text]) == 1
    world.pods.put(pod("p10", "10.8.2.10", conditions=[{"type": "Ready", "status": "True"}]))
    assert await world.settled() == []
    await world.controller.stop()


@pytest.mark.asyncio
async def test_a_set_the_kernel_still_holds_is_removed_later() -> None:
    world = World()
    world.nodes.busy = 1
    world.network_policies.put(DENY)
    world.pods.put(pod("a", "10.8.2.10"))
    assert len(await world.settled()) == 1
    world.pods.put(pod("b", "10.8.1.10", "c1-gw"))
    assert not [node for node, _, text in await world.settled() if text.startswith("destroy")]
    await asyncio.sleep(0.25)
    ((node, rules, removal),) = await world.settled()
    assert (node, rules) == ("c1-w1", "")
    assert removal.startswith("destroy KUBE-SRC-")
    await world.controller.stop()

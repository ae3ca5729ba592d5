"""When kube-proxy programs nodes: once for a burst, only for a change, one node not waiting for another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from pytest_submariner.errors import LabError
from pytest_submariner.lab.controllers.kubeproxy import KubeProxy
from pytest_submariner.lab.informer import Event, Informer
from pytest_submariner.lab.spec import LabSpec

Object = dict[str, Any]
CLUSTER = LabSpec.make("test").cluster("c1")


class Collection:
    """An informer without a server."""

    def __init__(self) -> None:
        self.cache: dict[tuple[str, str], Object] = {}
        self._handlers: list[Callable[[Event], None]] = []

    def on_event(self, handler: Callable[[Event], None]) -> None:
        self._handlers.append(handler)

    def put(self, item: Object) -> None:
        self.cache[item["metadata"]["namespace"], item["metadata"]["name"]] = item
        for handler in self._handlers:
            handler(Event("ADDED", item))


class Nodes:
    """Records what is restored where; `hold` and `faults` make single nodes slow or broken."""

    def __init__(self) -> None:
        self.restored: dict[str, list[str]] = {node.name: [] for node in CLUSTER.nodes}
        self.hold: dict[str, asyncio.Event] = {}
        self.faults: dict[str, int] = {}

    async def restore(self, node: str, *, iptables: str = "", ipset: str = "", flush: bool = False) -> None:
        assert not flush
        if node in self.hold:
            await self.hold[node].wait()
        if self.faults.get(node, 0):
            self.faults[node] -= 1
            raise LabError("iptables-restore ended with 4")
        self.restored[node].append(iptables)


def service(name: str) -> Object:
    spec = {"clusterIP": "100.8.0.10", "ports": [{"port": 80, "protocol": "TCP"}]}
    return {"metadata": {"namespace": "ns", "name": name}, "spec": spec}


def endpoint_slice(name: str, ip: str) -> Object:
    return {
        "metadata": {"namespace": "ns", "name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip], "conditions": {"ready": True}}],
    }


async def proxied(scenario: Callable[[Nodes, Collection, Collection], Awaitable[None]], nodes: Nodes) -> None:
    services, slices = Collection(), Collection()
    proxy = KubeProxy(CLUSTER, nodes, cast(Informer, services), cast(Informer, slices))
    proxy.start()
    try:
        await scenario(nodes, services, slices)
    finally:
        await proxy.stop()


async def settled() -> None:
    await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_one_restore_per_node_for_a_burst_and_none_without_a_change() -> None:
    async def scenario(nodes: Nodes, services: Collection, slices: Collection) -> None:
        await settled()
        assert [len(texts) for texts in nodes.restored.values()] == [1, 1]
        for i in range(20):
            services.put(service(f"s{i}"))
            slices.put(endpoint_slice(f"s{i}", "10.8.1.9"))
        await settled()
        assert [len(texts) for texts in nodes.restored.values()] == [2, 2]
        slices.put(endpoint_slice("s0", "10.8.1.9"))
        slices.put(endpoint_slice("of-no-service", "10.8.1.9"))
        await settled()
        assert [len(texts) for texts in nodes.restored.values()] == [2, 2]

    await proxied(scenario, Nodes())


@pytest.mark.asyncio
async def test_jumps_are_made_once_even_when_the_first_restore_failed() -> None:
    async def scenario(nodes: Nodes, services: Collection, slices: Collection) -> None:
        await asyncio.sleep(0.3)
        services.put(service("s"))
        await settled()
        for texts in nodes.restored.values():
            assert [text.count("-A POSTROUTING") for text in texts] == [1, 0]

    nodes = Nodes()
    nodes.faults = {"c1-gw": 1}
    await proxied(scenario, nodes)


@pytest.mark.asyncio
async def test_a_slow_node_holds_up_no_other_and_gets_the_latest_rules() -> None:
    async def scenario(nodes: Nodes, services: Collection, slices: Collection) -> None:
        await settled()
        services.put(service("s"))
        await settled()
        slices.put(endpoint_slice("s", "10.8.1.9"))
        await settled()
        assert [len(texts) for texts in nodes.restored.values()] == [0, 3]
        nodes.hold["c1-gw"].set()
        await settled()
        assert "DNAT --to-destination 10.8.1.9:80" in nodes.restored["c1-gw"][-1]
        assert len(nodes.restored["c1-gw"]) == 2

    nodes = Nodes()
    nodes.hold = {"c1-gw": asyncio.Event()}
    await proxied(scenario, nodes)

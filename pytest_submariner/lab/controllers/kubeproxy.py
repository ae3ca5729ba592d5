"""kube-proxy on every node: keeps each node's iptables rules at what Services and EndpointSlices ask for."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from pytest_submariner.errors import LabError
from pytest_submariner.lab.controllers.proxyrules import Ruleset, ruleset
from pytest_submariner.lab.controllers.serviceports import ServicePort, service_ports
from pytest_submariner.lab.informer import Event, Informer
from pytest_submariner.lab.spec import ClusterSpec

log = logging.getLogger(__name__)
GATHER_S = 0.003
"""A Service and its endpoints come as several events; one restore per node serves them."""
RETRY_S = 0.2


class NodeRules(Protocol):
    """The part of the lab's network kube-proxy needs."""

    async def restore(self, node: str, *, iptables: str = "", ipset: str = "", flush: bool = False) -> None: ...


class KubeProxy:
    """One task per node, so that a slow or broken node does not hold up the others."""

    def __init__(self, cluster: ClusterSpec, network: NodeRules, services: Informer, slices: Informer) -> None:
        self._cluster, self._network = cluster, network
        self._services, self._slices = services, slices
        self._ports: list[ServicePort] | None = None
        self._rules = ruleset((), cluster.pod_cidr)
        self._changed: dict[str, asyncio.Event] = {node.name: asyncio.Event() for node in cluster.nodes}
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Call it when both informers are synced: the first rules then are complete."""
        self._compute()
        self._tasks = [
            asyncio.create_task(self._keep(node, changed), name=f"kube-proxy {node}")
            for node, changed in self._changed.items()
        ]
        for informer in (self._services, self._slices):
            informer.on_event(self._on_event)

    async def stop(self) -> None:
        """The rules stay, as those of a kube-proxy that ended."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_event(self, event: Event) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._compute)

    def _compute(self) -> None:
        self._timer = None
        ports = service_ports(self._services.cache.values(), self._slices.cache.values())
        if ports != self._ports:
            self._ports = ports
            self._rules = ruleset(ports, self._cluster.pod_cidr)
            for changed in self._changed.values():
                changed.set()

    async def _keep(self, node: str, changed: asyncio.Event) -> None:
        programmed: Ruleset | None = None
        while True:
            await changed.wait()
            changed.clear()
            rules = self._rules
            stale = programmed.nat_chains if programmed else ()
            try:
                await self._network.restore(node, iptables=rules.restore_text(jumps=programmed is None, stale=stale))
                programmed = rules
                continue
            except LabError as error:
                log.warning("kube-proxy on %s: %s; again in %s s", node, error, RETRY_S)
            except Exception:
                log.exception("kube-proxy on %s; again in %s s", node, RETRY_S)
            await asyncio.sleep(RETRY_S)
            changed.set()

"""The embedded API server with the controllers, a network that only records, and a kubelet that only says Running."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

from pytest_submariner.lab.api.server import ApiServer
from pytest_submariner.lab.controllers import Controllers
from pytest_submariner.lab.credentials import Authority
from pytest_submariner.lab.kubeapi import Event, KubeApi
from pytest_submariner.lab.spec import ClusterSpec, LabSpec

Object = dict[str, Any]
Found = TypeVar("Found")


class NoCommands:
    """Pods of these tests run nothing to exec in."""

    async def exec(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        raise web.HTTPNotImplemented

    async def logs(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        raise web.HTTPNotImplemented


class Restores:
    """The network's part for kube-proxy: the texts each node got."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}

    async def restore(self, node: str, *, iptables: str = "", ipset: str = "", flush: bool = False) -> None:
        self.texts.setdefault(node, []).append(iptables)


class PaperKubelet:
    """Gives every bound pod an address and Ready, and confirms its deletion. `idle` nodes do nothing."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._pods = api.informer("/api/v1/pods")
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 10
        self.idle: set[str] = set()

    def start(self) -> None:
        self._pods.on_event(self._changed)
        self._pods.start()

    def _changed(self, event: Event) -> None:
        node = event.object["spec"].get("nodeName")
        if event.type != "DELETED" and node and node not in self.idle:
            task = asyncio.create_task(self._serve(event.object))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, pod: Object) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if metadata.get("deletionTimestamp"):
            await self._api.delete(path, grace=0)
        elif not pod.get("status", {}).get("podIP"):
            self._next += 1
            address = f"10.8.1.{self._next}"

            def run(current: Object) -> None:
                current["status"] |= {"phase": "Running", "podIP": address}
                set_ready(current, True)

            await self._api.update(path, run, subresource="status")


def set_ready(pod: Object, ready: bool) -> None:
    conditions = [c for c in pod["status"].get("conditions") or () if c["type"] != "Ready"]
    pod["status"]["conditions"] = [*conditions, {"type": "Ready", "status": str(ready)}]


class Plane:
    """One cluster without nodes that run anything."""

    def __init__(self, cluster: ClusterSpec, api: KubeApi, network: Restores, kubelet: PaperKubelet) -> None:
        self.cluster, self.api, self.network, self.kubelet = cluster, api, network, kubelet

    async def add_node(self, name: str, **labels: str) -> None:
        labels = {"kubernetes.io/hostname": name} | {k.replace("__", "/"): v for k, v in labels.items()}
        await self.api.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "spec": {}})
        await self.set_ready(name, True)

    async def set_ready(self, node: str, ready: bool) -> None:
        conditions = [{"type": "Ready", "status": str(ready)}]
        await self.api.patch(f"/api/v1/nodes/{node}/status", {"status": {"conditions": conditions}})

    async def add_namespace(self, name: str) -> None:
        await self.api.create("/api/v1/namespaces", {"metadata": {"name": name}})

    async def pods(self, namespace: str = "ns", **labels: str) -> list[Object]:
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return await self.api.list(f"/api/v1/namespaces/{namespace}/pods", labels=selector)


@asynccontextmanager
async def control_plane() -> AsyncIterator[Plane]:
    cluster = LabSpec.make("test").cluster("c1")
    authority = Authority.generate("test")
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    server = ApiServer("c1", tokens={"token": "admin"}, service_cidr=cluster.service_cidr, pods=NoCommands())
    await server.start([listener], authority.server_context())
    api = KubeApi(f"https://127.0.0.1:{listener.getsockname()[1]}", "token", authority.ca_pem)
    network, kubelet = Restores(), PaperKubelet(api)
    controllers = Controllers(cluster, api, network)
    try:
        await controllers.start()
        kubelet.start()
        yield Plane(cluster, api, network, kubelet)
    finally:
        await controllers.stop()
        await api.close()
        await server.stop()


async def until(look: Callable[[], Awaitable[Found]], wanted: Callable[[Found], object], seconds: float = 3) -> Found:
    """Ask again every few ms until `wanted` holds; the last answer is in the failure."""
    end = asyncio.get_running_loop().time() + seconds
    while not wanted(found := await look()):
        assert asyncio.get_running_loop().time() < end, f"still after {seconds} s: {found}"
        await asyncio.sleep(0.005)
    return found

"""The kubelet of all nodes of one cluster: registers them, runs the pods bound to them, tells the API what they do."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from pytest_submariner.lab.kubeapi import Event, Informer, KubeApi
from pytest_submariner.lab.kubelet import node
from pytest_submariner.lab.kubelet.container import Container
from pytest_submariner.lab.kubelet.environment import service_host
from pytest_submariner.lab.kubelet.events import Events
from pytest_submariner.lab.kubelet.pod import Machinery, PodWorker
from pytest_submariner.lab.network import Network
from pytest_submariner.lab.spawner import Sandbox, Spawner
from pytest_submariner.lab.spec import ClusterSpec

Object = dict[str, Any]
DEFAULT_PORT = 10250
log = logging.getLogger(__name__)


class Kubelet:
    """One per cluster. Speaks to the API over HTTP only, so that it serves a genuine API server as well."""

    def __init__(
        self,
        cluster: ClusterSpec,
        api: KubeApi,
        spawner: Spawner,
        network: Network,
        state: Path,
        *,
        port: int = DEFAULT_PORT,
        dns: tuple[str, ...] = (),
    ) -> None:
        """`state`: a writable folder for logs and volumes; `port`: of `KubeletServer`, for the Node objects; `dns`: for resolv.conf."""
        self._cluster = cluster
        self._api = api
        self.port = port
        self._events = Events(api)
        self._nodes = {n.name: n for n in cluster.nodes}
        self._machinery = Machinery(api, spawner, network, self._events, state, service_host(cluster.service_cidr), dns)
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._informer: Informer | None = None
        self._leases: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when the nodes are registered and pods are watched."""
        await asyncio.gather(*(node.register(self._api, n, self.port) for n in self._cluster.nodes))
        self._leases = asyncio.create_task(node.Leases(self._api, self._cluster.nodes).keep(), name="node leases")
        self._informer = self._api.informer("/api/v1/pods")
        self._informer.on_event(self._on_event)
        self._informer.start()

    async def stop(self) -> None:
        """Ends every pod's processes at once. The API is not told: it ends as well."""
        if self._informer is not None:
            await self._informer.stop()
        tasks = [*self._tasks.values(), *([self._leases] if self._leases is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._events.stop()

    # pods

    def _on_event(self, event: Event) -> None:
        pod = event.object
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if event.type == "DELETED":
            if worker is not None:
                worker.vanished()
        elif worker is not None:
            worker.update(pod)
        elif (where := self._nodes.get(pod["spec"].get("nodeName") or "")) is not None:
            self._workers[uid] = worker = PodWorker(self._machinery, where, pod)
            worker.update(pod)
            self._tasks[uid] = task = asyncio.create_task(worker.run(), name=f"worker {worker.key}")
            task.add_done_callback(lambda done: self._forget(uid, done))

    def _forget(self, uid: str, task: asyncio.Task[None]) -> None:
        worker = self._workers.pop(uid)
        del self._tasks[uid]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("pod %s is given up", worker.key, exc_info=error)

    # what others ask

    def worker(self, namespace: str, name: str, uid: str | None = None) -> PodWorker | None:
        """The pod of that name, the youngest where a successor has come already; with `uid` only that very one."""
        if uid is not None:
            return self._workers.get(uid)
        return next((w for w in reversed(self._workers.values()) if w.key == f"{namespace}/{name}"), None)

    def container(self, pod: Object, name: str) -> Container | None:
        """A container of a stored pod, init containers included; None before the pod has got that far, and after its end."""
        metadata = pod["metadata"]
        worker = self.worker(metadata["namespace"], metadata["name"], metadata.get("uid"))
        return worker.containers.get(name) if worker is not None else None

    def sandbox_of(self, namespace: str, pod: str) -> Sandbox | None:
        """The namespaces of the pod's first running container."""
        worker = self.worker(namespace, pod)
        return worker.sandbox() if worker is not None else None

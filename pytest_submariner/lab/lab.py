"""A lab, assembled: network, API servers, kubelets, controllers, SSH and Submariner, in the order they need each other."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_submariner.dataplane.constants import OPERATOR_NAMESPACE
from pytest_submariner.errors import LabError
from pytest_submariner.lab.controllers import Controllers
from pytest_submariner.lab.controlplane.base import ClusterParts, ControlPlane
from pytest_submariner.lab.controlplane.embedded import EmbeddedControlPlane
from pytest_submariner.lab.credentials import Credentials
from pytest_submariner.lab.kubeapi import KubeApi
from pytest_submariner.lab.kubelet.kubelet import Kubelet
from pytest_submariner.lab.kubelet.logfile import LogOptions
from pytest_submariner.lab.kubelet.logfile import read as read_log
from pytest_submariner.lab.listeners import Listeners
from pytest_submariner.lab.network import PATH, Network
from pytest_submariner.lab.spawner import ProcessSpec, Sandbox, Spawner
from pytest_submariner.lab.spec import UNDERLAY_GATEWAY, ClusterSpec, LabSpec
from pytest_submariner.lab.sshd import SshAccess
from pytest_submariner.lab.state import LabState
from pytest_submariner.lab.submariner.access import ApiAccess, Submariner
from pytest_submariner.lab.submariner.modelled import ModelledSubmariner

if TYPE_CHECKING:
    from pytest_submariner.lab.faults import Injector

_APPS = {"gateway": "submariner-gateway", "route-agent": "submariner-routeagent"}


@dataclass
class _Cluster:
    spec: ClusterSpec
    api: KubeApi
    kubelet: Kubelet
    controllers: Controllers


class Lab:
    """Lives in the holder. `boot()` once; then `handle()` serves `submariner-lab`."""

    def __init__(
        self,
        spec: LabSpec,
        state: LabState,
        listeners: Listeners,
        spawner: Spawner,
        network: Network,
        building: Awaitable[None],
        credentials: Credentials,
    ) -> None:
        """`building` ends when the network is there."""
        self.spec = spec
        self._state = state
        self._listeners = listeners
        self._spawner = spawner
        self._credentials = credentials
        self._network = network
        self._building = building
        self._ssh = SshAccess(state.folder, listeners.ssh, self._network, spawner)
        self._control_plane = self._make_control_plane()
        self._clusters: dict[str, _Cluster] = {}
        self._submariner: Submariner | None = None
        self._is_up = False
        self.timings: dict[str, float] = {}

    @asynccontextmanager
    async def _timed(self, name: str) -> AsyncIterator[None]:
        start = time.monotonic()
        yield
        self.timings[name] = round(time.monotonic() - start, 3)

    async def boot(self) -> None:
        """Returns when every supported path is programmed and Submariner's pods run. LabError otherwise."""
        async with self._timed("network_s"):
            await self._building
        async with self._timed("control_plane_s"):
            parts = [self._make_cluster(cluster) for cluster in self.spec.clusters]
            submariner = self._submariner = self._make_submariner()
            await self._control_plane.start(parts, submariner.prepare)
            await asyncio.gather(
                *(part.start() for c in self._clusters.values() for part in (c.kubelet, c.controllers))
            )
            self._ssh.configure(self._credentials)
            self._ssh.start()
        async with self._timed("submariner_s"):
            await submariner.install()
        self._is_up = True

    def _inside_urls(self) -> dict[str, str]:
        return {c.name: f"https://{UNDERLAY_GATEWAY}:{c.api_port}" for c in self.spec.clusters}

    def _make_cluster(self, spec: ClusterSpec) -> ClusterParts:
        api = KubeApi(self._control_plane.own_url(spec), self._credentials.token, self._credentials.authority.ca_pem)
        folder = self._state.folder / spec.name
        folder.mkdir()
        kubelet = Kubelet(spec, api, self._spawner, self._network, folder)
        controllers = Controllers(spec, api, self._network)
        self._clusters[spec.name] = _Cluster(spec, api, kubelet, controllers)
        return ClusterParts(spec, kubelet)

    def _make_submariner(self) -> Submariner:
        apis = {name: cluster.api for name, cluster in self._clusters.items()}
        outside = {name: f"https://127.0.0.1:{port}" for name, port in self._listeners.ports().items()}
        ca_pem = self._credentials.authority.ca_pem
        access = ApiAccess(self._credentials.token, ca_pem, self._inside_urls(), outside)
        if self.spec.agents_dir is not None:
            from pytest_submariner.lab.submariner.agents import AgentsSubmariner

            return AgentsSubmariner(self.spec, apis, self._network, access, Path(self.spec.agents_dir))
        return ModelledSubmariner(self.spec, apis, self._network, access)

    def _make_control_plane(self) -> ControlPlane:
        if self.spec.control_plane == "kube":
            from pytest_submariner.lab.controlplane.genuine import GenuineControlPlane

            folder = self._state.folder / "control-plane"
            return GenuineControlPlane(folder, self._credentials, self._listeners.api, self._network, self._spawner)
        return EmbeddedControlPlane(self._credentials, self._listeners.api)

    def describe(self) -> dict[str, Any]:
        """What `submariner-lab up --json` prints."""
        return {
            "name": self.spec.name,
            "kubeconfig": str(self._state.kubeconfig),
            "ssh_config": str(self._state.ssh_config),
            "contexts": [c.name for c in self.spec.clusters],
            "nodes": [
                {
                    "name": n.name,
                    "cluster": n.cluster,
                    "role": "gateway" if n.gateway else "non-gateway",
                    "ip": n.ip,
                    "cni_ip": n.cni_ip,
                }
                for n in self.spec.nodes
            ],
            "profile": self.spec.profile,
            "cable": self.spec.cable,
            "timings": self.timings,
        }

    async def handle(self, request: dict[str, Any], fds: list[int], gone: asyncio.Event) -> dict[str, Any]:
        """One request of `submariner-lab`; LabError becomes its error line."""
        match request.get("op"):
            case "status":
                return {"faults": self._faults.active if "_faults" in vars(self) else []}
            case "inject":
                return await self._faults.inject(
                    request["id"], request["cluster"], request["node"], otherwise=request["otherwise"]
                )
            case "heal":
                return {"healed": await self._faults.heal(request["id"])}
            case "exec":
                return {"exit": await self._exec(request["target"], tuple(request["argv"]), fds, gone)}
            case "logs":
                return {"exit": await self._logs(request["node"], request["part"], fds[0])}
            case other:
                raise LabError(f"the lab does not know the request {other!r}; is it of another version?")

    @cached_property
    def _faults(self) -> Injector:
        """LabError until the lab is up: there is nothing yet to be at fault. Few labs are, so none boots slower for the catalogue."""
        if not self._is_up:
            raise LabError(f"lab {self.spec.name} is not ready yet")
        from pytest_submariner.lab.faults import Injector

        apis = {name: cluster.api for name, cluster in self._clusters.items()}
        return Injector(self.spec, self._network, apis, self._pod_sandbox)

    async def _exec(self, target: str, argv: tuple[str, ...], fds: list[int], gone: asyncio.Event) -> int:
        sandbox = await self._sandbox_of(target)
        spec = ProcessSpec(argv, {"PATH": f"/run/toolset/python/bin:{PATH}", "HOME": "/tmp", "TERM": "dumb"})
        try:
            process = await self._spawner.spawn(sandbox, spec, stdin=fds[0], stdout=fds[1], stderr=fds[2])
        except OSError as error:
            raise LabError(f"{argv[0]}: {error.strerror or error}") from error
        ended = asyncio.ensure_future(process.wait())
        left = asyncio.ensure_future(gone.wait())
        await asyncio.wait({ended, left}, return_when=asyncio.FIRST_COMPLETED)
        left.cancel()
        if not ended.done():
            process.kill(signal.SIGKILL)
        return await ended

    async def _sandbox_of(self, target: str) -> Sandbox:
        if "/" not in target:
            return self._network.node_sandbox(target)
        cluster, _, rest = target.partition("/")
        namespace, _, pod = rest.partition("/")
        if not namespace or not pod or "/" in pod:
            raise LabError(f"{target!r} is neither a node nor CLUSTER/NAMESPACE/POD")
        self.spec.cluster(cluster)
        sandbox = self._pod_sandbox(cluster, namespace, pod)
        if sandbox is None:
            raise LabError(f"cluster {cluster} runs no pod {namespace}/{pod}")
        return sandbox

    def _pod_sandbox(self, cluster: str, namespace: str, pod: str) -> Sandbox | None:
        return self._clusters[cluster].kubelet.sandbox_of(namespace, pod)

    async def _logs(self, node: str, part: str, out: int) -> int:
        """Writes the log to `out`. The kubelets of all nodes live in the holder: theirs is the holder's log."""
        cluster = self._clusters[self.spec.node(node).cluster]
        if part == "kubelet":
            _write_all(out, self._state.log.read_bytes())
            return 0
        pods = await cluster.api.list(
            f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods", labels=f"app={_APPS[part]}", fields=f"spec.nodeName={node}"
        )
        if not pods:
            raise LabError(f"node {node} runs no {part}")
        container = cluster.kubelet.container(pods[0], pods[0]["spec"]["containers"][0]["name"])
        log = container.log(previous=False) if container is not None else None
        if log is not None:
            async for data in read_log(log, LogOptions()):
                _write_all(out, data)
        return 0


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]

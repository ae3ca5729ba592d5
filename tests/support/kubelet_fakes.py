"""What a kubelet needs, without namespaces, root or cluster: real processes of this user, an API in a dict, TLS on
loopback."""

from __future__ import annotations

import asyncio
import copy
import fcntl
import os
import shutil
import socket
import termios
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import yaml
from aiohttp import web

from pytest_submariner.lab.credentials import Authority
from pytest_submariner.lab.kubeapi import ApiError, Event, KubeApi
from pytest_submariner.lab.kubelet.kubelet import Kubelet
from pytest_submariner.lab.kubelet.remote import RemoteCommands
from pytest_submariner.lab.kubelet.server import KubeletServer
from pytest_submariner.lab.network import Network
from pytest_submariner.lab.podnetwork import PodNetwork
from pytest_submariner.lab.spawner import Process, ProcessSpec, Sandbox, Spawner
from pytest_submariner.lab.spec import ClusterSpec, LabSpec

Object = dict[str, Any]


DISCOVERY: dict[str, Object] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [{"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": True, "verbs": ["get"]}],
    },
}


class FakeSpawner:
    """Processes without namespaces. Paths a sandbox shares become links, as far as they are below a test's own
    folder."""

    def __init__(self) -> None:
        self.sandboxes: list[dict[str, Any]] = []
        """What each was asked for."""
        self.specs: list[ProcessSpec] = []
        self.processes: dict[int, list[Process]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def sandbox(
        self,
        net: int,
        *,
        hostname: str,
        files: Mapping[str, bytes] | None = None,
        directories: Sequence[str] = (),
        binds: Mapping[str, str] | None = None,
        shares: Mapping[str, str] | None = None,
        uid: int = 0,
    ) -> Sandbox:
        self.sandboxes.append(
            {"hostname": hostname, "files": files or {}, "binds": binds or {}, "shares": shares or {}}
        )
        for target, source in {**(binds or {}), **(shares or {})}.items():
            if "pytest" in target:
                _link(Path(target), source)
        return Sandbox(net, *(os.open(os.devnull, os.O_RDONLY) for _ in range(2)))

    async def spawn(self, sandbox: Sandbox, spec: ProcessSpec, *, stdin: int, stdout: int, stderr: int) -> Process:
        self.specs.append(spec)
        program = spec.argv[0]
        if "/" not in program and shutil.which(program, path=spec.env.get("PATH")) is None:
            raise FileNotFoundError(2, f'"{program}": executable file not found in $PATH')
        child = await asyncio.create_subprocess_exec(
            *spec.argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=dict(spec.env),
            cwd=spec.cwd,
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if spec.tty else None,
        )
        process = Process(child.pid, spec.argv)
        self.processes.setdefault(sandbox.mnt, []).append(process)
        task = asyncio.create_task(self._reap(child, process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return process

    @staticmethod
    async def _reap(child: asyncio.subprocess.Process, process: Process) -> None:
        code = await child.wait()
        process._end(code if code >= 0 else 128 - code)

    async def kill_all(self, sandbox: Sandbox) -> None:
        for process in self.processes.get(sandbox.mnt, ()):
            process.kill()
            await process.wait()

    def alive(self) -> list[tuple[str, ...]]:
        """Commands that still run."""
        return [p.argv for started in self.processes.values() for p in started if p.returncode is None]


def _link(target: Path, source: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source)


class FakeNetwork:
    """Addresses, and descriptors that are no namespaces."""

    def __init__(self) -> None:
        self.attached: dict[str, str] = {}

    def node_sandbox(self, node: str) -> Sandbox:
        return Sandbox(-1, -1, -1)

    async def attach_pod(self, node: str) -> PodNetwork:
        ip = f"10.8.1.{10 + len(self.attached)}"
        self.attached[ip] = node
        return PodNetwork(ip, os.open(os.devnull, os.O_RDONLY), 100)

    async def detach_pod(self, node: str, pod: PodNetwork) -> None:
        del self.attached[pod.ip]
        os.close(pod.netns)


class FakeInformer:
    def __init__(self, api: FakeApi, path: str) -> None:
        self._api, self._path = api, path

    def on_event(self, handler: Callable[[Event], None]) -> None:
        self._api.handlers.append((self._path, handler))

    def start(self) -> None:
        """Events come from the writes themselves."""

    async def stop(self) -> None:
        self._api.handlers.clear()


class FakeApi:
    """Objects by path, merge patches, one kind of watch. Deleting a pod follows the rules a kubelet depends on."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.handlers: list[tuple[str, Callable[[Event], None]]] = []
        self.statuses: list[Object] = []
        """Every status a pod was given, in order."""
        self.trouble: list[ApiError] = []
        """Answers to the next requests that write."""
        self._serial = 0

    async def get(self, path: str) -> Object | None:
        return copy.deepcopy(self.objects.get(path))

    async def create(self, path: str, body: Object) -> Object:
        target = f"{path}/{body['metadata']['name']}"
        if target in self.objects:
            raise ApiError(409, "AlreadyExists", f"{target} is there")
        self._serial += 1
        stored = {**body, "metadata": {"uid": f"uid-{self._serial}", **body["metadata"]}}
        self._store(target, stored, "ADDED")
        return stored

    async def patch(self, path: str, patch: Object, content_type: str = "application/merge-patch+json") -> Object:
        if self.trouble:
            raise self.trouble.pop(0)
        target = path.removesuffix("/status")
        stored = self.objects.get(target)
        if stored is None:
            raise ApiError(404, "NotFound", f"{target} not found")
        if patch.get("metadata", {}).get("uid", stored["metadata"]["uid"]) != stored["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "the uid is another")
        changed = {key: {**stored.get(key, {}), **value} for key, value in patch.items()}
        if path.endswith("/status"):
            self.statuses.append(copy.deepcopy(patch["status"]))
        self._store(target, {**stored, **changed}, "MODIFIED")
        return self.objects[target]

    async def delete(self, path: str, *, grace: int | None = None, uid: str | None = None) -> Object | None:
        stored = self.objects.get(path)
        if stored is None:
            return None
        if uid not in (None, stored["metadata"]["uid"]):
            raise ApiError(409, "Conflict", "the uid is another")
        if grace != 0:
            marks = {
                "deletionTimestamp": "2024-10-01T12:00:00Z",
                "deletionGracePeriodSeconds": 30 if grace is None else grace,
            }
            self._store(path, {**stored, "metadata": {**stored["metadata"], **marks}}, "MODIFIED")
            return None
        del self.objects[path]
        self._tell("DELETED", path, stored)
        return None

    def informer(self, path: str) -> FakeInformer:
        return FakeInformer(self, path)

    async def until(self, condition: Callable[[], object], seconds: float = 10) -> None:
        """Returns when `condition()` is true; TimeoutError."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 (what is waited for is often outside of this process)
                await asyncio.sleep(0.005)

    def _store(self, path: str, stored: Object, kind: Any) -> None:
        self.objects[path] = stored
        self._tell(kind, path, stored)

    def _tell(self, kind: Any, path: str, stored: Object) -> None:
        for watched, handler in self.handlers:
            if path.replace("/namespaces/ns", "").startswith(watched):
                handler(Event(kind, stored))


class World:
    """A kubelet of a cluster with one node, c1-gw, and everything around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster: ClusterSpec = LabSpec.make("fake", clusters=1, gateways=1, workers=0).clusters[0]
        self.api = FakeApi()
        self.spawner = FakeSpawner()
        self.network = FakeNetwork()
        self.kubelet = Kubelet(
            self.cluster,
            cast(KubeApi, self.api),
            cast(Spawner, self.spawner),
            cast(Network, self.network),
            folder / "state",
        )

    async def run(self, **spec: Any) -> str:
        """Creates a pod on the node; its name. `spec` as in a Pod, `containers` perhaps without names and images."""
        name = f"pod-{len(self.api.objects)}"
        for kind in ("containers", "initContainers"):
            spec[kind] = [{"name": f"{kind[0]}{n}", "image": "busybox", **c} for n, c in enumerate(spec.get(kind, ()))]
        spec = {"nodeName": "c1-gw", "restartPolicy": "Never", **spec}
        metadata = {"name": name, "namespace": "ns", "labels": {"app": "test"}}
        await self.api.create("/api/v1/namespaces/ns/pods", {"metadata": metadata, "spec": spec})
        return name

    async def shell(self, script: str, **spec: Any) -> str:
        """A pod of one container that runs a shell script."""
        return await self.run(containers=[{"command": ["sh", "-c", script], **spec.pop("container", {})}], **spec)

    def pod(self, name: str) -> Object:
        return self.api.objects[f"/api/v1/namespaces/ns/pods/{name}"]

    def state(self, name: str) -> Object:
        """Of its first container."""
        found: Object = self.pod(name).get("status", {}).get("containerStatuses", [{"state": {}}])[0]["state"]
        return found

    async def phase(self, name: str, *phases: str) -> Object:
        """The pod's status once it has one of these phases."""
        await self.api.until(lambda: self.pod(name).get("status", {}).get("phase") in phases)
        found: Object = self.pod(name)["status"]
        return found


@asynccontextmanager
async def running_world(folder: Path) -> AsyncIterator[World]:
    world = World(folder)
    await world.kubelet.start()
    try:
        yield world
    finally:
        await world.kubelet.stop()


@asynccontextmanager
async def pod_api(world: World) -> AsyncIterator[Path]:
    """The part of an API server that `kubectl exec` and `kubectl logs` ask, over TLS; yields a kubeconfig."""
    app = web.Application()
    remote = RemoteCommands(world.kubelet)

    async def get(request: web.Request) -> web.Response:
        pod = {"kind": "Pod", "apiVersion": "v1", **world.pod(request.match_info["pod"])}
        return web.json_response(pod)

    async def run(request: web.Request) -> web.StreamResponse:
        pod = world.pod(request.match_info["pod"])
        container = request.query.get("container") or pod["spec"]["containers"][0]["name"]
        return await (remote.exec if request.path.endswith("/exec") else remote.logs)(request, pod, container)

    async def discovery(request: web.Request) -> web.Response:
        return web.json_response(DISCOVERY[request.path])

    for known in DISCOVERY:
        app.router.add_get(known, discovery)
    path = "/api/v1/namespaces/ns/pods/{pod}"
    app.router.add_get(path, get)
    app.router.add_get(f"{path}/log", run)
    app.router.add_get(f"{path}/exec", run)
    app.router.add_post(f"{path}/exec", run)
    authority, listener = Authority.generate("fake"), socket.create_server(("127.0.0.1", 0))
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=authority.server_context()).start()
    kubeconfig = world.folder / "kubeconfig"
    (world.folder / "ca.pem").write_bytes(authority.ca_pem)
    server = {
        "server": f"https://127.0.0.1:{listener.getsockname()[1]}",
        "certificate-authority": str(world.folder / "ca.pem"),
    }
    context = {"cluster": "c1", "user": "c1", "namespace": "ns"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c1",
        "clusters": [{"name": "c1", "cluster": server}],
        "users": [{"name": "c1", "user": {"token": "a-token-for-tests"}}],
        "contexts": [{"name": "c1", "context": context}],
    }
    kubeconfig.write_text(yaml.safe_dump(config))
    try:
        yield kubeconfig
    finally:
        await runner.cleanup()


@asynccontextmanager
async def kubelet_listener(world: World) -> AsyncIterator[int]:
    """What a genuine API server dials; yields its port on loopback."""
    listener, authority = socket.create_server(("127.0.0.1", 0)), Authority.generate("fake")
    server = KubeletServer(world.kubelet)
    await server.start([listener], authority.server_context())
    try:
        yield listener.getsockname()[1]
    finally:
        await server.stop()

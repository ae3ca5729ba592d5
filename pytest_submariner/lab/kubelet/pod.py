"""One pod on one node, from its binding to its removal."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_submariner.errors import LabError
from pytest_submariner.lab.kubeapi import KubeApi
from pytest_submariner.lab.kubelet import podfiles, podstatus
from pytest_submariner.lab.kubelet.container import Container, PodContext, now
from pytest_submariner.lab.kubelet.environment import hostname
from pytest_submariner.lab.kubelet.events import Events
from pytest_submariner.lab.kubelet.podreport import PodReport
from pytest_submariner.lab.kubelet.references import References
from pytest_submariner.lab.kubelet.supervision import Supervisor
from pytest_submariner.lab.kubelet.volumes import Volumes
from pytest_submariner.lab.network import Network, PodNetwork
from pytest_submariner.lab.spawner import Sandbox, Spawner
from pytest_submariner.lab.spec import NodeSpec

Object = dict[str, Any]
DEFAULT_GRACE_S = 30
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machinery:
    """What pods are made with, the same for all of a cluster."""

    api: KubeApi
    spawner: Spawner
    network: Network
    events: Events
    folder: Path
    service_host: str
    dns: tuple[str, ...] = ()
    """Addresses of the cluster's name servers."""


class PodWorker:
    """Runs in a task of its own; `update` and `vanished` tell it what the API says."""

    def __init__(self, machinery: Machinery, node: NodeSpec, pod: Object) -> None:
        self.node = node
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.ip = ""
        self.containers: dict[str, Container] = {}
        """Init containers too, once the pod has a network."""
        self._on = machinery
        self._folder = machinery.folder / "pods" / self.uid
        self._network: PodNetwork | None = None
        self._initialized = self._init_failed = False
        self._failure: tuple[str, str] | None = None
        self._changed = asyncio.Event()
        self._gone = asyncio.Event()
        self._deleting = asyncio.Event()
        self._started_at = now()
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._report = PodReport(machinery.api, path, self.uid, self._gone)
        title = f"{metadata['name']}_{metadata['namespace']}({self.uid})"
        self._supervisor = Supervisor(title, self._publish, self._warn, self._changed_spec)

    # what the API says

    def update(self, pod: Object) -> None:
        """A newer state of the same pod."""
        self.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._deleting.set()
        self._changed.set()

    def vanished(self) -> None:
        """The object is gone: nothing is left to report to."""
        self._gone.set()
        self._deleting.set()

    # life

    async def run(self) -> None:
        """Returns when the pod is gone from the node and, if it was deleted, from the API."""
        life = asyncio.create_task(self._live(), name=f"pod {self.key}")
        try:
            await self._deleting.wait()
            await self._cancel(life)
            await self._end_containers(self._grace)
            await self._release()
            await self._publish()
            await self._report.removed()
        finally:
            await self._cancel(life)
            for container in self.containers.values():
                with suppress(LabError):
                    await container.kill()
                container.close()
            await self._release()
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def key(self) -> str:
        metadata = self.pod["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}"

    def sandbox(self) -> Sandbox | None:
        """The namespaces of a container that runs, the first in the pod's order."""
        return next((c.sandbox for c in self._apps if c.sandbox is not None and c.state.running), None)

    @property
    def _grace(self) -> float:
        return float(self.pod["metadata"].get("deletionGracePeriodSeconds") or 0 if not self._gone.is_set() else 0)

    @property
    def _restart_policy(self) -> str:
        return str(self.pod["spec"].get("restartPolicy") or "Always")

    def _named(self, kind: str) -> list[Container]:
        return [
            self.containers[spec["name"]]
            for spec in self.pod["spec"].get(kind) or ()
            if spec["name"] in self.containers
        ]

    @property
    def _apps(self) -> list[Container]:
        return self._named("containers")

    async def _live(self) -> None:
        if (self.pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        try:
            async with asyncio.timeout(self.pod["spec"].get("activeDeadlineSeconds")):
                await self._run_containers()
        except TimeoutError:
            self._failure = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            await self._end_containers(float(self.pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)))
        except Exception as raised:
            error = raised.exceptions[0] if isinstance(raised, ExceptionGroup) else raised
            expected = isinstance(error, LabError | OSError)
            log.error("pod %s: %s", self.key, error, exc_info=None if expected else error)
            self._failure = ("FailedCreatePodSandBox" if expected else "InternalError", str(error))
            await self._end_containers(0)
        await self._publish()
        await self._release()

    async def _run_containers(self) -> None:
        context = await self._context()
        spec = self.pod["spec"]
        inits = spec.get("initContainers") or ()
        first = "PodInitializing" if inits else "ContainerCreating"
        self.containers = {c["name"]: Container(c, context) for c in inits}
        self.containers |= {c["name"]: Container(c, context, waits_for=first) for c in spec["containers"]}
        sidecars: dict[Container, asyncio.Task[None]] = {}
        try:
            for init in self._named("initContainers"):
                if init.spec.get("restartPolicy") == "Always":  # a sidecar: the next one need not wait for its end
                    await self._supervisor.start(init)
                    sidecars[init] = asyncio.create_task(self._supervisor.supervise(init, "Always"))
                elif not await self._supervise_init(init):
                    self._init_failed = True
                    return
            self._initialized = True
            await asyncio.gather(*(container.start() for container in self._apps))
            await self._publish()
            async with asyncio.TaskGroup() as lives:
                for container in self._apps:
                    lives.create_task(self._supervisor.supervise(container, self._restart_policy))
        finally:
            for task in sidecars.values():
                await self._cancel(task)
        await self._end_containers(DEFAULT_GRACE_S)

    async def _supervise_init(self, container: Container) -> bool:
        """Whether it ended well; with restartPolicy Never one failure is the pod's."""
        await self._supervisor.start(container)
        await self._supervisor.supervise(container, "Never" if self._restart_policy == "Never" else "OnFailure")
        ended = container.state.terminated
        return ended is not None and ended["exitCode"] == 0

    async def _changed_spec(self, container: str) -> Object:
        """Returns after the next change of the pod."""
        self._changed.clear()
        await self._changed.wait()
        specs = [*(self.pod["spec"].get("initContainers") or ()), *self.pod["spec"]["containers"]]
        found: Object = next(spec for spec in specs if spec["name"] == container)
        return found

    # surroundings

    async def _context(self) -> PodContext:
        spec = self.pod["spec"]
        if spec.get("hostNetwork"):
            net, self.ip = self._on.network.node_sandbox(self.node.name).net, self.node.ip
        else:
            self._network = await self._on.network.attach_pod(self.node.name)
            net, self.ip = self._network.netns, self._network.ip
        refs = References(self._on.api, self.pod, self.node, self.ip)
        host = hostname(self.pod, self.node.name)
        etc = podfiles.etc(self.pod, ip=self.ip, hostname=host, dns=self._on.dns)
        node_folder = self._on.folder / "nodes" / self.node.name
        return PodContext(
            spawner=self._on.spawner,
            refs=refs,
            net=net,
            hostname=host,
            etc=etc,
            volumes=Volumes(refs, self._folder / "volumes", node_folder),
            folder=self._folder,
            service_host=self._on.service_host,
        )

    async def _end_containers(self, grace: float) -> None:
        """SIGTERM, time to end, SIGKILL. Their states say how they ended."""
        running = [c for c in self.containers.values() if c.state.running]
        if not running:
            return
        ends = [asyncio.create_task(container.wait()) for container in running]
        try:
            if grace > 0:
                for container in running:
                    container.signal(signal.SIGTERM)
                await self._wait_for(ends, grace)
        finally:
            for container in running:
                container.signal(signal.SIGKILL)
        await asyncio.gather(*ends)

    async def _wait_for(self, ends: Collection[asyncio.Task[int]], seconds: float) -> None:
        """Until all have ended, the time is over, or somebody removed the pod by force."""
        forced = asyncio.create_task(self._gone.wait())
        all_ended = asyncio.create_task(asyncio.wait(ends))
        try:
            await asyncio.wait({forced, all_ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            forced.cancel()
            all_ended.cancel()

    async def _release(self) -> None:
        for container in self.containers.values():
            if not container.state.running:
                container.close()
        network, self._network = self._network, None
        if network is not None:
            await self._on.network.detach_pod(self.node.name, network)

    @staticmethod
    async def _cancel(task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # reports

    def _status(self) -> Object:
        stored = self.pod.get("status") or {}
        inits, apps = self._named("initContainers"), self._apps
        phase = podstatus.phase(
            self._restart_policy,
            initialized=self._initialized,
            init_failed=self._init_failed,
            containers=[c.state for c in apps],
        )
        if self._failure is not None:
            phase = "Failed"
        elif self._deleting.is_set() and apps and not any(c.state.running for c in apps):
            phase = (
                "Succeeded" if all((c.state.terminated or {"exitCode": 1})["exitCode"] == 0 for c in apps) else "Failed"
            )
        status: Object = {
            "phase": phase,
            "startTime": self._started_at,
            "hostIP": self.node.ip,
            "hostIPs": [{"ip": self.node.ip}],
            "conditions": podstatus.conditions(
                stored.get("conditions") or (),
                self._report.published.get("conditions", ()),
                phase,
                sandboxed=bool(self.ip) and phase in ("Pending", "Running"),
                initialized=self._initialized,
                not_initialized=[c.name for c in inits if (c.state.terminated or {}).get("reason") != "Completed"],
                not_ready=[c.name for c in apps if not c.state.ready],
            ),
            "containerStatuses": [c.to_status() for c in apps],
        }
        if inits:
            status["initContainerStatuses"] = [c.to_status() for c in inits]
        if self.ip:
            status |= {"podIP": self.ip, "podIPs": [{"ip": self.ip}]}
        if self._failure is not None:
            status["reason"], status["message"] = self._failure
        return status

    async def _publish(self) -> None:
        await self._report.publish(self._status)

    def _warn(self, reason: str, message: str, container: Container) -> None:
        self._on.events.warn(self.pod, reason, message, container=container.name)

"""One container of a pod: a sandbox, a process, a log, and what to tell about them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_submariner.errors import LabError
from pytest_submariner.lab import toolsets
from pytest_submariner.lab.kubelet import pipes, status
from pytest_submariner.lab.kubelet.environment import User, environment, process
from pytest_submariner.lab.kubelet.logfile import ContainerLog
from pytest_submariner.lab.kubelet.references import ConfigError, References
from pytest_submariner.lab.kubelet.session import ExecOptions
from pytest_submariner.lab.kubelet.volumes import Volumes
from pytest_submariner.lab.spawner import Process, ProcessSpec, Sandbox, Spawner

Object = dict[str, Any]
MESSAGE_LIMIT = 4096
"""A kubelet keeps that much of the end of a termination message."""
FALLBACK_LINES, FALLBACK_LIMIT = 80, 2048
"""With FallbackToLogsOnError: the end of the log, that much of it at most (`kubelet:pkg/kubelet/kuberuntime`)."""
START_ERROR = 128
"""Exit code of a container that could not be started (containerd)."""


@dataclass(frozen=True)
class PodContext:
    """What the containers of one pod share."""

    spawner: Spawner
    refs: References
    net: int
    """The pod's network namespace, or its node's."""
    hostname: str
    etc: Mapping[str, bytes]
    """/etc/hostname, /etc/hosts, /etc/resolv.conf."""
    volumes: Volumes
    folder: Path
    service_host: str


@dataclass(frozen=True)
class State:
    """What containerStatuses say of one container. `state` and `last` are in the API's form."""

    state: Object = field(default_factory=lambda: waiting("ContainerCreating"))
    last: Object = field(default_factory=dict)
    restarts: int = 0
    container_id: str = ""
    ready: bool = False

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def terminated(self) -> Object | None:
        ended: Object | None = self.state.get("terminated")
        return ended

    @property
    def reason(self) -> str:
        return str(next(iter(self.state.values())).get("reason", ""))


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


class Container:
    """Started any number of times; each life has a sandbox, and a log of its own."""

    def __init__(self, spec: Object, context: PodContext, *, waits_for: str = "ContainerCreating") -> None:
        self.name: str = spec["name"]
        self.spec = spec
        self.state = State(waiting(waits_for))
        self.sandbox: Sandbox | None = None
        self._context = context
        self._process: Process | None = None
        self._run: ProcessSpec | None = None
        self._logs: list[ContainerLog] = []
        self._pumps: list[asyncio.Task[None]] = []
        self._message: Path | None = None
        self._started_at = ""

    # lives

    async def start(self) -> None:
        """Afterwards `state` is running, waiting with a reason, or terminated when the program could not be executed."""
        previous = self.state
        lives = previous.restarts + 1 if previous.container_id else 0
        last = {"terminated": ended} if (ended := previous.terminated) else previous.last
        try:
            toolset = toolsets.find(self.spec["image"])
            await self._context.volumes.prepare()
            user = User.of(self._context.refs.pod, self.spec)
            env = await environment(
                self._context.refs, self.spec, toolset, user, service_host=self._context.service_host
            )
            run = process(self.spec, toolset, env, user)
            await self._make_sandbox(env, toolset)
        except toolsets.UnknownImage as error:
            self.state = replace(previous, state=waiting("ErrImagePull", str(error)), last=last, ready=False)
            return
        except ConfigError as error:
            self.state = replace(
                previous, state=waiting("CreateContainerConfigError", str(error)), last=last, ready=False
            )
            return
        except (LabError, OSError) as error:
            self.state = replace(previous, state=waiting("CreateContainerError", str(error)), last=last, ready=False)
            return
        identity = f"submariner-lab://{uuid.uuid4().hex}"
        self.state = State(waiting("ContainerCreating"), last, lives, identity)
        await self._execute(run)

    async def _make_sandbox(self, env: Mapping[str, str], toolset: toolsets.Toolset) -> None:
        context = self._context
        mounts = context.volumes.mounts(self.spec, env)
        self._message = context.folder / "termination" / self.name
        self._message.parent.mkdir(parents=True, exist_ok=True)
        self._message.write_bytes(b"")
        self._message.chmod(0o666)
        where = self.spec.get("terminationMessagePath") or "/dev/termination-log"
        self._leave()
        self.sandbox = await context.spawner.sandbox(
            context.net,
            hostname=context.hostname,
            files=context.etc,
            binds={**toolset.binds, **mounts.binds},
            shares={**mounts.shares, where: str(self._message)},
        )

    async def _execute(self, run: ProcessSpec) -> None:
        assert self.sandbox is not None
        log = ContainerLog(self._context.folder / "logs" / self.name / f"{self.state.restarts}.log")
        for forgotten in self._logs[:-1]:  # the life before is what --previous shows
            forgotten.remove()
        self._logs = [*self._logs[-1:], log]
        stdio = pipes.Stdio.open(stdin=False, tty=run.tty)
        started = False
        try:
            self._process = await self._spawn(run, stdio.child)
            started = True
        except OSError as error:
            message = status.not_created(run.argv, run.cwd, error)
            self._end(START_ERROR, "StartError", message, started_at="1970-01-01T00:00:00Z")
            return
        finally:
            stdio.close_child()
            if not started:
                stdio.close()
                log.close()
        self._run, self._started_at = run, now()
        self._pumps = [asyncio.create_task(self._record(log, stdio), name=f"log of {self.name}")]
        self.state = replace(self.state, state={"running": {"startedAt": self._started_at}}, ready=True)

    async def _spawn(self, run: ProcessSpec, child: tuple[int, int, int]) -> Process:
        """When we are cancelled while the process comes into being, it must not stay behind."""
        assert self.sandbox is not None
        spawner, (stdin, stdout, stderr) = self._context.spawner, child
        starting = asyncio.ensure_future(spawner.spawn(self.sandbox, run, stdin=stdin, stdout=stdout, stderr=stderr))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with suppress(OSError, LabError):
                (await starting).kill()
            raise

    async def wait(self) -> int:
        """The exit status of this life, when `state` says so too: its whole sandbox is empty then, its log complete."""
        assert self._process is not None
        assert self.sandbox is not None
        code = await self._process.wait()
        # A container ends with its first process, whatever that one started.
        await self._context.spawner.kill_all(self.sandbox)
        if self._pumps:
            await asyncio.wait(self._pumps)  # not gather: who waits may be cancelled, the log goes on
        if self.state.running:
            self._end(
                code,
                "Completed" if code == 0 else "Error",
                self._termination_message(code),
                started_at=self._started_at,
            )
        return code

    def signal(self, number: int) -> None:
        """To the first process and its group."""
        if self._process is not None and self.state.running:
            self._process.kill(number)

    async def kill(self) -> None:
        """At once, everything in the sandbox."""
        self.signal(signal.SIGKILL)
        if self.sandbox is not None:
            await self._context.spawner.kill_all(self.sandbox)

    def close(self) -> None:
        """After the last life: gives the namespaces back. Logs stay readable until the pod's folder goes."""
        self._leave()
        for log in self._logs:
            log.close()

    def _leave(self) -> None:
        if self.sandbox is not None:
            self.sandbox.close()
            self.sandbox = None

    def _end(self, code: int, reason: str, message: str, *, started_at: str) -> None:
        ended: Object = {"exitCode": code, "reason": reason, "startedAt": started_at, "finishedAt": now()}
        if message:
            ended["message"] = message
        ended["containerID"] = self.state.container_id
        self.state = replace(self.state, state={"terminated": ended}, ready=False)

    # what it says

    async def _record(self, log: ContainerLog, stdio: pipes.Stdio) -> None:
        async def record(stream: str, fd: int) -> None:
            while data := await pipes.read(fd):
                log.write(stream, data)

        try:
            streams = (("stdout", stdio.stdout), ("stderr", stdio.stderr))
            await asyncio.gather(*(record(stream, fd) for stream, fd in streams if fd >= 0))
        finally:
            log.close()
            stdio.close()

    def _termination_message(self, code: int) -> str:
        """What the process left in its termination log, or where the pod wants it so, the end of its output."""
        assert self._message is not None
        said = _tail(self._message, MESSAGE_LIMIT)
        if not said and code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError" and self._logs:
            entries = _tail(self._logs[-1].path, FALLBACK_LINES * MESSAGE_LIMIT).split(b"\n")[-FALLBACK_LINES - 1 :]
            said = b"\n".join(entry.split(b" ", 3)[-1] for entry in entries)[-FALLBACK_LIMIT:]
        return said.decode("utf-8", "replace")

    def log(self, *, previous: bool) -> ContainerLog | None:
        """This life's log, or with `previous` the one before; None when there is none."""
        at = -2 if previous else -1
        return self._logs[at] if len(self._logs) >= -at else None

    # what is asked of it

    @property
    def cwd(self) -> str:
        return self._run.cwd if self._run is not None else "/"

    async def exec(self, options: ExecOptions, child: tuple[int, int, int]) -> Process:
        """Starts a command beside the container's own process, as its user, with its environment. OSError, LabError."""
        if self.sandbox is None or self._run is None or not self.state.running:
            raise LabError(f'container not found ("{self.name}")')
        env = {**self._run.env, "TERM": "xterm"} if options.tty else self._run.env
        spec = replace(self._run, argv=options.command, env=env, tty=options.tty, python=False)
        return await self._spawn(spec, child)

    def to_status(self) -> Object:
        """An entry of containerStatuses."""
        state = self.state
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": f"submariner-lab://{toolsets.repository(self.spec['image'])}" if state.container_id else "",
            **({"containerID": state.container_id} if state.container_id else {}),
            "state": state.state,
            "lastState": state.last,
            "ready": state.ready,
            "started": state.running,
            "restartCount": state.restarts,
        }


def _tail(path: Path, limit: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        size = os.fstat(fd).st_size
        return os.pread(fd, limit, max(0, size - limit))
    finally:
        os.close(fd)


def now() -> str:
    """The API's time format, in whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

"""Starts processes inside namespaces: the holder's side. The work is done by a small child (`spawnserver.py`), forked before the holder
has threads: forking a small process is quick and safe; forking the holder, with its event loop and API servers, would be neither.

The holder asks over a stream socket (length, JSON, file descriptors); answers come as single packets.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_submariner.errors import LabError
from pytest_submariner.lab import sandboxes


@dataclass(frozen=True)
class Sandbox:
    """The namespaces of a node or a pod, as open file descriptors of the holder."""

    net: int
    mnt: int
    uts: int

    def close(self) -> None:
        """Closes the mount and UTS namespaces; the network namespace belongs to whoever made it."""
        os.close(self.mnt)
        os.close(self.uts)


@dataclass(frozen=True)
class ProcessSpec:
    """What to run. `uid` None means the lab's own user with its capabilities. With `python` the first of `argv` is
    `package.module:function`, called with the other arguments in a fork without exec; its int result is the exit status."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str = "/"
    uid: int | None = None
    gid: int | None = None
    tty: bool = False
    python: bool = False


@dataclass
class Process:
    """A process in the lab's PID namespace; it leads a session and a process group of its own."""

    pid: int
    argv: tuple[str, ...] = ()
    returncode: int | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def wait(self) -> int:
        """0-255; 128+n when signal n ended it."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signals the whole process group; nothing happens when it is gone."""
        if self.returncode is None:
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                return

    def _end(self, status: int) -> None:
        self.returncode = status
        self._ended.set()


class Spawner:
    """The holder's side. Make it with `fork()` before starting threads; call `attach()` inside the event loop."""

    def __init__(self, pid: int, requests: socket.socket, replies: socket.socket) -> None:
        self.pid = pid
        self._requests = requests
        self._replies = replies
        self._serial = 0
        self._waiting: dict[int, asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        self._processes: dict[int, Process] = {}
        self._early: dict[int, int] = {}
        self.lost: asyncio.Event = asyncio.Event()

    @classmethod
    def fork(cls) -> Spawner:
        """Forks the spawner. The caller must have no threads yet."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        our_replies, their_replies = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            our_replies.close()
            from pytest_submariner.lab.spawnserver import SpawnServer

            SpawnServer(theirs, their_replies).run()
        theirs.close()
        their_replies.close()
        our_replies.setblocking(False)
        return cls(pid, ours, our_replies)

    def attach(self) -> None:
        """Starts reading answers in the running event loop."""
        asyncio.get_running_loop().add_reader(self._replies.fileno(), self._read)

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
        """A new mount and UTS namespace on the network namespace `net`: the host's root read-only, private /tmp, /run, /dev, and

        `files` (absolute path -> content, mode 0666), `directories` (made, mode 0777), `binds` (target -> path on the host,
        read-only), `shares` (the same, writable). Paths that exist on the host are covered by a mount, others are made, wherever they
        are but in /proc and /sys.
        LabError when a path cannot be made.
        """
        plan = sandboxes.Plan(
            hostname=hostname,
            files={path: content.decode("latin-1") for path, content in (files or {}).items()},
            directories=list(directories),
            binds=dict(binds or {}),
            shares=dict(shares or {}),
            uid=uid,
        )
        answer, fds = await self._ask({"op": "sandbox", "plan": plan.to_dict()}, [net])
        if "error" in answer:
            raise LabError(f"sandbox for {hostname}: {answer['error']}")
        return Sandbox(net, fds[0], fds[1])

    async def spawn(self, sandbox: Sandbox, spec: ProcessSpec, *, stdin: int, stdout: int, stderr: int) -> Process:
        """Starts `spec` with the three descriptors as its own. FileNotFoundError, PermissionError or OSError as exec says."""
        request = {
            "op": "spawn",
            "argv": list(spec.argv),
            "env": dict(spec.env),
            "cwd": spec.cwd,
            "uid": spec.uid,
            "gid": spec.gid,
            "tty": spec.tty,
            "python": spec.python,
        }
        answer, _ = await self._ask(request, [sandbox.net, sandbox.mnt, sandbox.uts, stdin, stdout, stderr])
        if "errno" in answer:
            raise OSError(answer["errno"], answer["error"])
        process = Process(answer["pid"], spec.argv)
        if process.pid in self._early:
            process._end(self._early.pop(process.pid))
        else:
            self._processes[process.pid] = process
        return process

    async def kill_all(self, sandbox: Sandbox) -> None:
        """Kills every process that stands in the sandbox's mount namespace, until none is left."""
        wanted = os.stat(sandbox.mnt).st_ino
        for _ in range(50):
            found = [pid for pid in sandboxes.processes_in(wanted) if pid not in (1, self.pid)]
            if not found:
                return
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            await asyncio.sleep(0.002)
        raise LabError(f"processes {found} do not end after SIGKILL")

    async def _ask(self, request: dict[str, Any], fds: list[int]) -> tuple[dict[str, Any], list[int]]:
        self._serial += 1
        serial = self._serial
        future: asyncio.Future[tuple[dict[str, Any], list[int]]] = asyncio.get_running_loop().create_future()
        self._waiting[serial] = future
        data = json.dumps({**request, "serial": serial}).encode()
        message = struct.pack("I", len(data)) + data
        sent = self._requests.sendmsg(
            [message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())]
        )
        if sent < len(message):
            self._requests.sendall(message[sent:])
        return await future

    def _read(self) -> None:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._replies, 65536, 8)
            except BlockingIOError:
                return
            if not data:
                asyncio.get_running_loop().remove_reader(self._replies.fileno())
                self.lost.set()
                for future in self._waiting.values():
                    if not future.done():
                        future.set_exception(LabError("the lab's spawner has ended"))
                return
            for fd in fds:
                os.set_inheritable(fd, False)
            answer = json.loads(data)
            if "exited" in answer:
                process = self._processes.pop(answer["exited"], None)
                if process is None:
                    self._early[answer["exited"]] = answer["status"]
                else:
                    process._end(answer["status"])
                continue
            future = self._waiting.pop(answer["serial"])
            if future.cancelled():
                for fd in fds:
                    os.close(fd)
            else:
                future.set_result((answer, list(fds)))

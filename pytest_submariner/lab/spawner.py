"""Starts processes inside namespaces, from a small child that was forked before the holder had threads.

The holder asks over a stream socket (length, JSON, file descriptors); answers come as single packets. Forking from a small process
with no threads costs a millisecond and is safe; forking the holder, with its event loop and API servers, would be neither.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pytest_submariner.errors import LabError
from pytest_submariner.lab import namespaces as ns
from pytest_submariner.lab import sandboxes

PRELOADED = (
    "http.client",
    "ssl",
    "json",
    "pytest_submariner.lab.submariner.gateway",
    "pytest_submariner.lab.submariner.routeagent",
)
"""Imported before the first fork, for processes that run a Python function without exec."""


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
            _Server(theirs, their_replies).run()
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


class _Server:
    """The spawner process: forks on request, reaps, reports."""

    def __init__(self, requests: socket.socket, replies: socket.socket) -> None:
        self._requests = requests
        self._replies = replies
        self._selector = selectors.DefaultSelector()
        self._privileged = os.geteuid() == 0

    def run(self) -> NoReturn:
        try:
            ns.set_name("lab-spawner")
            ns.set_child_subreaper()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            wake_reader, wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            for module in PRELOADED:
                importlib.import_module(module)
            gc.collect()
            gc.freeze()
            gc.disable()
            self._selector.register(self._requests, selectors.EVENT_READ, self._serve)
            self._selector.register(wake_reader, selectors.EVENT_READ, lambda: self._reap(wake_reader))
            while True:
                for key, _ in self._selector.select():
                    key.data()
        except (EOFError, ConnectionError):
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)

    def _serve(self) -> None:
        head, fds, _, _ = socket.recv_fds(self._requests, 4, 16)
        if not head:
            raise EOFError
        while len(head) < 4:
            head += self._requests.recv(4 - len(head))
        missing = struct.unpack("I", head)[0]
        parts = []
        while missing:
            part = self._requests.recv(min(missing, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            missing -= len(part)
        request = json.loads(b"".join(parts))
        try:
            if request["op"] == "sandbox":
                self._sandbox(request, fds[0])
            else:
                self._spawn(request, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _reply(self, answer: dict[str, Any], fds: Sequence[int] = ()) -> None:
        socket.send_fds(self._replies, [json.dumps(answer).encode()], list(fds))

    def _sandbox(self, request: dict[str, Any], net: int) -> None:
        """The child makes the namespaces, sends their descriptors itself and goes."""
        if os.fork():
            return
        try:
            mnt, uts = sandboxes.make(net, sandboxes.Plan.from_dict(request["plan"]))
            self._reply({"serial": request["serial"]}, [mnt, uts])
        except Exception as error:
            self._reply({"serial": request["serial"], "error": str(error)})
        finally:
            os._exit(0)

    def _spawn(self, request: dict[str, Any], fds: list[int]) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            self._become(request, fds, writer)
        os.close(writer)

        def started() -> None:
            self._selector.unregister(reader)
            problem = os.read(reader, 4096)
            os.close(reader)
            answer: dict[str, Any] = {"serial": request["serial"], "pid": pid}
            if problem:
                code, _, text = problem.decode().partition(":")
                answer |= {"errno": int(code), "error": text}
            self._reply(answer)

        self._selector.register(reader, selectors.EVENT_READ, started)

    def _become(self, request: dict[str, Any], fds: list[int], status: int) -> NoReturn:
        try:
            net, mnt, uts, stdin, stdout, stderr = fds
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            ns.setns(net, ns.NEWNET)
            ns.setns(uts, ns.NEWUTS)
            ns.setns(mnt, ns.NEWNS)
            for target, fd in enumerate((stdin, stdout, stderr)):
                os.dup2(fd, target)
            for fd in fds:  # else a process left in the background holds the streams of its exec open
                os.close(fd)
            if request["tty"]:
                import fcntl
                import termios

                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            self._take_identity(request["uid"], request["gid"])
            os.chdir(request["cwd"])
            argv, env = request["argv"], request["env"]
            if request["python"]:
                os.environ.clear()
                os.environ.update(env)
                self._call(argv, status)
            path = _find(argv[0], env.get("PATH", os.defpath))
            os.execve(path, argv, env)
        except OSError as error:
            os.write(status, f"{error.errno or 5}:{error.strerror or error}".encode()[:4000])
        except BaseException as error:
            os.write(status, f"5:{type(error).__name__}: {error}".encode()[:4000])
        os._exit(127)

    def _take_identity(self, uid: int | None, gid: int | None) -> None:
        if uid is None or (uid == 0 and not self._privileged):
            return
        group = gid if gid is not None else uid
        if self._privileged:
            os.setgroups([])
            os.setresgid(group, group, group)
            os.setresuid(uid, uid, uid)
        else:
            # The only user this process may be is the caller; a user namespace of the pod's own gives it the uid it asks for.
            outer_uid, outer_gid = os.geteuid(), os.getegid()
            ns.unshare(ns.NEWUSER)
            ns.map_user(uid, outer_uid, group, outer_gid)
        ns.set_no_new_privileges()

    def _call(self, argv: list[str], status: int) -> NoReturn:
        """A lab program without exec: its modules are loaded already, so it starts in a millisecond."""
        keep = {0, 1, 2, status}
        for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
            if fd not in keep:
                try:
                    os.close(fd)
                except OSError:
                    continue
        module, _, function = argv[0].partition(":")
        target = getattr(importlib.import_module(module), function)
        ns.set_name(argv[0].rpartition(".")[2].replace(":main", ""))
        os.close(status)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        code = 1
        try:
            code = int(target(*argv[1:]) or 0)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self, wake: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            self._reply({"exited": pid, "status": code if code >= 0 else 128 - code})


def _find(name: str, path: str) -> str:
    """Where exec would find `name`; FileNotFoundError in the words shells use."""
    if "/" in name:
        return name
    for folder in path.split(":"):
        candidate = Path(folder or ".") / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise FileNotFoundError(2, f'"{name}": executable file not found in $PATH')

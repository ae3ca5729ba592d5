"""The process that starts all others of a lab. It has one thread, so it may go into a sandbox itself, start a program from there and come
back; only what needs more than that is forked.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

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
_USUAL_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE)
"""This process handles or ignores them; programs start with what is usual."""


class Home:
    """Where this process stands: its network, UTS and mount namespace."""

    def __init__(self) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC
        kinds = (("net", ns.NEWNET), ("uts", ns.NEWUTS), ("mnt", ns.NEWNS))
        self._namespaces = [(os.open(f"/proc/self/ns/{name}", flags), kind) for name, kind in kinds]
        self._umask = os.umask(0o022)
        os.umask(self._umask)

    @contextmanager
    def left(self) -> Iterator[None]:
        """Whatever namespaces are entered or made inside; afterwards we are home again, at the root of our files."""
        try:
            yield
        finally:
            for fd, kind in self._namespaces:
                ns.setns(fd, kind)
            os.umask(self._umask)


class SpawnServer:
    """The spawner process: starts on request, reaps, reports."""

    def __init__(self, requests: socket.socket, replies: socket.socket) -> None:
        self._requests = requests
        self._replies = replies
        self._selector = selectors.DefaultSelector()
        self._privileged = os.geteuid() == 0
        self._home = Home()

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
        for fd in fds:
            os.set_inheritable(fd, False)  # else a process left in the background holds the streams of its exec open
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
        made: tuple[int, ...] = ()
        answer: dict[str, Any] = {"serial": request["serial"]}
        try:
            with self._home.left():
                made = sandboxes.make(net, sandboxes.Plan.from_dict(request["plan"]))
        except Exception as error:
            answer["error"] = str(error)
        self._reply(answer, made)
        for fd in made:
            os.close(fd)

    def _spawn(self, request: dict[str, Any], fds: list[int]) -> None:
        is_own_user = request["uid"] is None or (request["uid"] == 0 and not self._privileged)
        if is_own_user and not request["tty"] and not request["python"]:
            self._execute(request, fds)
        else:
            self._fork(request, fds)

    def _execute(self, request: dict[str, Any], fds: list[int]) -> None:
        """Without a fork of this process, whose pages would have to be copied: it goes into the sandbox itself, starts the program from
        there and comes back."""
        net, mnt, uts, *streams = fds
        argv, env = request["argv"], request["env"]
        answer: dict[str, Any] = {"serial": request["serial"]}
        try:
            with self._home.left():
                ns.setns(net, ns.NEWNET)
                ns.setns(uts, ns.NEWUTS)
                ns.setns(mnt, ns.NEWNS)
                os.chdir(request["cwd"])
                answer["pid"] = os.posix_spawn(
                    find(argv[0], env.get("PATH", os.defpath)),
                    argv,
                    env,
                    file_actions=[(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(streams)],
                    setsid=True,
                    setsigmask=(),
                    setsigdef=_USUAL_SIGNALS,
                )
        except OSError as error:
            answer |= {"errno": error.errno or errno.EIO, "error": error.strerror or str(error)}
        self._reply(answer)

    def _fork(self, request: dict[str, Any], fds: list[int]) -> None:
        """For what a program must become before it starts: another user, the master of a terminal, a function of this project."""
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
            for number in _USUAL_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            ns.setns(net, ns.NEWNET)
            ns.setns(uts, ns.NEWUTS)
            ns.setns(mnt, ns.NEWNS)
            for target, fd in enumerate((stdin, stdout, stderr)):
                os.dup2(fd, target)
            for fd in fds:
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
            path = find(argv[0], env.get("PATH", os.defpath))
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


def find(name: str, path: str) -> str:
    """Where exec would find `name`; FileNotFoundError in the words shells use."""
    if "/" in name:
        return name
    for folder in path.split(":"):
        candidate = Path(folder or ".") / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise FileNotFoundError(2, f'"{name}": executable file not found in $PATH')

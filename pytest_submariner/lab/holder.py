"""The one supervised process of a lab: PID 1 of its own PID namespace. When it ends, for whatever reason, the kernel removes all of it.

`launch()` is the host's side: it binds the loopback listeners, forks, and waits until the lab is up or has said why not.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pytest_submariner.errors import LabError, LabUnavailable
from pytest_submariner.lab import namespaces as ns
from pytest_submariner.lab import requirements, world
from pytest_submariner.lab.accounts import INSIDE, account_files
from pytest_submariner.lab.control import ControlServer
from pytest_submariner.lab.credentials import Credentials
from pytest_submariner.lab.listeners import Listeners
from pytest_submariner.lab.network import Network
from pytest_submariner.lab.spawner import Spawner
from pytest_submariner.lab.spec import LabSpec
from pytest_submariner.lab.state import LabState

if TYPE_CHECKING:
    from pytest_submariner.lab.lab import Lab

_BOOT_DEADLINE: Final = 120.0
_LOG_LINES: Final = 15


def launch(spec: LabSpec, *, owner: int | None = None, api_port: int | None = None) -> dict[str, Any]:
    """Boots a lab and returns its description. It lives until `LabState.end`, or until process `owner` ends.

    LabUnavailable when this machine cannot run it, LabError when the name or a port is taken or a part does not start.
    """
    requirements.check()
    state = LabState.of(spec.name)
    lock = state.lock()
    listeners = None
    try:
        owner_fd = _open_owner(owner)
        listeners = Listeners.bind(spec, api_port)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        keys, their_keys = socket.socketpair()
        started = time.time()
        child = os.fork()
        if child == 0:
            os.close(reader)
            keys.close()
            _Holder(spec, state, listeners, writer, owner_fd, their_keys).enter()
        os.close(writer)
        their_keys.close()
        kubeconfig = _hand_over(keys, spec, listeners)
        description = _await_boot(reader, state, child)
        state.write("kubeconfig", kubeconfig)
        description |= {"started": started, "pid": int((state.folder / "pid").read_text())}
        state.write("lab.json", json.dumps(description))
        return description
    except BaseException:
        os.close(lock)
        lock = -1
        state.end()
        raise
    finally:
        if lock >= 0:
            os.close(lock)
        if listeners is not None:
            listeners.close()


def _hand_over(keys: socket.socket, spec: LabSpec, listeners: Listeners) -> str:
    """Makes the lab's keys and sends them to it, which is importing its other half meanwhile; the kubeconfig, as YAML."""
    import yaml

    credentials = Credentials.generate(spec)
    with keys, suppress(ConnectionError):  # a lab that is gone has told why, on its own pipe
        keys.sendall(credentials.to_json())
    return yaml.safe_dump(credentials.kubeconfig(spec, listeners.ports()), sort_keys=False)


def _open_owner(owner: int | None) -> int | None:
    if owner is None:
        return None
    try:
        return os.pidfd_open(owner)
    except OSError as error:
        raise LabError(f"--owner-pid {owner}: there is no such process ({error.strerror})") from error


def _await_boot(reader: int, state: LabState, child: int) -> dict[str, Any]:
    """Reads messages of the booting lab: its pid, then its description or an error."""
    deadline = time.monotonic() + _BOOT_DEADLINE
    with os.fdopen(reader, "rb") as stream:
        text = b""
        while True:
            if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise LabError(f"the lab was not ready after {_BOOT_DEADLINE:.0f} s; the last it said:\n{_tail(state)}")
            part = os.read(stream.fileno(), 65536)
            text += part
            while b"\n" in text:
                line, _, text = text.partition(b"\n")
                message = json.loads(line)
                if "pid" in message:
                    state.write("pid", str(message["pid"]))
                    os.waitpid(child, 0)
                elif "unavailable" in message:
                    raise LabUnavailable(message["unavailable"])
                elif "error" in message:
                    raise LabError(message["error"])
                else:
                    ready: dict[str, Any] = message["ready"]
                    return ready
            if not part:
                raise LabError(f"the lab ended while booting; the last it said:\n{_tail(state)}")


def _tail(state: LabState) -> str:
    try:
        return "\n".join(state.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]) or "(nothing)"
    except OSError:
        return "(nothing)"


class _Holder:
    """The child's side: leaves the host, becomes PID 1, runs the lab."""

    def __init__(
        self, spec: LabSpec, state: LabState, listeners: Listeners, writer: int, owner: int | None, keys: socket.socket
    ) -> None:
        self._spec = spec
        self._state = state
        self._listeners = listeners
        self._writer = writer
        self._owner = owner
        self._keys = keys

    def _tell(self, **message: Any) -> None:
        os.write(self._writer, json.dumps(message).encode() + b"\n")

    def enter(self) -> NoReturn:
        """Forks PID 1 inside new namespaces; the process in between only reports its pid."""
        try:
            os.setsid()
            log = os.open(self._state.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            os.dup2(nothing, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            world.enter_namespaces()
            pid = os.fork()
            if pid == 0:
                self._run()
            self._tell(pid=pid)
            os._exit(0)
        except LabUnavailable as error:
            self._tell(unavailable=str(error))
        except BaseException as error:
            traceback.print_exc()
            self._tell(error=f"the lab's process could not start: {error}")
        os._exit(1)

    def _run(self) -> NoReturn:
        """PID 1. Whatever happens here, its end is the lab's end."""
        code = 1
        try:
            ns.set_name("submariner-lab")
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
            logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
            world.furnish()
            requirements.check_kernel()
            _raise_file_limit()
            spawner = Spawner.fork()
            asyncio.run(self._live(spawner))
            code = 0
        except LabUnavailable as error:
            self._tell(unavailable=str(error))
        except LabError as error:
            self._tell(error=str(error))
        except BaseException as error:
            traceback.print_exc()
            self._tell(error=f"the lab could not boot: {type(error).__name__}: {error} (log: {self._state.log})")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    async def _live(self, spawner: Spawner) -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        spawner.attach()
        start = time.monotonic()
        gc.disable()  # there is next to no garbage before the lab is up, and looking for it is a tenth of the work
        network = Network(self._spec, spawner)
        network.passwd = account_files()
        network.binds = {INSIDE: str(self._state.folder)}
        building = asyncio.ensure_future(network.build())
        make_lab = await _import_lab()
        credentials = Credentials.from_json(await asyncio.to_thread(_read_all, self._keys))
        lab = make_lab(self._spec, self._state, self._listeners, spawner, network, building, credentials)
        if self._owner is not None:
            loop.add_reader(self._owner, ended.set)
        booting = asyncio.ensure_future(lab.boot())
        lost = asyncio.ensure_future(spawner.lost.wait())
        over = asyncio.ensure_future(ended.wait())
        await asyncio.wait({booting, lost, over}, return_when=asyncio.FIRST_COMPLETED)
        if not booting.done():
            raise LabError("the process that owns the lab has ended" if over.done() else "the lab's spawner has ended")
        await booting
        control = ControlServer(self._state.control, lab.handle)
        control.start()
        lab.timings["boot_s"] = round(time.monotonic() - start, 3)
        self._tell(ready=lab.describe())
        gc.freeze()
        gc.enable()
        os.close(self._writer)
        await asyncio.wait({lost, over}, return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            self._state.remove()


def _read_all(stream: socket.socket) -> bytes:
    """LabError when the process that launches the lab has ended before it sent them."""
    with stream, stream.makefile("rb") as file:
        text = file.read()
    if not text:
        raise LabError("the process that launches the lab has ended")
    return text


async def _import_lab() -> type[Lab]:
    """Imports the rest of the lab in a thread, while the kernel and the spawner are busy with its network."""

    def imported() -> type[Lab]:
        with _no_authorities():
            from pytest_submariner.lab.lab import Lab

            return Lab

    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.002)  # else a system call of the other thread may wait 5 ms for the interpreter
    try:
        return await asyncio.to_thread(imported)
    finally:
        sys.setswitchinterval(usual)


@contextmanager
def _no_authorities() -> Iterator[None]:
    """aiohttp loads the machine's certificate authorities when it is imported, a sixth of a second; a lab trusts only its own."""
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before


def _raise_file_limit() -> None:
    """As far as the machine lets us: sockets and namespaces are descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

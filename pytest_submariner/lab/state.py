"""A lab's folder on the host: what people and programs use to reach it, and the lock that tells a live lab from a dead one."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pytest_submariner.errors import LabError

_SECONDS_TO_END: Final = 10.0


def labs_folder() -> Path:
    """`$XDG_STATE_HOME/submariner-lab`, else below the home folder, else (no writable home) below the temporary folder."""
    named = os.environ.get("XDG_STATE_HOME")
    home = Path(named) if named else Path.home() / ".local" / "state"
    folder = home / "submariner-lab"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"submariner-lab-{os.geteuid()}"
        folder.mkdir(exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.geteuid():
            raise LabError(f"{folder} belongs to somebody else; set XDG_STATE_HOME to a folder of yours") from None
    return folder


@dataclass(frozen=True)
class LabState:
    """The files of one lab. It is alive while somebody (its holder) has the lock."""

    name: str
    folder: Path

    @classmethod
    def of(cls, name: str) -> LabState:
        return cls(name, labs_folder() / name)

    @classmethod
    def all(cls) -> list[LabState]:
        """Every lab that has a folder, dead ones too, by name."""
        return [cls(p.name, p) for p in sorted(labs_folder().iterdir()) if p.is_dir()]

    @classmethod
    def running(cls) -> list[LabState]:
        return [state for state in cls.all() if state.is_alive()]

    @classmethod
    def find(cls, name: str | None) -> LabState:
        """The named lab, or the only running one. LabError says what runs instead."""
        running = cls.running()
        names = ", ".join(s.name for s in running) or "none"
        if name is not None:
            for state in running:
                if state.name == name:
                    return state
            raise LabError(f"lab {name!r} is not running; running: {names}")
        if len(running) == 1:
            return running[0]
        if not running:
            raise LabError("no lab is running; start one with `submariner-lab up`")
        raise LabError(f"several labs are running ({names}); say which with --name")

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def description(self) -> Path:
        """What `up --json` prints, with `pid` and `started`."""
        return self.folder / "lab.json"

    @property
    def log(self) -> Path:
        return self.folder / "holder.log"

    @property
    def control(self) -> Path:
        return self.folder / "control"

    def lock(self) -> int:
        """Takes the name; the returned descriptor is the claim. LabError when a live lab has it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise LabError(
                f"a lab named {self.name!r} is already running: choose another with --name, "
                f"or end it with `submariner-lab down --name {self.name}`"
            ) from None
        for path in self.folder.iterdir():  # what a killed lab of this name left
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return fd

    def is_alive(self) -> bool:
        try:
            fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def is_ready(self) -> bool:
        """False while the lab boots."""
        return self.description.exists()

    def describe(self) -> dict[str, Any]:
        """lab.json; LabError while the lab is still booting."""
        try:
            found: dict[str, Any] = json.loads(self.description.read_text())
        except (OSError, ValueError):
            raise LabError(f"lab {self.name!r} is not ready yet") from None
        return found

    def write(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        """Atomically, with `mode`."""
        path = self.folder / name
        part = path.with_name(path.name + ".part")
        data = content.encode() if isinstance(content, str) else content
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as stream:
            stream.write(data)
        part.replace(path)
        return path

    def remove(self) -> None:
        """Deletes the folder of a lab that has ended."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self) -> None:
        """Kills the holder, waits until it is gone (the kernel then removes all else), deletes the folder."""
        pid_file = self.folder / "pid"
        deadline = time.monotonic() + _SECONDS_TO_END
        while self.is_alive():
            try:
                pid = int(pid_file.read_text())
                fd = os.pidfd_open(pid)
            except (OSError, ValueError):
                if time.monotonic() > deadline:
                    raise LabError(f"lab {self.name!r} holds its lock but names no process; see {self.log}") from None
                time.sleep(0.02)
                continue
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                if not select.select([fd], [], [], _SECONDS_TO_END)[0]:
                    raise LabError(f"process {pid} of lab {self.name!r} does not end after SIGKILL")
            finally:
                os.close(fd)
        self.remove()

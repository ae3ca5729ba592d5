"""The file system a node or pod sees: the host's, read-only, with /tmp, /run, /dev, /proc and /sys of its own."""

from __future__ import annotations

import errno
import os
import socket
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from pytest_submariner.lab import namespaces as ns

NEW_ROOT: Final = "/run/submariner-lab-root"
"""Made by the holder on its private /run; every sandbox mounts its own tmpfs there before it becomes the root."""
TOOLSETS: Final = "/run/toolset"
PYTHON: Final = f"{TOOLSETS}/python/bin"
"""Holds `python3` and `python`, runnable by any uid."""
_PYTHON_PREFIX: Final = f"{TOOLSETS}/prefix"
"""The interpreter's prefix, bound here because it may live below a folder that other users cannot enter."""
_PYTHON_WRAPPER: Final = f"""#!/bin/sh
LD_LIBRARY_PATH={_PYTHON_PREFIX}/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} exec {_PYTHON_PREFIX}/bin/python3 "$@"
"""
_OLD_ROOT: Final = "/old-root"
_OWN = frozenset({"proc", "sys", "dev", "run", "tmp", "lost+found"})
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")


@dataclass(frozen=True)
class Plan:
    """What a sandbox gets beside the host's root. File contents are latin-1 text, so that bytes survive JSON."""

    hostname: str
    files: dict[str, str] = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)
    binds: dict[str, str] = field(default_factory=dict)
    shares: dict[str, str] = field(default_factory=dict)
    uid: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        return cls(**data)


def make(net: int, plan: Plan) -> tuple[int, int]:
    """Called in a child of its own: enters `net`, makes the namespaces, returns (mount, UTS) descriptors."""
    ns.setns(net, ns.NEWNET)
    ns.unshare(ns.NEWNS | ns.NEWUTS)
    socket.sethostname(plan.hostname)
    root = Path(NEW_ROOT)
    os.umask(0o022)
    ns.mount("tmpfs", root, "tmpfs", ns.MS_NOSUID, "mode=755")
    for entry in os.scandir("/"):
        _mirror(entry, root)
    for name, mode in (("proc", 0o555), ("sys", 0o555), ("dev", 0o755), ("run", 0o755), ("tmp", 0o1777)):
        (root / name).mkdir()
        (root / name).chmod(mode)
    ns.mount("proc", root / "proc", "proc", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    ns.mount("sysfs", root / "sys", "sysfs", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    _devices(root / "dev")
    ns.enter_root(root, _OLD_ROOT)
    for name in ("lock", "sshd", "toolset"):
        Path("/run", name).mkdir()
    _python()
    # In the order of their paths: a mount below another goes into it.
    for target, source in sorted({**plan.binds, **plan.shares}.items()):
        _bind(target, source, read_only=target not in plan.shares)
    ns.unmount(_OLD_ROOT, ns.MNT_DETACH)
    Path(_OLD_ROOT).rmdir()
    for directory in plan.directories:
        _directory(directory)
    for path, content in plan.files.items():
        _file(Path(path), content.encode("latin-1"))
    flags = os.O_RDONLY | os.O_CLOEXEC
    return os.open("/proc/self/ns/mnt", flags), os.open("/proc/self/ns/uts", flags)


def _mirror(entry: os.DirEntry[str], root: Path) -> None:
    target = root / entry.name
    if entry.name in _OWN:
        return
    if entry.is_symlink():
        target.symlink_to(os.readlink(entry.path))
    elif entry.is_dir():
        target.mkdir()
        ns.mount(entry.path, target, flags=ns.MS_BIND | ns.MS_REC)
        ns.set_read_only(target)


def _devices(dev: Path) -> None:
    for name in _DEVICES:
        source = Path("/dev") / name
        if not source.exists():
            continue
        target = dev / name
        target.parent.mkdir(exist_ok=True)
        target.touch()
        ns.mount(str(source), target, flags=ns.MS_BIND)
    (dev / "pts").mkdir()
    ns.mount("devpts", dev / "pts", "devpts", ns.MS_NOSUID | ns.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    (dev / "shm").mkdir()
    (dev / "shm").chmod(0o1777)
    for name, link in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ):
        (dev / name).symlink_to(link)


def _python() -> None:
    """The prefix's libpython is found by path: its recorded place may be out of reach."""
    _bind(_PYTHON_PREFIX, sys.base_prefix)
    Path(PYTHON).mkdir(parents=True)
    for name in ("python3", "python"):
        wrapper = Path(PYTHON, name)
        wrapper.write_text(_PYTHON_WRAPPER)
        wrapper.chmod(0o755)


def _bind(target: str, source: str, *, read_only: bool = True) -> None:
    """`source` is a path of the host; it is seen at `target`."""
    origin = f"{_OLD_ROOT}{source}"
    if Path(origin).is_dir():
        if not Path(target).is_dir():
            _directory(target)
    elif not Path(target).exists():
        _make_room(Path(target))
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).touch()
    ns.mount(origin, target, flags=ns.MS_BIND | ns.MS_REC)
    if read_only:
        ns.set_read_only(target)


def _directory(target: str) -> None:
    """Where the host has the directory already, it is covered by an empty one."""
    place = Path(target)
    if place.is_dir():
        ns.mount("tmpfs", place, "tmpfs", ns.MS_NOSUID, "mode=777")
        return
    _make_room(place)
    place.mkdir(parents=True)
    place.chmod(0o777)


def _file(path: Path, content: bytes) -> None:
    """Where the host has the file already, it is covered by a bind mount."""
    path = Path(os.path.realpath(path))  # /etc/resolv.conf is often a link into the host's /run, which is not here
    if path.exists() and not os.access(path, os.W_OK):
        covers = Path("/run/lab-files")
        covers.mkdir(exist_ok=True)
        cover = covers / str(path).strip("/").replace("/", "_")
        cover.write_bytes(content)
        cover.chmod(0o644)
        ns.mount(str(cover), path, flags=ns.MS_BIND)
        return
    _make_room(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o666)


def _make_room(place: Path) -> None:
    """Lets `place` be created: the folder of the host it falls into, read-only here, gives way to a copy that has the same entries."""
    folder = place.parent
    while not folder.is_dir():
        folder = folder.parent
    if os.access(folder, os.W_OK):
        return
    if folder.parts[1:2] and folder.parts[1] in ("proc", "sys"):
        raise OSError(errno.EPERM, f"{place} cannot be made: {folder} is the kernel's")
    names = os.listdir(folder)
    below = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        ns.mount("tmpfs", folder, "tmpfs", ns.MS_NOSUID, "mode=755")
        for name in names:
            origin, copy = f"/proc/self/fd/{below}/{name}", folder / name
            if os.path.islink(origin):
                copy.symlink_to(os.readlink(origin))
                continue
            if os.path.isdir(origin):
                copy.mkdir()
            else:
                copy.touch()
            ns.mount(origin, copy, flags=ns.MS_BIND | ns.MS_REC)
    finally:
        os.close(below)


def processes_in(mount_namespace: int) -> list[int]:
    """Pids whose mount namespace has this inode number."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.stat(f"/proc/{name}/ns/mnt").st_ino == mount_namespace:
                found.append(int(name))
        except OSError:
            continue
    return found

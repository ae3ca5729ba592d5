"""System calls on namespaces and mounts that the standard library lacks before Python 3.12 (man 2 unshare, setns, mount, prctl)."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NEWNS: Final = 0x00020000
NEWUTS: Final = 0x04000000
NEWIPC: Final = 0x08000000
NEWUSER: Final = 0x10000000
NEWPID: Final = 0x20000000
NEWNET: Final = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 4096, 8192, 16384, 1 << 18
MNT_DETACH: Final = 2
_MOUNT_ATTR_RDONLY, _AT_RECURSIVE, _AT_FDCWD = 1, 0x8000, -100
_SYS_MOUNT_SETATTR, _SYS_PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41}.get(os.uname().machine, 41)
_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 15, 36, 38, 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAP_VERSION_3: Final = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """OSError EPERM, EINVAL or ENOSPC when the kernel or its policy forbids it."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str | Path, fstype: str = "", flags: int = 0, data: str = "") -> None:
    args = (
        source.encode(),
        str(target).encode(),
        fstype.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(_libc.mount(*args), f"mount {source} on {target}")


def unmount(target: str | Path, flags: int = 0) -> None:
    _check(_libc.umount2(str(target).encode(), flags), f"umount {target}")


def set_read_only(path: str | Path) -> None:
    """The mount at `path` and all below it, at once (mount_setattr, Linux 5.12)."""
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    _check(
        _libc.syscall(
            _SYS_MOUNT_SETATTR,
            _AT_FDCWD,
            str(path).encode(),
            _AT_RECURSIVE,
            ctypes.byref(attributes),
            ctypes.sizeof(attributes),
        ),
        f"mount_setattr {path}",
    )


def enter_root(path: str | Path, old: str) -> None:
    """Makes `path` the root of this mount namespace; the previous root is then at `old` (a name below `path`) until unmounted."""
    place = Path(path) / old.lstrip("/")
    place.mkdir()
    _check(_libc.syscall(_SYS_PIVOT_ROOT, str(path).encode(), str(place).encode()), f"pivot_root {path}")
    os.chdir("/")


def set_name(name: str) -> None:
    """What `ps` shows as the command's short name."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def set_child_subreaper() -> None:
    """Orphans of this process' children become its children, not PID 1's."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def set_no_new_privileges() -> None:
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def keep_capabilities() -> None:
    """Raises every permitted capability as ambient, so that programs executed without being root keep them."""
    header = (ctypes.c_uint32 * 2)(_CAP_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(ctypes.byref(header), ctypes.byref(data)), "capget")
    data[2], data[5] = data[1], data[4]  # inheritable := permitted
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(data)), "capset")
    permitted = data[1] | data[4] << 32
    for capability in range(64):
        if permitted >> capability & 1:
            _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def map_user(inside_uid: int, outside_uid: int, inside_gid: int, outside_gid: int) -> None:
    """Maps one uid and one gid in the user namespace this process has just made (man 7 user_namespaces)."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside_uid} {outside_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{inside_gid} {outside_gid} 1")


def new_network() -> tuple[int, int]:
    """A new network namespace: (its fd, the previous one's fd); the caller now stands in the new one."""
    previous = current_network()
    try:
        unshare(NEWNET)
        return current_network(), previous
    except OSError:
        os.close(previous)
        raise


def current_network() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def inside_network(fd: int) -> Iterator[None]:
    """The calling thread stands in namespace `fd` for a while. No await between: other coroutines share the thread."""
    previous = current_network()
    try:
        setns(fd, NEWNET)
        yield
    finally:
        setns(previous, NEWNET)
        os.close(previous)


def probe(action: Callable[[], None]) -> OSError | None:
    """Tries `action` in a child process and tells how it failed, or None: the only honest test of what a kernel and its policy allow."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 0
        try:
            action()
        except OSError as error:
            code = error.errno or errno.EPERM
            os.write(writer, str(error).encode())
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return None if code == 0 else OSError(code, text)

"""The holder's own namespaces: entered once, as PID 1, with or without root."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_submariner.errors import LabUnavailable
from pytest_submariner.lab import namespaces as ns
from pytest_submariner.lab.sandboxes import NEW_ROOT

_ALL = ns.NEWNET | ns.NEWNS | ns.NEWPID | ns.NEWUTS | ns.NEWIPC


def enter_namespaces() -> None:
    """Leaves the host's namespaces; children of the caller are then PID 1 and on. LabUnavailable says what is forbidden and by what."""
    if os.geteuid() == 0:
        try:
            ns.unshare(_ALL)
        except OSError as error:
            raise LabUnavailable(
                f"root may not make namespaces here ({error}): the container needs CAP_SYS_ADMIN, or run the lab as an ordinary user"
            ) from error
        return
    uid, gid = os.geteuid(), os.getegid()
    try:
        ns.unshare(ns.NEWUSER)
        ns.map_user(uid, uid, gid, gid)
    except OSError as error:
        raise LabUnavailable(f"unprivileged user namespaces are switched off here ({error}): {_remedy()}") from error
    try:
        ns.unshare(_ALL)
        ns.keep_capabilities()
    except OSError as error:
        raise LabUnavailable(
            f"user namespaces are allowed but stripped of their capabilities ({error}): {_remedy()}"
        ) from error


def _remedy() -> str:
    """What switches them on, by what this kernel offers."""
    advice = []
    for name, value in (
        ("kernel.unprivileged_userns_clone", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "0"),
        ("user.max_user_namespaces", "15000"),
    ):
        path = Path("/proc/sys") / name.replace(".", "/")
        if path.exists() and path.read_text().strip() in ("0", "1") and path.read_text().strip() != value:
            advice.append(f"sudo sysctl -w {name}={value}")
    return f"run `{advice[0]}`, or run the lab as root" if advice else "run the lab as root"


def furnish() -> None:
    """PID 1's first act: private mounts, a /proc of this PID namespace, a /run where sandboxes are prepared."""
    try:
        ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
        ns.mount("proc", "/proc", "proc", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
        ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=755")
        Path(NEW_ROOT).mkdir()
    except OSError as error:
        raise LabUnavailable(
            f"the lab may not mount its own /proc and /run ({error}): inside a container, run it with an unmasked /proc, or on the host"
        ) from error

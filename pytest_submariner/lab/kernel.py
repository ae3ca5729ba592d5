"""Small facts about addresses and kernel settings that nodes and pods share."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pytest_submariner.errors import LabError


def mac_of(ip: str) -> str:
    """A locally administered MAC that spells the address: 02:00 and its four bytes."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in socket.inet_aton(ip))


def ping_group_range() -> str:
    """Every group may open ping sockets; without root only mapped groups can be named."""
    return "0 2147483647" if os.geteuid() == 0 else f"{os.getegid()} {os.getegid()}"


def write_sysctls(values: dict[str, str], *, optional: bool = False) -> None:
    """Writes in the calling thread's network namespace. A name's last parts may hold dots only where a device does not."""
    for name, value in values.items():
        path = Path("/proc/sys") / name.replace(".", "/")
        try:
            path.write_text(value)
        except OSError as error:
            if not optional:
                raise LabError(f"sysctl {name}={value} was refused: {error.strerror}") from error

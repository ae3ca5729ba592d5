"""Images are names of toolsets of this machine: no registry, no container runtime. What a name stands for is said here.

Every pod sees the machine's own files; a toolset says which programs people expect under an image's name, puts more folders
first in PATH (or in its place), and knows what the image starts on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Final

from pytest_submariner.errors import LabError
from pytest_submariner.lab.sandboxes import PYTHON, TOOLSETS

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NON_ROOT_UID: Final = 10000
"""Who a container is when its pod demands a user that is not root and names none."""
PYTHON_CALL: Final = "@python"
"""First word of a command that calls a function of this project in a fork without exec: `["@python", "package.module:function", …]`."""


class UnknownImage(LabError):
    """No toolset has this image's name."""


@dataclass(frozen=True)
class Toolset:
    """What stands behind one image name."""

    name: str
    about: str
    path: tuple[str, ...] = ()
    """Folders inside the container that come first in PATH."""
    command: tuple[str, ...] = ("sh",)
    """What runs when the pod names neither command nor arguments."""
    env: Mapping[str, str] = field(default_factory=dict)
    binds: Mapping[str, str] = field(default_factory=dict)
    """Paths inside the container and what they show, read-only."""
    sees_all: bool = True
    """Whether PATH goes on with the machine's folders."""
    own: bool = False
    """One of the lab's own images, whose pods may call functions of this project."""

    def environment(self) -> dict[str, str]:
        """What the image itself would set."""
        return {"PATH": ":".join((*self.path, *((PATH,) if self.sees_all else ()))), **self.env}


_PROGRAMS: Final = Path(__file__).with_name("programs")
_NETTEST: Final = f"{TOOLSETS}/nettest"
_NETTEST_BINDS: Final = {_NETTEST: str(_PROGRAMS)}
_MINIMAL: Final = f"{TOOLSETS}/minimal"
_MINIMAL_PROGRAMS: Final = (
    *(
        "sh",
        "cat",
        "cut",
        "date",
        "dig",
        "env",
        "grep",
        "head",
        "hostname",
        "id",
        "ls",
        "mkdir",
        "mkfifo",
        "od",
        "ping",
        "printf",
    ),
    *("rm", "sed", "seq", "sha256sum", "sleep", "tail", "tee", "tr", "true", "uname", "wc", "curl"),
)
"""What the genuine nettest image has of these names; above all no python3."""


def _found(folder: str, programs: Iterable[str]) -> dict[str, str]:
    """The programs that this machine has, bound into a folder."""
    places = ((name, which(name, path=PATH)) for name in programs)
    return {f"{folder}/{name}": place for name, place in places if place}


TOOLSETS_BY_NAME: Final = {
    toolset.name: toolset
    for toolset in (
        Toolset("python", "python3 of this project's interpreter, standard library only", (PYTHON,), ("python3",)),
        Toolset(
            "nettest",
            "sh, coreutils, python3, a busybox-like nc and the machine's network tools",
            (_NETTEST, PYTHON),
            binds=_NETTEST_BINDS,
        ),
        Toolset(
            "nettest-minimal",
            "nettest as it is published: sh, the nc, ping and curl, no python3",
            (_MINIMAL, f"{_MINIMAL}-nc"),
            binds={
                **_NETTEST_BINDS,
                **_found(_MINIMAL, _MINIMAL_PROGRAMS),
                f"{_MINIMAL}-nc/nc": str(_PROGRAMS / "nc"),
            },
            sees_all=False,
        ),
        Toolset("netshoot", "sh, python3 and the machine's ip, ping, tcpdump, iptables, ss", (PYTHON,)),
        Toolset("busybox", "sh and coreutils of the machine"),
        Toolset("submariner-lab", "the lab's own pods", (PYTHON,), own=True),
        Toolset("submariner-gateway", "the modelled gateway", (PYTHON,), own=True),
        Toolset("submariner-route-agent", "the modelled route agent", (PYTHON,), own=True),
    )
}


def register(toolset: Toolset) -> None:
    """Makes one more image name known to this lab."""
    TOOLSETS_BY_NAME[toolset.name] = toolset


def repository(image: str) -> str:
    """The last word of an image's name: `quay.io/submariner/nettest:0.19` and `nettest@sha256:…` are both `nettest`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def find(image: str) -> Toolset:
    """UnknownImage lists the names there are. Registry, organisation, tag and digest say nothing here."""
    toolset = TOOLSETS_BY_NAME.get(repository(image))
    if toolset is None:
        known = ", ".join(TOOLSETS_BY_NAME)
        raise UnknownImage(f'failed to pull image "{image}": the lab pulls no images, it has toolsets named {known}')
    return toolset

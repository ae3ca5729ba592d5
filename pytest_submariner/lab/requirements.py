"""What the lab needs from the machine, looked for before anything is started."""

from __future__ import annotations

import os
import platform
import shutil
from functools import partial

from pytest_submariner.errors import LabUnavailable
from pytest_submariner.lab import namespaces as ns
from pytest_submariner.lab import netlink
from pytest_submariner.lab.network import PATH

PROGRAMS = {
    "ip": "iproute2",
    "bridge": "iproute2",
    "iptables-restore": "iptables",
    "ebtables": "iptables",
    "ipset": "ipset",
    "sshd": "openssh-server",
    "ping": "iputils-ping",
    "tcpdump": "tcpdump",
    "nft": "nftables",
}
"""Program -> Debian package. `dev` installs the same list."""


def check() -> None:
    """LabUnavailable in one line: the platform, the missing packages, or what the kernel or its policy forbids."""
    if platform.system() != "Linux":
        raise LabUnavailable(
            f"the lab is made of Linux network namespaces; this is {platform.system()}: use clusters of your own with --submariner-context"
        )
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program, path=PATH) is None})
    if missing:
        raise LabUnavailable(
            f"programs are missing: run `{_sudo()}apt-get install --no-install-recommends {' '.join(missing)}`"
        )


def _sudo() -> str:
    return "" if os.geteuid() == 0 else "sudo "


def check_kernel() -> None:
    """Tries each kernel part the lab is made of, inside the lab's own namespaces; LabUnavailable names the one that is missing."""
    for name, modules, batch in (
        ("bridges", "bridge", netlink.Batch().link_bridge("probe0", 900)),
        ("VXLAN devices", "vxlan", netlink.Batch().link_vxlan("probe1", 901, vni=1, port=4800, mtu=1450)),
    ):
        problem = ns.probe(partial(_try, batch))
        if problem is not None:
            raise LabUnavailable(
                f"the kernel makes no {name} ({problem}): load the module {modules}, or use another kernel"
            )


def _try(batch: netlink.Batch) -> None:
    """In a child of its own, in a network namespace of its own."""
    ns.unshare(ns.NEWNET)
    with netlink.open_socket() as sock:
        netlink.send(sock, batch)

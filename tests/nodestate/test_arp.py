"""Every host that answers for an address, not the first one only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import netns_node
import pytest

from pytest_submariner.nodestate.arp import arp_answers
from pytest_submariner.nodestate.section import Unreadable
from pytest_submariner.transport.node import NodeExec

MACS = ("02:00:00:00:00:02", "02:00:00:00:00:03")


def inside(pid: int, script: str) -> None:
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-ec", script], check=True)


@pytest.fixture
def asker() -> Iterator[NodeExec]:
    """A node on a bridge with two hosts that both have 172.18.9.2."""
    with netns_node.namespace() as node, netns_node.namespace() as one, netns_node.namespace() as other:
        inside(node, "ip link add br0 type bridge; ip addr add 172.18.9.1/24 dev br0; ip link set br0 up")
        for number, (pid, mac) in enumerate(zip((one, other), MACS, strict=True)):
            inside(
                node,
                f"ip link add port{number} master br0 type veth peer name eth0 netns /proc/{pid}/ns/net address {mac};"
                f" ip link set port{number} up",
            )
            inside(pid, "ip addr add 172.18.9.2/24 dev eth0; ip link set eth0 up")
        yield netns_node.node(node)


def test_both_hosts_that_have_the_address_are_heard(asker: NodeExec) -> None:
    assert arp_answers(asker, "br0", ["172.18.9.2", "172.18.9.7"]) == {"172.18.9.2": MACS, "172.18.9.7": ()}


def test_nobody_learns_anything_from_the_question(asker: NodeExec) -> None:
    arp_answers(asker, "br0", ["172.18.9.2"])
    assert asker.json(["ip", "-j", "neigh", "show"]) == []


def test_a_device_that_is_not_there(asker: NodeExec) -> None:
    with pytest.raises(Unreadable, match="No such device"):
        arp_answers(asker, "eth7", ["172.18.9.2"])


def test_arping_where_there_is_no_python(tmp_path: Path) -> None:
    """Its words are those of iputils 20221126."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "sed", "env", "cat", "printf", "head", "timeout"):
        (tools / name).symlink_to(Path("/usr/bin") / name)
    (tools / "arping").write_text(
        "#!/bin/sh\n"
        "echo 'ARPING 172.18.9.2 from 172.18.9.1 br0'\n"
        "echo 'Unicast reply from 172.18.9.2 [02:00:00:00:00:03]  0.6ms'\n"
        "echo 'Unicast reply from 172.18.9.2 [02:00:00:00:00:0A]  0.7ms'\n"
        "exit 1\n"
    )
    (tools / "arping").chmod(0o755)
    with netns_node.namespace() as pid:
        found = arp_answers(netns_node.node(pid, {"PATH": str(tools)}), "br0", ["172.18.9.2"])
    assert found == {"172.18.9.2": ("02:00:00:00:00:03", "02:00:00:00:00:0a")}

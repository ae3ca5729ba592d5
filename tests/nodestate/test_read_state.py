"""The whole state in one command: on a scripted node, and in a real network namespace."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import fake_transport as fake
import netns_node
import pytest
from fake_transport import FakeTransport

from pytest_submariner.errors import ProbeInconclusive
from pytest_submariner.model.nodestate import Address, FdbEntry, Link, Route, Rule, Socket
from pytest_submariner.model.result import CommandResult
from pytest_submariner.model.topology import Node, Role
from pytest_submariner.nodestate import conntrack, read_state
from pytest_submariner.nodestate.packetfilter import find_rules
from pytest_submariner.nodestate.routes import Decision, route_get
from pytest_submariner.transport.node import CommandFailed, NodeExec

NODE = Node("c1-w1", "c1", Role.NON_GATEWAY, "172.18.1.2")

SETUP = """
ip link add cni0 type bridge; ip addr add 10.8.1.1/24 dev cni0; ip link set cni0 up
ip link add eth0 type veth peer name peer0; ip link set peer0 up
ip addr add 172.18.0.3/16 dev eth0; ip link set eth0 up
ip link add vx-submariner mtu 1450 type vxlan id 100 remote 172.18.0.2 dstport 4800 nolearning
ip addr add 240.18.0.3/8 dev vx-submariner; ip link set vx-submariner up
ip route add 10.9.0.0/16 via 240.18.0.2 dev vx-submariner proto static
ip route add 10.9.0.0/16 dev eth0 proto static scope link src 10.8.1.1 table 150
ip rule add pref 150 to 10.9.7.0/24 lookup 150
ip neigh add 240.18.0.2 lladdr 02:00:00:00:00:02 dev vx-submariner nud permanent
echo 2 > /proc/sys/net/ipv4/conf/cni0/rp_filter
iptables -t nat -A POSTROUTING -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.1.1
"""


@pytest.fixture(scope="module")
def pid() -> Iterator[int]:
    with netns_node.namespace() as pid:
        subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-ec", SETUP], check=True)
        yield pid


@pytest.fixture(scope="module")
def real(pid: int) -> NodeExec:
    return netns_node.node(pid)


def test_a_real_node_in_one_command(real: NodeExec) -> None:
    state = read_state(real)
    assert state.unread.keys() <= {"wireguard"}  # its program is not among the lab's
    assert Link("vx-submariner", "vxlan", 1450, True, 100, 4800, "172.18.0.2", False) in (state.links or ())
    assert Address("vx-submariner", "240.18.0.3", 8) in (state.addresses or ())
    assert state.fdb == (FdbEntry("vx-submariner", "00:00:00:00:00:00", "172.18.0.2"),)
    assert Route("10.9.0.0/16", "vx-submariner", gateway="240.18.0.2", protocol="static") in (state.routes or ())
    assert Route("10.9.0.0/16", "eth0", "150", None, "10.8.1.1", 0, "static", "link") in (state.routes or ())
    assert Rule(150, "150", destination="10.9.7.0/24") in (state.rules or ())
    assert ("240.18.0.2", "PERMANENT") in [(n.ip, n.state) for n in state.neighbours or ()]
    assert (state.sysctls or {})["net.ipv4.conf.cni0.rp_filter"] == "2"
    assert [f.backend for f in state.packet_filters or ()] == ["nft"]
    assert state.ipsets == ()


def test_the_rest_of_a_real_node_in_the_same_command(real: NodeExec) -> None:
    """The socket of a VXLAN device has no process, in /proc and to ss alike."""
    subprocess.run([*_inside(real), "nft", "add", "table", "ip", "foreign"], check=True)
    state = read_state(real)
    assert Socket("udp", "0.0.0.0", 4800, kernel=True) in (state.sockets or ())
    assert ("ip", "foreign") in [(table.family, table.name) for table in state.native_tables or ()]
    assert ("ip", "nat") not in [(table.family, table.name) for table in state.native_tables or ()]
    assert (state.counters or {})["TcpExtIPReversePathFilter"] == 0
    assert (state.conntrack_stats or {}).keys() >= {"count", "max", "drop", "insert_failed"}
    assert ("vx-submariner", "noqueue") in [(q.device, q.kind) for q in state.qdiscs or ()]
    assert abs((state.clock_s or 0) - time.time()) < 60
    link = next(link for link in state.links or () if link.name == "vx-submariner")
    assert link.index > 0
    assert link.stats is not None
    assert len(link.mac) == 17
    assert (state.sysctls or {}).keys() >= {
        f"net.ipv4.conf.vx-submariner.{key}" for key in ("arp_filter", "disable_xfrm")
    }


def _inside(node: NodeExec) -> list[str]:
    assert isinstance(node.transport, netns_node.NamespaceTransport)
    return ["nsenter", f"--net=/proc/{node.transport.pid}/ns/net"]


def test_only_some_parts(real: NodeExec) -> None:
    state = read_state(real, ["rules"])
    assert state.links is None
    assert state.unread["links"] == "not asked for"
    assert state.rules is not None


def test_a_part_that_does_not_exist(real: NodeExec) -> None:
    with pytest.raises(ValueError, match="called rulez; there are links, "):
        read_state(real, ["rulez"])


def test_what_the_kernel_decides(real: NodeExec) -> None:
    assert route_get(real, "10.9.1.5") == Decision("10.9.1.5", "vx-submariner", "240.18.0.3", "240.18.0.2")
    assert route_get(real, "10.9.7.5") == Decision("10.9.7.5", "eth0", "10.8.1.1", None, "150")
    with pytest.raises(CommandFailed, match="unreachable"):
        route_get(real, "8.8.8.8")


def test_the_rewrite_of_issue_3134_from_conntrack_and_counter(real: NodeExec) -> None:
    """Before the rewrite: the route's choice, and conntrack's original direction. After it: conntrack's reply
    direction."""
    before = find_rules(read_state(real, ["packet_filters"]).packet_filters, "nat", "POSTROUTING", "-j SNAT")
    real.run(["ping", "-c", "1", "-W", "1", "240.18.0.2"])
    after = find_rules(read_state(real, ["packet_filters"]).packet_filters, "nat", "POSTROUTING", "-j SNAT")
    assert (after[0].packets or 0) == (before[0].packets or 0) + 1
    assert route_get(real, "240.18.0.2").source == "240.18.0.3"
    (ping,) = conntrack.connections(real, protocol="icmp", destination="240.18.0.2")
    assert (ping.original.source, ping.rewritten_source, ping.has_reply) == ("240.18.0.3", "10.8.1.1", False)


def test_missing_tools_are_named_and_the_rest_is_read(pid: int, tmp_path: Path) -> None:
    """A node with nothing but ip and the shell's own tools."""
    for tool in ("sh", "ip", "tr", "grep", "cat", "head", "dd", "true", "timeout"):
        found = next(p / tool for p in map(Path, ("/usr/sbin", "/usr/bin", "/sbin", "/bin")) if (p / tool).exists())
        (tmp_path / tool).symlink_to(found)
    state = read_state(netns_node.node(pid, {**os.environ, "PATH": str(tmp_path)}))
    assert set(state.unread) == {"fdb", "ipsets", "packet_filters", "qdiscs", "native_tables", "wireguard", "clock_s"}
    assert "bridge" in state.unread["fdb"]
    assert "not found" in state.unread["ipsets"]
    assert "iptables-nft-save" in state.unread["packet_filters"]
    assert state.links


def test_a_reading_that_breaks_off_is_not_a_state() -> None:
    def half(transport: FakeTransport, argv: tuple[str, ...]) -> CommandResult:
        mark = argv[3].encode()
        return fake.answer(b"\n" + mark + b" begin links\n[]\n" + mark + b" end 0 \n\n" + mark + b" begin rules\n[")(
            transport, argv
        )

    with pytest.raises(ProbeInconclusive, match="reading rules did not end"):
        read_state(NodeExec(NODE, FakeTransport([half])), ["links", "rules"])


def test_a_lost_answer_is_asked_again() -> None:
    def whole(transport: FakeTransport, argv: tuple[str, ...]) -> CommandResult:
        mark = argv[3].encode()
        return fake.answer(b"\n" + mark + b" begin rules\n[]\n\n" + mark + b" end 0 \n")(transport, argv)

    transport = FakeTransport([fake.lost, whole])
    assert read_state(NodeExec(NODE, transport), ["rules"]).rules == ()
    assert len(transport.asked) == 2

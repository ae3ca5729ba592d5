"""Captures in a real network namespace, by tcpdump and by python3: complete, bounded, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import netns_node
import pytest

from pytest_submariner.errors import ProbeInconclusive
from pytest_submariner.nodestate.capture import Capture, CaptureFailed
from pytest_submariner.nodestate.selection import Selection
from pytest_submariner.transport.node import NodeExec

SETUP = """
ip link add eth0 type veth peer name peer0; ip link set peer0 netns {peer}
ip addr add 172.18.0.3/16 dev eth0; ip link set eth0 up
ip link add vx-submariner mtu 1450 type vxlan id 100 remote 172.18.0.2 dstport 4800 nolearning
ip addr add 240.18.0.3/8 dev vx-submariner; ip link set vx-submariner up
ip link add cni0 type bridge; ip addr add 10.8.1.1/24 dev cni0; ip link set cni0 up
iptables -t nat -A POSTROUTING -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.1.1
"""
PEER = """
ip addr add 172.18.0.2/16 dev peer0; ip link set peer0 up
ip link add vx-submariner mtu 1450 type vxlan id 100 dstport 4800 nolearning
bridge fdb append 00:00:00:00:00:00 dev vx-submariner dst 172.18.0.3
ip addr add 240.18.0.2/8 dev vx-submariner; ip link set vx-submariner up
ip route add 10.8.1.0/24 via 172.18.0.3
echo 2 > /proc/sys/net/ipv4/conf/vx-submariner/rp_filter
"""
TOOLS = (
    "sh",
    "cat",
    "grep",
    "id",
    "mkdir",
    "rm",
    "rmdir",
    "sleep",
    "ip",
    "ping",
    "head",
    "dd",
    "true",
    "timeout",
    "setsid",
    "ls",
    "tr",
    "mv",
    "readlink",
    "bash",
)


def namespaced(pid: int, script: str) -> None:
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-ec", script], check=True)


@pytest.fixture(scope="module")
def pids() -> Iterator[tuple[int, int]]:
    """A worker and its gateway, with vx-submariner between them and the rewriting rule on the worker."""
    with netns_node.namespace() as worker, netns_node.namespace() as gateway:
        namespaced(worker, SETUP.format(peer=gateway))
        namespaced(gateway, PEER)
        yield worker, gateway


@pytest.fixture(scope="module")
def without_tcpdump(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose PATH has python3 but not tcpdump."""
    folder = tmp_path_factory.mktemp("path")
    for tool in TOOLS:
        found = next(
            (p / tool for p in map(Path, ("/usr/sbin", "/usr/bin", "/sbin", "/bin")) if (p / tool).exists()), None
        )
        assert found is not None, tool
        (folder / tool).symlink_to(found)
    (folder / "python3").symlink_to(sys.executable)
    return {**os.environ, "PATH": str(folder)}


@pytest.fixture(params=["tcpdump", "python3"])
def worker(pids: tuple[int, int], without_tcpdump: dict[str, str], request: pytest.FixtureRequest) -> NodeExec:
    return netns_node.node(pids[0], without_tcpdump if request.param == "python3" else None)


@pytest.fixture
def gateway(pids: tuple[int, int]) -> NodeExec:
    return netns_node.node(pids[1])


def test_the_source_is_rewritten_before_the_packet_leaves(worker: NodeExec, gateway: NodeExec) -> None:
    """The story of submariner issue 3134, seen from both ends: the reply takes another way than the request."""
    with (
        Capture(worker, "vx-submariner", protocol="icmp") as left,
        Capture(gateway, "any", protocol="icmp") as at_gateway,
    ):
        assert worker.run(["ping", "-c", "1", "-W", "2", "240.18.0.2"]).exit_status == 0
    (request,) = [p for p in left if p.is_echo_request]
    assert (request.direction, request.source, request.destination) == ("out", "10.8.1.1", "240.18.0.2")
    assert [(p.device, p.direction, p.source) for p in at_gateway if p.is_echo_request] == [
        ("vx-submariner", "in", "10.8.1.1")
    ]
    assert [(p.device, p.direction, p.destination) for p in at_gateway if p.is_echo_reply] == [
        ("peer0", "out", "10.8.1.1")
    ]
    assert {p.icmp_id for p in at_gateway} == {request.icmp_id}


def test_what_is_inside_vxlan(worker: NodeExec) -> None:
    with Capture(worker, "eth0", protocol="udp", port=4800) as capture:
        worker.run(["ping", "-c", "1", "-W", "2", "240.18.0.2"])
    (outer,) = [p for p in capture if p.inner is not None and p.inner.protocol == "icmp"]
    assert outer.inner is not None
    assert (outer.source, outer.destination, outer.vni) == ("172.18.0.3", "172.18.0.2", 100)
    assert (outer.inner.source, outer.inner.is_echo_request) == ("10.8.1.1", True)
    assert str(outer) == (
        f"eth0 out: udp 172.18.0.3:{outer.source_port} > 172.18.0.2:4800 "
        "[VNI 100: eth0 out: icmp 10.8.1.1 > 240.18.0.2 echo request seq 1]"
    )


def test_no_packet_after_the_start_is_missed(worker: NodeExec) -> None:
    for _ in range(3):
        with Capture(worker, "eth0", protocol="icmp", address="172.18.0.2") as capture:
            worker.run(["ping", "-c", "1", "-W", "2", "172.18.0.2"])
        assert [p.direction for p in capture] == ["out", "in"]


def test_it_ends_by_itself_after_so_many_packets(worker: NodeExec) -> None:
    with Capture(worker, "eth0", protocol="icmp", packets=3) as capture:
        worker.run(["ping", "-c", "4", "-i", "0.2", "-W", "2", "172.18.0.2"])
    assert len(capture) == 3


def test_it_ends_by_itself_after_so_many_seconds(worker: NodeExec) -> None:
    with Capture(worker, "eth0", protocol="icmp", seconds=1) as capture:
        time.sleep(1.5)
        worker.run(["ping", "-c", "1", "-W", "2", "172.18.0.2"])
    assert len(capture) == 0


SELECTION = Selection(("10.8.1.77",), ("172.18.0.2",), (29100,), (4800,), (240,))


def ask_everything(worker: NodeExec, gateway: NodeExec) -> None:
    """What the selection takes, and what it leaves: other hosts' traffic, other ports, ARP of the underlay."""
    gateway.run(["ip", "neigh", "flush", "dev", "vx-submariner"])
    worker.run(["ip", "neigh", "flush", "all"])
    worker.run(["ping", "-c", "1", "-W", "2", "240.18.0.2"])
    worker.run(["ping", "-c", "1", "-W", "2", "172.18.0.2"])
    worker.run(["ping", "-c", "1", "-W", "1", "-I", "vx-submariner", "10.8.1.77"])
    for port in (29100, 29200):
        worker.run(["bash", "-c", f"echo x > /dev/udp/172.18.0.2/{port}"])


def test_a_selection_takes_paths_inside_tunnels_too_and_nothing_else(worker: NodeExec, gateway: NodeExec) -> None:
    with Capture(worker, selection=SELECTION, snap=192) as capture:
        ask_everything(worker, gateway)
    assert capture.complete
    inner = [p.inner or p for p in capture]
    assert {p.protocol for p in inner} == {"arp", "icmp", "udp"}
    assert {p.destination for p in inner if p.protocol == "arp"} >= {"240.18.0.2"}
    assert not [p for p in inner if p.protocol == "arp" and p.destination == "172.18.0.2"]
    assert {p.destination_port for p in inner if p.protocol == "udp"} == {29100}
    echoes = {(p.device, p.direction) for p in capture if p.is_echo_request and p.destination == "172.18.0.2"}
    assert echoes == {("eth0", "out")}
    refused = [p for p in inner if p.is_icmp_error and p.device == "eth0"]  # on lo, what is said of 10.8.1.77, later
    assert [str(p) for p in refused] == [
        "eth0 in: icmp 172.18.0.2 > 172.18.0.3 port unreachable, about udp 172.18.0.3 > 172.18.0.2 port 29100"
    ]
    tunnelled = [p for p in capture if p.inner is not None and p.inner.protocol == "arp"]
    assert {p.destination_port for p in tunnelled} == {4800}


def test_a_capture_that_reached_its_limit_is_not_complete(worker: NodeExec) -> None:
    with Capture(worker, "eth0", protocol="icmp", packets=1) as capture:
        worker.run(["ping", "-c", "2", "-i", "0.2", "-W", "2", "172.18.0.2"])
    assert (len(capture), capture.complete) == (1, False)


def test_the_tool_is_named(worker: NodeExec, request: pytest.FixtureRequest) -> None:
    with Capture(worker, "eth0", protocol="icmp") as capture:
        pass
    assert capture.tool == request.node.callspec.params["worker"]
    assert capture.complete


def left_behind(node: NodeExec, capture: Capture) -> str:
    """Files and processes of this capture; others may be under way on this machine."""
    files = node.run(["sh", "-c", f"ls -d {capture.folder} 2>/dev/null"]).text
    named = capture.folder.rpartition("/")[2].replace("submariner", "[s]ubmariner", 1)
    script = f'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; echo; done 2>/dev/null | grep "{named}"'
    return files + node.run(["sh", "-c", script]).text


def wait_until_nothing_is_left(node: NodeExec, capture: Capture) -> None:
    """A moment is allowed: the watching shell looks once a second."""
    deadline = time.monotonic() + 4
    while left := left_behind(node, capture):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_nothing_is_left(worker: NodeExec) -> None:
    capture = Capture(worker, "eth0")

    def fail_while_capturing() -> None:
        with capture:
            assert left_behind(worker, capture)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail_while_capturing()
    wait_until_nothing_is_left(worker, capture)


def test_a_forgotten_capture_removes_its_files(worker: NodeExec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_submariner.nodestate.capture.LINGER_S", 0)
    forgotten = Capture(worker, "eth0", protocol="icmp", seconds=1)
    forgotten.start()
    wait_until_nothing_is_left(worker, forgotten)
    with pytest.raises(ProbeInconclusive, match="gone"):
        forgotten.stop()


def test_a_device_that_does_not_exist(worker: NodeExec) -> None:
    capture = Capture(worker, "vx-nothing")
    with pytest.raises(CaptureFailed, match=r"no capture on vx-nothing: (?s:.*)No such device"):
        capture.start()
    wait_until_nothing_is_left(worker, capture)


def test_a_node_without_any_tool_says_so(
    pids: tuple[int, int], without_tcpdump: dict[str, str], tmp_path: Path
) -> None:
    for tool in Path(without_tcpdump["PATH"]).iterdir():
        if tool.name != "python3":
            (tmp_path / tool.name).symlink_to(tool.resolve())
    node = netns_node.node(pids[0], {**os.environ, "PATH": str(tmp_path)})
    with pytest.raises(CaptureFailed, match="neither tcpdump nor python3 is installed"):
        Capture(node, "eth0").start()


def test_an_unknown_protocol_names_the_known() -> None:
    with pytest.raises(ValueError, match="'sctp': allowed are icmp"):
        Capture(netns_node.node(1), "eth0", protocol="sctp")


def test_a_selection_cannot_be_mixed() -> None:
    with pytest.raises(ValueError, match="already says"):
        Capture(netns_node.node(1), protocol="icmp", selection=SELECTION)

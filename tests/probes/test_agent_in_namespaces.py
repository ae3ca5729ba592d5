"""The agents between two network namespaces: what packet filters, MTU holes and missing privileges look like. Needs root."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_submariner.model.path import Protocol
from pytest_submariner.probes import watcher
from pytest_submariner.probes.conversation import Probe, Request, read, read_lines
from pytest_submariner.probes.measurement import Measurement, Outcome
from pytest_submariner.probes.pods import source_of
from pytest_submariner.probes.vx_evidence import read_documents

NEEDED = ("ip", "iptables", "setpriv")
MISSING = [program for program in NEEDED if shutil.which(program) is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]

HERE, THERE, OTHER = "10.255.0.1", "10.255.0.2", "10.255.0.9"
PORT = 29123
ENVIRONMENT = {
    **os.environ,
    "SUBMARINER_PROBE_NAME": "there",
    "SUBMARINER_PROBE_AGENT": source_of("agent"),
    "SUBMARINER_PROBE_WATCHER": source_of("watcher"),
}


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=20)


@dataclass(frozen=True)
class Pair:
    """Two namespaces with a wire between them; a listener runs at the far end."""

    near: str
    far: str

    def filter_far(self, *rule: str) -> None:
        run("ip", "netns", "exec", self.far, "iptables", *rule)

    def filter_near(self, *rule: str) -> None:
        run("ip", "netns", "exec", self.near, "iptables", *rule)

    def speak(self, line: bytes, mode: str = "AGENT", prefix: tuple[str, ...] = ()) -> list[bytes]:
        script = f'exec {sys.executable} -u -c "$SUBMARINER_PROBE_{mode}" {"connect" if mode == "AGENT" else ""}'
        command = ["ip", "netns", "exec", self.near, *prefix, "sh", "-c", script]
        done = subprocess.run(command, input=line + b"\n", env=ENVIRONMENT, capture_output=True, timeout=30, check=True)
        return done.stdout.splitlines()

    def ask(self, protocol: str, *prefix: str, attempts: int = 1, tag: str = "") -> Measurement:
        probe = Probe("x", Protocol(protocol), THERE, PORT, tag)
        request = Request([probe], timeout_s=1.0, attempts=attempts, settle_s=0.0)
        return read(request, self.speak(request.line, prefix=prefix)).measurements["x"]


@pytest.fixture(scope="module")
def wired() -> Iterator[Pair]:
    pair = Pair(f"psm-{os.getpid()}-near", f"psm-{os.getpid()}-far")
    try:
        for name in (pair.near, pair.far):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", pair.near, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", pair.far)
        for name, address in ((pair.near, HERE), (pair.far, THERE)):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "wire")
            run("ip", "-n", name, "link", "set", "wire", "up")
        script = f'exec {sys.executable} -u -c "$SUBMARINER_PROBE_AGENT" listen {PORT}'
        command = ["ip", "netns", "exec", pair.far, "sh", "-c", script]
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE) as listener:
            assert listener.stdout is not None
            assert listener.stdout.readline().startswith(b"listening")
            yield pair
            listener.terminate()
    finally:
        for name in (pair.near, pair.far):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=20, check=False)


@pytest.fixture
def pair(wired: Pair) -> Iterator[Pair]:
    yield wired
    for name in (wired.near, wired.far):
        for table in ("filter", "nat"):
            run("ip", "netns", "exec", name, "iptables", "-t", table, "-F")


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
def test_an_open_wire_answers(pair: Pair, protocol: str) -> None:
    found = pair.ask(protocol)
    assert found.outcome is Outcome.ANSWERED, found.error
    assert found.local == HERE
    assert found.seen == (None if protocol == "icmp" else HERE)


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        (("-A", "INPUT", "-j", "DROP"), Outcome.TIMEOUT),
        (("-A", "OUTPUT", "-j", "DROP"), Outcome.TIMEOUT),  # one way: requests arrive, answers do not
        (("-A", "INPUT", "-j", "REJECT", "--reject-with", "icmp-admin-prohibited"), Outcome.UNREACHABLE),
        (("-A", "INPUT", "-j", "REJECT", "--reject-with", "icmp-port-unreachable"), Outcome.REFUSED),
    ],
    ids=["drop", "one-way", "prohibited", "port-unreachable"],
)
def test_a_filter_that_refuses_is_told_from_one_that_is_silent(
    pair: Pair, rule: tuple[str, ...], outcome: Outcome, protocol: str
) -> None:
    pair.filter_far(*rule)
    assert pair.ask(protocol).outcome is outcome


def test_a_slow_wire_is_not_a_silent_one(pair: Pair) -> None:
    """A token bucket of 16 kbit/s: what TCP sends takes nearly a second, and attempts queue behind each other."""
    on_wire = ("dev", "wire", "root")
    found = []
    for protocol in (
        "tcp",
        "udp",
        "icmp",
    ):  # each with an empty queue: the attempts that were not needed are still in it
        run(
            "tc", "-n", pair.near, "qdisc", "add", *on_wire, "tbf", "rate", "16kbit", "burst", "1540", "limit", "100000"
        )
        try:
            found.append(pair.ask(protocol, attempts=3))
        finally:
            run("tc", "-n", pair.near, "qdisc", "del", *on_wire)
    assert [one.outcome for one in found] == [Outcome.ANSWERED] * 3
    assert found[0].duration_s > 0.6


def test_every_attempt_is_told(pair: Pair) -> None:
    pair.filter_far("-A", "INPUT", "-j", "DROP")
    assert pair.ask("udp", attempts=2).history == (Outcome.TIMEOUT, Outcome.TIMEOUT)


def test_a_hole_for_large_packets_stalls_tcp_and_spares_udp(pair: Pair) -> None:
    pair.filter_far("-A", "INPUT", "-m", "length", "--length", "600:65535", "-j", "DROP")
    found = pair.ask("tcp")
    assert found.outcome is Outcome.STALLED
    assert found.rtt_ms is not None
    assert pair.ask("udp").outcome is Outcome.ANSWERED


def test_a_mebibyte_goes_each_way(pair: Pair) -> None:
    found = pair.ask("tcp", tag="bulk")
    assert (found.outcome, found.sent, found.received) == (Outcome.ANSWERED, 1 << 20, 1 << 20)


def test_a_bulk_transfer_that_hangs_halfway_is_stalled_and_says_what_arrived(pair: Pair) -> None:
    pair.filter_far("-A", "INPUT", "-p", "tcp", "-m", "connbytes", "--connbytes", "200000:",
                    "--connbytes-dir", "original", "--connbytes-mode", "bytes", "-j", "DROP")  # fmt: skip
    found = pair.ask("tcp", tag="bulk")
    assert found.outcome is Outcome.STALLED, found.error
    unacknowledged = int(re.search(r"(\d+) of 1048576 bytes were not acknowledged", found.error)[1])  # type: ignore[index]
    assert 0 < unacknowledged < 1 << 20
    assert pair.ask("tcp").outcome is Outcome.ANSWERED


def test_the_largest_packet_is_what_the_wire_takes(pair: Pair) -> None:
    found = pair.ask("icmp", tag="pmtu")
    assert (found.outcome, found.reached, found.stopped) == (Outcome.ANSWERED, 1500, "")


@pytest.mark.parametrize("largest", [84, 900, 1372, 1499])
def test_a_silent_hole_is_found_to_the_byte(pair: Pair, largest: int) -> None:
    pair.filter_far("-A", "INPUT", "-p", "icmp", "-m", "length", "--length", f"{largest + 1}:65535", "-j", "DROP")
    found = pair.ask("icmp", tag="pmtu")
    assert (found.outcome, found.reached, found.stopped) == (Outcome.ANSWERED, largest, "silence")


def test_a_lower_mtu_of_the_own_device_is_told_by_the_kernel(pair: Pair) -> None:
    run("ip", "-n", pair.near, "route", "replace", f"{THERE}/32", "dev", "wire", "mtu", "lock", "1300")
    try:
        assert pair.ask("icmp", tag="pmtu").reached == 1500  # a route's MTU is an opinion, and so asked again
    finally:
        run("ip", "-n", pair.near, "route", "delete", f"{THERE}/32")
    run("ip", "-n", pair.near, "link", "add", "wide", "mtu", "9000", "type", "veth")
    try:
        found = pair.ask("icmp", tag="pmtu")
        assert (found.reached, found.stopped) == (1500, "fragmentation needed, next MTU 1500")
    finally:
        run("ip", "-n", pair.near, "link", "delete", "wide")


def test_an_unreachable_end_has_no_largest_packet(pair: Pair) -> None:
    pair.filter_far("-A", "INPUT", "-j", "DROP")
    found = pair.ask("icmp", tag="pmtu")
    assert (found.outcome, found.reached) == (Outcome.TIMEOUT, None)


def test_the_listener_tells_a_rewritten_source(pair: Pair) -> None:
    run("ip", "-n", pair.near, "address", "replace", f"{OTHER}/24", "dev", "wire")
    pair.filter_near("-t", "nat", "-A", "POSTROUTING", "-o", "wire", "-j", "SNAT", "--to-source", OTHER)
    for protocol in ("tcp", "udp"):
        found = pair.ask(protocol)
        assert (found.outcome, found.local, found.seen) == (Outcome.ANSWERED, HERE, OTHER)


@pytest.mark.parametrize(
    ("groups", "outcome"), [("10000 10000", Outcome.ANSWERED), ("1 0", Outcome.UNABLE)], ids=["allowed", "denied"]
)
def test_echo_requests_of_a_restricted_pod(pair: Pair, groups: str, outcome: Outcome) -> None:
    """As Pod Security `restricted` leaves it, without a capability: the sysctl alone decides. (uid 10000 may not see this Python.)"""
    run("ip", "netns", "exec", pair.near, "sysctl", "-qw", f"net.ipv4.ping_group_range={groups}")
    found = pair.ask("icmp", "setpriv", "--regid=10000", "--clear-groups", "--bounding-set=-all")
    assert found.outcome is outcome, found.error


def watch(pair: Pair, address: str) -> list[dict[str, Any]]:
    echo = {"address": address, "count": 2, "interval_s": 0.05, "wait_s": 0.5}
    request = {
        "version": watcher.VERSION,
        "nonce": "n",
        "token": "00" * 8,
        "seconds": 3.0,
        "quiet_s": 0.3,
        "echo": echo,
    }
    return read_lines(pair.speak(json.dumps(request).encode(), "WATCHER"), "n")


def test_one_captured_packet_shows_the_source_before_and_after_its_rewrite(pair: Pair) -> None:
    run("ip", "-n", pair.near, "address", "replace", f"{OTHER}/24", "dev", "wire")
    pair.filter_near("-t", "nat", "-A", "POSTROUTING", "-o", "wire", "-j", "SNAT", "--to-source", OTHER)
    echoes, frames = read_documents(watch(pair, THERE))
    assert [(echo.local, echo.answered, echo.delivered) for echo in echoes] == [(HERE, True, HERE)] * 2
    requests = [f for f in frames if f.kind == "request"]
    assert {(f.device, f.direction, f.told, f.source, f.destination) for f in requests} == {
        ("wire", "out", HERE, OTHER, THERE)
    }
    assert {(f.direction, f.source, f.destination) for f in frames if f.kind == "reply"} == {("in", THERE, OTHER)}
    assert {f.index for f in requests} == {0, 1}


def test_each_echo_is_a_connection_of_its_own_to_nat(pair: Pair) -> None:
    pair.filter_near("-t", "nat", "-A", "POSTROUTING", "-o", "wire", "-j", "SNAT", "--to-source", HERE)
    watch(pair, THERE)
    listed = subprocess.run(
        ["ip", "netns", "exec", pair.near, "iptables", "-t", "nat", "-L", "POSTROUTING", "-nvx"],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert listed.stdout.splitlines()[2].split()[0] == "2"


def test_an_echo_that_is_lost_is_not_answered(pair: Pair) -> None:
    pair.filter_far("-A", "INPUT", "-j", "DROP")
    echoes, frames = read_documents(watch(pair, THERE))
    assert [(echo.answered, echo.rtt_ms) for echo in echoes] == [(False, None)] * 2
    assert {f.kind for f in frames} == {"request"}

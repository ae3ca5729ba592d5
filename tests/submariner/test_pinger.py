"""When a remote gateway counts as connected, and when as lost."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pytest_submariner.lab.submariner import pinger as pinging
from pytest_submariner.lab.submariner.icmp import IcmpSocket, checksum
from pytest_submariner.lab.submariner.pinger import Pinger

REMOTE = "10.9.1.1"


class Wire:
    """An ICMP socket that answers when told to, with a clock of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.answering = False
        self.sent: list[tuple[float, str]] = []
        self.queue: list[tuple[str, int]] = []
        self.socket = None

    def send(self, ip: str, sequence: int) -> None:
        self.sent.append((self.now, ip))
        if self.answering:
            self.queue.append((ip, sequence))

    def receive(self) -> tuple[str, int] | None:
        return self.queue.pop(0) if self.queue else None

    def select(
        self, readable: object, writable: object, errors: object, timeout: float
    ) -> tuple[list[int], list[int], list[int]]:
        if not self.queue:
            self.now += max(timeout, 1e-6)
        return ([1] if self.queue else []), [], []

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        self.now += 0.0005
        return int(self.now * 1e9)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire = Wire()
    monkeypatch.setattr(pinging, "IcmpSocket", lambda: wire)
    monkeypatch.setattr(pinging, "select", wire)
    monkeypatch.setattr(pinging, "time", wire)
    return wire  # type: ignore[return-value]


def test_the_first_reply_is_reported_at_once(wire: Wire) -> None:
    pinger = Pinger(interval=60, max_loss=5)
    pinger.watch([REMOTE])
    wire.answering = True
    assert pinger.run(wire.now + 60)
    assert wire.now < 1001
    health = pinger.targets[REMOTE]
    assert (health.status, health.latency.last) == ("connected", 500_000)
    assert not pinger.run(wire.now + 1)


def test_until_the_first_reply_nothing_counts_as_lost(wire: Wire) -> None:
    pinger = Pinger(interval=1, max_loss=5)
    pinger.watch([REMOTE])
    pinger.run(wire.now + 5)
    times = [at for at, _ in wire.sent]
    assert len(times) > 5
    assert times[1] - times[0] < 0.05
    assert pinger.targets[REMOTE].status == ""
    assert pinger.targets[REMOTE].unanswered == 0


def test_the_seventh_echo_without_a_reply_is_an_error_and_a_reply_ends_it(wire: Wire) -> None:
    pinger = Pinger(interval=1, max_loss=5)
    pinger.watch([REMOTE])
    wire.answering = True
    pinger.run(wire.now + 3.5)
    wire.answering = False
    wire.queue.clear()
    already = len(wire.sent)
    while pinger.targets[REMOTE].status == "connected":
        pinger.run(wire.now + 0.1)
    assert len(wire.sent) - already == 7
    wire.answering = True
    pinger.run(wire.now + 2)
    assert pinger.targets[REMOTE].status == "connected"
    assert pinger.targets[REMOTE].unanswered <= 1


def test_targets_come_and_go_and_keep_their_history(wire: Wire) -> None:
    pinger = Pinger(interval=1, max_loss=5)
    wire.answering = True
    pinger.watch([REMOTE])
    pinger.run(wire.now + 1)
    health = pinger.targets[REMOTE]
    pinger.watch([REMOTE, "10.10.1.1"])
    assert pinger.targets[REMOTE] is health
    pinger.watch(["10.10.1.1"])
    wire.queue.append((REMOTE, 1))  # a reply nobody waits for any more
    pinger.run(wire.now + 0.5)
    assert set(pinger.targets) == {"10.10.1.1"}


def test_unanswered_echoes_are_not_remembered_for_ever(wire: Wire) -> None:
    pinger = Pinger(interval=1, max_loss=5)
    pinger.watch([REMOTE])
    pinger.run(wire.now + 500)
    assert len(pinger.targets[REMOTE].in_flight) < 200


def test_real_echoes_come_back() -> None:
    try:
        pinger = Pinger(interval=1, max_loss=5)
    except PermissionError as error:
        pytest.skip(f"this user may open neither a raw ICMP nor a ping socket: {error}")
    pinger.watch(["127.0.0.1"])
    assert pinger.run(time.monotonic() + 5)
    assert 0 < pinger.targets["127.0.0.1"].latency.last < 1_000_000_000


def test_an_address_without_a_route_counts_as_lost() -> None:
    try:
        icmp = IcmpSocket()
    except PermissionError as error:
        pytest.skip(f"this user may open neither a raw ICMP nor a ping socket: {error}")
    icmp.send("255.255.255.255", 1)  # not without SO_BROADCAST: EACCES
    assert icmp.receive() is None


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2
    assert checksum(b"\x01") == 0xFEFF

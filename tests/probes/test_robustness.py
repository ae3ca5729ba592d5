"""What goes wrong around a measurement is an error or inconclusive: never a wrong ok, never a wrong blocked."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from probe_cluster import ProbeCluster

from pytest_submariner.errors import ExitStatusLost, NodeUnreachable
from pytest_submariner.kube.errors import ApiError
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.probes import asking
from pytest_submariner.probes.prober import Prober

TCP, UDP, ICMP = (f"pod.ngw.c1--pod.gw.c2--{protocol}" for protocol in ("tcp", "udp", "icmp"))
HERE = "pod.ngw.c1--pod.gw.c1--tcp"
NO_VERDICT = {Verdict.ERROR, Verdict.INCONCLUSIVE}
TIMEOUT = {"outcome": "timeout", "error": "no answer"}


class Bench:
    def __init__(self) -> None:
        self.c1, self.c2 = ProbeCluster(1), ProbeCluster(2)
        self.c1.world = self.c2.world = [self.c1, self.c2]
        settings = SimpleNamespace(image="python", timeout=1.0, keep=False, rate=None, pods_per_node=3)
        kube: Any = {"c1": self.c1, "c2": self.c2}.__getitem__
        nodes = (("gw", Role.GATEWAY), ("w1", Role.NON_GATEWAY))
        clusters = tuple(
            Cluster(c, c, None, c, tuple(Node(f"{c}-{n}", c, role, "172.18.0.9") for n, role in nodes))
            for c in ("c1", "c2")
        )
        self.prober = Prober(Topology(clusters, "test"), kube, settings, run_id="ab12")

    def measure(self, *paths: str) -> dict[str, PathResult]:
        return self.prober.measure([PathCase.parse(path) for path in paths])


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(asking, "PAUSE_S", 0.0)
    return Bench()


def hears_nothing(address: str = "10.") -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda probe: TIMEOUT if probe["address"].startswith(address) else {"outcome": "answered", "rtt_ms": 0.2}


def test_silence_is_blocked_only_after_the_listener_was_heard(bench: Bench) -> None:
    bench.c1.agents["pod-c1-w1"] = lambda _: TIMEOUT
    results = bench.measure(TCP, UDP, ICMP)
    assert {r.verdict for r in results.values()} == {Verdict.BLOCKED}
    assert all("answers over its own loopback" in r.evidence[-1] for r in results.values())
    assert bench.c2.conversations == [("pod-c2-gw", 2)]


def test_a_healthy_run_asks_no_listener(bench: Bench) -> None:
    assert {r.verdict for r in bench.measure(TCP, UDP, ICMP).values()} == {Verdict.OK}
    assert bench.c2.conversations == []


def test_a_killed_target_is_not_a_blocked_path(bench: Bench) -> None:
    bench.measure(TCP)
    bench.c1.agents["pod-c1-w1"] = lambda _: TIMEOUT
    bench.c2.troubles["pod-c2-gw"] = [(0, NodeUnreachable("container not found"))] * 9
    bench.c2.pods["pod-c2-gw"]["status"]["phase"] = "Failed"
    for result in bench.measure(TCP, ICMP).values():
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "pod pod-c2-gw on c2-gw died: Failed" in result.detail


@pytest.mark.parametrize("outcome", ["timeout", "stalled", "refused"])
def test_a_frozen_target_is_not_a_blocked_path(bench: Bench, outcome: str) -> None:
    bench.c1.agents["pod-c1-w1"] = lambda _: {"outcome": "stalled", "error": "silence after the handshake"}
    bench.c2.agents["pod-c2-gw"] = lambda _: {"outcome": outcome}
    result = bench.measure(TCP)[TCP]
    assert result.verdict is Verdict.INCONCLUSIVE
    assert f"pod pod-c2-gw on c2-gw does not answer over its own loopback either ({outcome})" in result.detail


def test_another_listener_on_the_port_is_noticed(bench: Bench) -> None:
    bench.c1.agents["pod-c1-w1"] = lambda _: TIMEOUT
    bench.c2.agents["pod-c2-gw"] = lambda _: {"outcome": "answered", "seen": "127.0.0.1", "listener": "pod-of-others"}
    result = bench.measure(TCP)[TCP]
    assert (result.verdict, "pod-of-others answers in place of" in result.detail) == (Verdict.INCONCLUSIVE, True)


def test_a_source_killed_in_the_middle_spoils_its_own_paths_alone(bench: Bench) -> None:
    bench.c1.troubles["pod-c1-w1"] = [(2, ExitStatusLost("the stream broke"))] * 9
    results = bench.measure(TCP, UDP, "pod.gw.c1--pod.gw.c2--tcp")
    assert [r.verdict in NO_VERDICT for r in results.values()] == [True, True, False]
    assert results["pod.gw.c1--pod.gw.c2--tcp"].verdict is Verdict.OK


def _flip(lines: list[bytes], chance: random.Random) -> list[bytes]:
    line = chance.randrange(len(lines))
    at = chance.randrange(len(lines[line]))
    other = bytes([(lines[line][at] + 1 + chance.randrange(255)) % 256]).replace(b"\n", b"?")
    return [*lines[:line], lines[line][:at] + other + lines[line][at + 1 :], *lines[line + 1 :]]


def _cut(lines: list[bytes], chance: random.Random) -> list[bytes]:
    line = chance.randrange(len(lines))
    return [*lines[:line], lines[line][: chance.randrange(len(lines[line]))]]


def _drop(lines: list[bytes], chance: random.Random) -> list[bytes]:
    line = chance.randrange(len(lines))
    return lines[:line] + lines[line + 1 :]


def _repeat(lines: list[bytes], chance: random.Random) -> list[bytes]:
    line = chance.randrange(len(lines))
    return [*lines[: line + 1], *lines[line:]]


def _swap(lines: list[bytes], chance: random.Random) -> list[bytes]:
    line = chance.randrange(len(lines) - 1)
    return [*lines[:line], lines[line + 1], lines[line], *lines[line + 2 :]]


def _noise(lines: list[bytes], chance: random.Random) -> list[bytes]:
    noise = chance.choice(
        [b"", b"{}", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b'{"hello": 1}', b"Killed", b'{"trailer": {}}']
    )
    line = chance.randrange(len(lines) + 1)
    return [*lines[:line], noise, *lines[line:]]


@pytest.mark.parametrize("damage", [_flip, _cut, _drop, _repeat, _swap, _noise])
@pytest.mark.parametrize("seed", range(25))
def test_damage_on_the_way_never_becomes_a_verdict(
    bench: Bench, damage: Callable[[list[bytes], random.Random], list[bytes]], seed: int
) -> None:
    chance = random.Random(seed)
    bench.c1.damage["pod-c1-w1"] = lambda lines: damage(lines, chance)
    results = bench.measure(TCP, UDP, ICMP)
    assert {r.verdict for r in results.values()} <= NO_VERDICT


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome": "splendid"},
        {"outcome": 7},
        {"outcome": None},
        {"outcome": "answered", "attempts": "many"},
        {"outcome": "answered", "history": "answered"},
        {"outcome": "answered", "history": ["perhaps"]},
        {"outcome": "answered", "rtt_ms": "fast", "seen": "10.0.1.100", "listener": "pod-c2-gw"},
        {"outcome": "answered", "id": "another"},
        {"outcome": "answered", "rtt_ms": 0.1},
        {"outcome": "answered", "rtt_ms": 0.1, "seen": "nowhere", "listener": "pod-c2-gw"},
    ],
)
def test_nonsense_that_is_signed_well_never_becomes_ok_or_blocked(bench: Bench, fields: dict[str, Any]) -> None:
    bench.c1.agents["pod-c1-w1"] = lambda _: dict(fields)
    assert bench.measure(TCP)[TCP].verdict not in {Verdict.OK, Verdict.BLOCKED}


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("resource", ["namespaces", "pods"])
def test_an_api_that_refuses_spoils_the_paths_concerned_alone(bench: Bench, resource: str, status: int) -> None:
    bench.c2.refusals[resource] = [ApiError("c2: too busy", status, "Busy")] * 9
    results = bench.measure(TCP, HERE)
    assert results[TCP].verdict is Verdict.ERROR
    assert "too busy" in results[TCP].detail
    assert results[HERE].verdict is Verdict.OK

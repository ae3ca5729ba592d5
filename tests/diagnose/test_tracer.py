"""The tracer itself: one capture per node, asked in between, whatever a node refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from captures import Road, arp, flow_of, request
from observations import changed, failing, healthy

from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing import tracer, watch
from pytest_submariner.diagnose.tracing.ladder import ladder
from pytest_submariner.diagnose.tracing.trace import Trace, Way
from pytest_submariner.diagnose.tracing.tracer import Tracer
from pytest_submariner.errors import NodeUnreachable, ProbeInconclusive, TransportError
from pytest_submariner.model.nodestate import LinkStats, NodeState
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.nodestate.capture import CaptureFailed
from pytest_submariner.nodestate.packets import Packet
from pytest_submariner.nodestate.selection import Selection

PATH = "pod.ngw.c1--pod.ngw.c2--tcp"
SEEN = failing(healthy(), PATH)
WAY = {"c1-w1", "c1-gw", "c2-gw", "c2-w1"}


@dataclass
class Nodes:
    """The nodes' captures and counters: what they will show, what they refuse, and what was asked of them."""

    packets: Mapping[tuple[str, str], tuple[Packet, ...]] = field(default_factory=dict)
    refuse: Mapping[str, TransportError] = field(default_factory=dict)
    lose: Mapping[str, ProbeInconclusive] = field(default_factory=dict)
    stats: Mapping[str, list[LinkStats]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, verb: str, node: str) -> None:
        with self._lock:
            self.calls.append((verb, node))

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nodes = self

        class FakeCapture:
            tool = "tcpdump"
            complete = True

            def __init__(
                self, node: Node, *, selection: Selection, packets: int, seconds: int, snap: int, timeout: float
            ) -> None:
                assert 0 < packets <= 5000
                assert 0 < timeout <= 10 < seconds <= 30
                assert snap >= 160  # or what is inside VXLAN could not be told apart
                self.node = node
                nodes.selections.append(selection)

            def start(self) -> None:
                nodes.call("start", self.node.name)
                if self.node.name in nodes.refuse:
                    raise nodes.refuse[self.node.name]

            def stop(self) -> tuple[Packet, ...]:
                nodes.call("stop", self.node.name)
                if self.node.name in nodes.lose:
                    raise nodes.lose[self.node.name]
                return nodes.packets.get((self.node.cluster, self.node.name), ())

        def read_state(node: Node, parts: Sequence[str]) -> NodeState:
            assert tuple(parts) == ("links",)
            nodes.call("count", node.name)
            if node.name not in nodes.stats:
                raise NodeUnreachable("no way")
            links = healthy().sights[node.cluster, node.name].before.links or ()
            rising = nodes.stats[node.name].pop(0)
            return NodeState(node.name, links=tuple(replace(link, stats=rising) for link in links))

        monkeypatch.setattr(watch, "Capture", FakeCapture)
        monkeypatch.setattr(watch, "read_state", read_state)


def traced(
    nodes: Nodes, seen: Observation = SEEN, *, verdicts: Sequence[Verdict] = (Verdict.BLOCKED,)
) -> tuple[dict[str, Trace], list[list[str]]]:
    """The traces, and what was asked in each round."""
    asked: list[list[str]] = []

    def ask(cases: Sequence[PathCase]) -> dict[str, PathResult]:
        nodes.call("ask", "")
        verdict = verdicts[min(len(asked), len(verdicts) - 1)]
        asked.append([case.id for case in cases])
        return {case.id: replace(flow_of(seen, case.id).result, verdict=verdict, detail="why") for case in cases}

    node_exec: Callable[[Node], Any] = lambda node: node  # noqa: E731
    return Tracer(seen.topology, node_exec, ask).trace(seen.failing, seen.sights), asked


@pytest.fixture
def road() -> Road:
    flow = flow_of(SEEN, PATH)
    return Road(flow, ladder(flow, SEEN.topology, SEEN.sights), SEEN)


def watched(road: Road) -> Nodes:
    return Nodes({key: look.packets for key, look in road.looks().items()})


def test_every_node_on_the_way_is_watched_while_the_path_is_asked(monkeypatch: pytest.MonkeyPatch, road: Road) -> None:
    road.send(request(road.flow), to=5)
    nodes = watched(road)
    nodes.install(monkeypatch)
    found, asked = traced(nodes)
    trace = found[PATH]
    assert trace.lost_between(Way.REQUEST, 5, 6)
    assert trace.tools == dict.fromkeys(sorted(WAY, key=["c1-w1", "c1-gw", "c2-gw", "c2-w1"].index), "tcpdump")
    assert asked[0] == [PATH]
    verbs = [verb for verb, _ in nodes.calls]
    assert verbs == ["start"] * 4 + ["ask"] * len(asked) + ["stop"] * 4
    assert {name for verb, name in nodes.calls if verb == "start"} == WAY


def test_the_capture_takes_the_path_and_its_tunnels_and_nothing_of_other_pods(
    monkeypatch: pytest.MonkeyPatch, road: Road
) -> None:
    nodes = watched(road)
    nodes.install(monkeypatch)
    traced(nodes)
    assert len(set(nodes.selections)) == 1
    wanted = nodes.selections[0]
    assert wanted.addresses == (road.flow.source_ip, road.flow.target_ip)
    assert (wanted.hosts, wanted.vteps) == ((), (240, 241))
    assert {4800, 4500} <= set(wanted.tunnels)


def test_tunnels_on_unusual_ports_are_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = changed(
        SEEN, "c1-gw", links=lambda links: [replace(x, port=4555) if x.name == "vxlan-tunnel" else x for x in links]
    )
    nodes = Nodes()
    nodes.install(monkeypatch)
    traced(nodes, moved)
    assert 4555 in nodes.selections[0].tunnels


def test_a_services_translators_are_watched_for_what_they_make_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "hostpod.ngw.c1--svc.ngw.c2--tcp"
    seen = failing(healthy(), path)
    seen = replace(seen, flows=tuple(_with_command(flow) if flow.id == path else flow for flow in seen.flows))
    nodes = Nodes()
    nodes.install(monkeypatch)
    traced(nodes, seen)
    wanted = nodes.selections[0]
    assert {"10.8.2.1", "240.18.1.2", "241.18.1.1", "10.9.1.1"} <= set(wanted.hosts)
    assert wanted.ports == (29123,)


def _with_command(flow: Any) -> Any:
    return replace(flow, result=replace(flow.result, command=f"exec … ask tcp {flow.target_ip} 29123"))


def test_a_quick_refusal_is_asked_again_in_sight(monkeypatch: pytest.MonkeyPatch, road: Road) -> None:
    road.send(request(road.flow), to=1)
    road.send(arp("240.18.1.2", "240.18.1.1"), first=2, to=3)
    nodes = watched(road)
    nodes.install(monkeypatch)
    found, asked = traced(nodes)
    assert asked == [[PATH], [PATH]]
    assert found[PATH].lost_between(Way.REQUEST, 3, 4)
    assert "c1-w1: asked on vx-submariner who has 240.18.1.1, and got no answer" in found[PATH].notes


def test_what_answers_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, road: Road) -> None:
    nodes = watched(road)
    nodes.install(monkeypatch)
    found, asked = traced(nodes, verdicts=[Verdict.OK])
    assert asked == [[PATH]]
    assert found[PATH].answered
    assert found[PATH].first_lost is None


def test_waiting_once_is_enough(monkeypatch: pytest.MonkeyPatch, road: Road) -> None:
    monkeypatch.setattr(tracer, "QUICK_S", 0.0)
    nodes = watched(road)
    nodes.install(monkeypatch)
    _, asked = traced(nodes)
    assert asked == [[PATH]]


def test_a_node_that_refuses_a_capture_is_counted_instead(monkeypatch: pytest.MonkeyPatch, road: Road) -> None:
    road.send(request(road.flow), to=4)
    nodes = watched(road)
    nodes.refuse = {"c1-gw": CaptureFailed("c1-gw: no capture on any: neither tcpdump nor python3 is installed")}
    nodes.stats = {"c1-gw": [LinkStats(rx_packets=70, tx_packets=30), LinkStats(rx_packets=70, tx_packets=31)]}
    nodes.install(monkeypatch)
    trace = traced(nodes)[0][PATH]
    assert trace.tools["c1-gw"] == "counters"
    there = {s.rung.number: s.packets for s in trace.sightings if s.rung.way is Way.REQUEST}
    assert (there[3], there[4], there[5], there[6], there[8]) == (1, None, 0, None, 0)
    assert trace.first_lost is not None
    assert (trace.first_lost.node, trace.first_lost.number) == ("c1-gw", 5)
    assert trace.notes[0] == "c1-gw: no capture: neither tcpdump nor python3 is installed"


def test_a_node_that_cannot_be_reached_is_a_gap(monkeypatch: pytest.MonkeyPatch, road: Road) -> None:
    road.send(request(road.flow), to=3)
    nodes = watched(road)
    nodes.refuse = {"c1-gw": NodeUnreachable("no Route Agent pod on c1-gw")}
    nodes.install(monkeypatch)
    trace = traced(nodes)[0][PATH]
    assert "c1-gw" not in trace.tools
    assert trace.notes == ("c1-gw: no capture: no Route Agent pod on c1-gw",)
    assert trace.first_lost is not None
    assert trace.first_lost.node == "c2-gw"


def test_a_capture_that_got_lost_is_a_gap(monkeypatch: pytest.MonkeyPatch, road: Road) -> None:
    nodes = watched(road)
    nodes.lose = {"c2-gw": ProbeInconclusive("the capture and its files are gone")}
    nodes.install(monkeypatch)
    trace = traced(nodes)[0][PATH]
    assert trace.notes == ("c2-gw: no capture: the capture and its files are gone",)
    assert {s.packets for s in trace.sightings if s.rung.node == "c2-gw"} == {None}


def test_when_nobody_can_ask_captures_are_ended_all_the_same(monkeypatch: pytest.MonkeyPatch, road: Road) -> None:
    nodes = watched(road)
    nodes.install(monkeypatch)

    def ask(cases: Sequence[PathCase]) -> dict[str, PathResult]:
        raise TransportError("the API server is gone")

    with pytest.raises(TransportError, match="gone"):
        Tracer(SEEN.topology, lambda node: node, ask).trace(SEEN.failing, SEEN.sights)  # type: ignore[arg-type,return-value]
    assert sorted(name for verb, name in nodes.calls if verb == "stop") == sorted(WAY)


def test_what_could_not_be_asked_is_said(monkeypatch: pytest.MonkeyPatch, road: Road) -> None:
    nodes = watched(road)
    nodes.install(monkeypatch)
    trace = traced(nodes, verdicts=[Verdict.ERROR])[0][PATH]
    assert "asked again, it could not be told: why" in trace.notes
    assert not trace.answered


def test_an_encrypted_cable_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    nodes.install(monkeypatch)
    trace = traced(nodes, failing(healthy(cable="libreswan"), PATH))[0][PATH]
    assert "the cable is encrypted: its packets do not tell whose they are" in trace.notes
    assert {s.packets for s in trace.sightings if s.rung.number in (7, 8)} == {None}


def test_nothing_fails_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    nodes.install(monkeypatch)
    assert traced(nodes, healthy()) == ({}, [])
    assert nodes.calls == []

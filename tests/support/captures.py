"""Packets as captures would show them: a flow's, put at the rungs of its ladder, and what answers it.

road = Road(flow, ladder(flow, topology, sights), sights)
road.send(request(flow), to=4)          # seen at every rung up to 4
looks = road.looks()
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.conversation import Conversation, NodeKey, conversations
from pytest_submariner.diagnose.tracing.ladder import Form, form, underlay
from pytest_submariner.diagnose.tracing.sightings import Look, sightings
from pytest_submariner.diagnose.tracing.trace import Rung, Trace, Way
from pytest_submariner.nodestate.packets import Packet

PORT = 29123
CLIENT_PORT = 41000
CABLE = frozenset({4500})
NODE_MAC = "02:00:f0:12:01:02"


def request(flow: Flow, *, length: int = 60, sequence: int = 7, port: int = CLIENT_PORT) -> Packet:
    """The first packet of a flow, as its client sends it; a full segment when it is longer than that of a handshake."""
    ends = (flow.source_ip, flow.target_ip)
    return _packet(flow, ends, (port, PORT), length, sequence, syn=length <= 60, answer=False)


def reply(flow: Flow, *, length: int = 60, sequence: int = 7, port: int = CLIENT_PORT) -> Packet:
    """What the server answers to `request`."""
    ends = (flow.target_ip, flow.source_ip)
    return _packet(flow, ends, (PORT, port), length, sequence, syn=length <= 60, answer=True)


def arp(source: str, target: str, *, mac: str = NODE_MAC, answer: bool = False) -> Packet:
    return Packet(0.0, "", None, "arp", source, target, mac=mac, arp_operation=2 if answer else 1)


def refusal(about: Packet, sender: str, *, code: int = 1) -> Packet:
    """An ICMP error, host unreachable unless another code is given."""
    return Packet(0.0, "", None, "icmp", sender, about.source, 64, icmp_type=3, icmp_code=code, length=88, quoted=about)


def _packet(
    flow: Flow, ends: tuple[str, str], ports: tuple[int, int], length: int, sequence: int, *, syn: bool, answer: bool
) -> Packet:
    base = Packet(0.0, "", None, flow.case.protocol.value, *ends, 64, length=length)
    if base.protocol == "icmp":
        payload = f"{flow.id}-{sequence}".encode()
        return replace(base, icmp_type=0 if answer else 8, icmp_id=1, icmp_sequence=sequence, payload=payload)
    ported = replace(base, source_port=ports[0], destination_port=ports[1])
    if base.protocol == "udp":
        return replace(ported, payload=b"SMP1" + (b"reply" if answer else f"{sequence} {flow.id}".encode()))
    flags = (2 if syn else 8) | (16 if answer or not syn else 0)
    number = sum(flow.id.encode()) + sequence * 1000
    return replace(ported, tcp_flags=flags, tcp_sequence=number)


class Road:
    """The way of one flow, on which packets are put."""

    def __init__(self, flow: Flow, rungs: Sequence[Rung], seen: Observation) -> None:
        self.flow = flow
        self.rungs = tuple(rungs)
        self._seen = seen
        self._found: dict[NodeKey, list[Packet]] = defaultdict(list)
        self._clock = 0.0

    def send(self, packet: Packet, way: Way = Way.REQUEST, *, first: int = 0, to: int = 12) -> None:
        """Past every rung of a way from `first` to `to`."""
        for rung in self.rungs:
            if rung.way is way and first <= rung.number <= to:
                self.put(rung, packet)

    def put(self, rung: Rung, packet: Packet, **details: int | str) -> None:
        """At one rung, wrapped as packets are there; `details` of the outermost packet that differ."""
        self._clock += 0.001
        key = (rung.cluster, rung.node)
        device = rung.device or ("veth1" if rung.number in (1, 12) else underlay(self._seen.sights.get(key)))
        at = {"time_s": self._clock, "device": device, "direction": rung.direction}
        shown = replace(packet, **at)  # type: ignore[arg-type]
        if form(rung) in (Form.OVERLAY, Form.CABLE):
            port, vni = (4800, 100) if form(rung) is Form.OVERLAY else (4500, 1000)
            outer = Packet(self._clock, device, rung.direction, "udp", "172.18.0.1", "172.18.0.2", 64)
            shown = replace(outer, source_port=50000, destination_port=port, vni=vni, inner=shown, length=1)
        self._found[key].append(replace(shown, **details))  # type: ignore[arg-type]

    def at(self, way: Way, number: int) -> Rung:
        return next(rung for rung in self.rungs if (rung.way, rung.number) == (way, number))

    def looks(self, *, complete: bool = True) -> dict[NodeKey, Look]:
        """What complete captures on every node of the way show."""
        nodes = dict.fromkeys((rung.cluster, rung.node) for rung in self.rungs)
        return {
            key: Look("tcpdump", tuple(self._found[key]), complete, underlay(self._seen.sights.get(key)))
            for key in nodes
        }

    def conversation(self) -> Conversation:
        found = {key: look.packets for key, look in self.looks().items()}
        return conversations([self.flow], found, self._seen.topology)[self.flow.id]

    def trace(self, *, answered: bool = False) -> Trace:
        looks, conversation = self.looks(), self.conversation()
        followed = {key: conversation.among(look.packets) for key, look in looks.items()}
        return Trace(self.flow.id, sightings(followed, self.rungs, looks, CABLE), answered=answered)


def flow_of(seen: Observation, path: str) -> Flow:
    return next(flow for flow in seen.flows if flow.id == path)

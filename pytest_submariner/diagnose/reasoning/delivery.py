"""Whether the cable's packets get from one gateway to another, direction by direction, by what was seen and by the gateways' own packet
filters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.chains import Step
from pytest_submariner.diagnose.packetfilter.firewall import Firewall
from pytest_submariner.diagnose.packetfilter.packet import Hook, Packet
from pytest_submariner.diagnose.reasoning.cables import CableEnd, port_of
from pytest_submariner.diagnose.tracing.trace import Sighting, Trace, Way
from pytest_submariner.model.nodestate import NodeState
from pytest_submariner.model.topology import Node

SENT: Final = 7
ARRIVED: Final = 8
"""Rungs of the ladder: the cable's packet leaves a gateway's underlay device, and enters the other's."""
LEAVING: Final = (Hook.OUTPUT, Hook.POSTROUTING)
ENTERING: Final = (Hook.INGRESS, Hook.PREROUTING, Hook.INPUT)


@dataclass(frozen=True)
class Refusal:
    """A rule of a gateway that drops the cable's packets."""

    node: Node
    step: Step

    def __str__(self) -> str:
        return f"{self.node.name}: {self.step}"


@dataclass(frozen=True)
class Delivery:
    """From `end` to the other side. `lost` and `arrived`: traces that show packets sent and not received, or received. `refusals`:
    rules that drop them for sure."""

    end: CableEnd
    lost: tuple[Trace, ...]
    arrived: tuple[Trace, ...]
    refusals: tuple[Refusal, ...]

    @property
    def fails(self) -> bool:
        return bool(self.refusals) or (bool(self.lost) and not self.arrived)

    @property
    def works(self) -> bool:
        return bool(self.arrived) and not self.refusals

    @property
    def words(self) -> str:
        return f"{self.end.node.name} → {self.end.there.position}"


def delivery(seen: Observation, end: CableEnd) -> Delivery:
    lost: list[Trace] = []
    arrived: list[Trace] = []
    for trace, way in _ways(seen, end):
        sent, come = trace.at(way, SENT), trace.at(way, ARRIVED)
        if come is not None and come.seen:
            arrived.append(trace)
        elif _went_out(end, sent) and come is not None and come.packets == 0:
            lost.append(trace)
    return Delivery(end, tuple(lost), tuple(arrived), tuple(refused(end, port_of(end.own), port_of(end.peer))))


def _ways(seen: Observation, end: CableEnd) -> Iterator[tuple[Trace, Way]]:
    """Traces of failing flows between the two, with the way that leads from here to there."""
    for flow in seen.failing_in(scope.crossing(*end.positions)):
        trace = seen.traces.get(flow.id)
        if trace is not None:
            yield trace, Way.REQUEST if flow.case.source.cluster == end.here.position else Way.REPLY


def _went_out(end: CableEnd, sent: Sighting | None) -> bool:
    """Whether packets left for the other gateway: those for a wrong address are lost on the way for another reason."""
    if sent is None or not sent.seen:
        return False
    return not sent.outer_destinations or end.peer_ips.issuperset(sent.outer_destinations)


def refused(end: CableEnd, source_port: int, port: int) -> Iterator[Refusal]:
    """Rules on either gateway that drop UDP packets from the one here to the other, whatever they carry."""
    packet = Packet(end.own.private_ip, end.using_ip, "udp", source_port, port)
    if end.sight is not None:
        yield from (Refusal(end.sight.node, step) for step in sure_drops(end.sight.before, LEAVING, packet))
    if end.far is not None and end.peer.private_ip in end.far.own_ips:
        inward = packet.to(end.peer.private_ip)
        yield from (Refusal(end.far.node, step) for step in sure_drops(end.far.before, ENTERING, inward))


def sure_drops(state: NodeState, hooks: tuple[Hook, ...], packet: Packet) -> Iterator[Step]:
    """What certainly drops a packet at the first of these hooks that does."""
    firewall = Firewall(state)
    for hook in hooks:
        found = [step for step in firewall.drops(hook, packet) if step.sure]
        if found:
            yield from found
            return

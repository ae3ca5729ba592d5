"""Which captured packets belong to a flow, however its addresses and ports are translated on the way. Pure.

At the source its requests are known by their addresses. From these come marks that survive NAT (random payloads of UDP and
ICMP, initial sequence numbers of TCP), by which requests are known again elsewhere, and so the addresses and ports they have
there; answers go between those."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pytest_submariner.dataplane.addresses import contains, ipv4_cidrs
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.tracing.trace import Way
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Role, Topology
from pytest_submariner.nodestate.packets import Packet

_MARK = 24
"""Bytes of payload that tell a packet from others."""
_FRAME = b"SMP1"
"""How the Python agent's datagrams begin (`probes/agent.py`); random bytes follow their length."""
_TRANSLATIONS = 2
"""How often addresses may change on the way: at the source's node or its gateway, and at the remote gateway."""
NodeKey = tuple[str, str]


@dataclass
class Conversation:
    """What is known of one flow's packets."""

    flow: Flow
    marks: set[Hashable] = field(default_factory=set)
    clients: set[str] = field(default_factory=set)
    servers: set[str] = field(default_factory=set)
    client_ports: set[int] = field(default_factory=set)
    server_ports: set[int] = field(default_factory=set)

    def way_of(self, packet: Packet) -> Way | None:
        """The way a (bare) packet is on, None when it is not of this flow."""
        if packet.protocol != self.flow.case.protocol.value:
            return None
        if packet.protocol == "icmp":
            if _mark(packet) not in self.marks:
                return None
            return Way.REQUEST if packet.is_echo_request else Way.REPLY
        mark = _mark(packet)
        if mark in self.marks and (
            _is_random(packet) or packet.source in self.clients or packet.destination in self.servers
        ):
            return Way.REQUEST
        there = (packet.source_port, packet.destination_port)
        if there[0] in self.client_ports and there[1] in self.server_ports and self._between(packet, Way.REQUEST):
            return Way.REQUEST
        if there[1] in self.client_ports and there[0] in self.server_ports and self._between(packet, Way.REPLY):
            return Way.REPLY
        return None

    def among(self, packets: Iterable[Packet]) -> tuple[tuple[Way, Packet], ...]:
        """This flow's packets, bare or in tunnels, each with its way."""
        return tuple((way, packet) for packet in packets if (way := self.way_of(packet.inner or packet)) is not None)

    def learn(self, packet: Packet) -> None:
        """From a request: its mark, and its addresses and ports where it was seen."""
        mark = _mark(packet)
        if mark is None:
            return
        self.marks.add(mark)
        self.clients.add(packet.source)
        self.servers.add(packet.destination)
        if packet.source_port is not None and packet.destination_port is not None:
            self.client_ports.add(packet.source_port)
            self.server_ports.add(packet.destination_port)

    def is_about(self, packet: Packet) -> bool:
        """Whether an ICMP error quotes a packet of this flow."""
        quoted = packet.quoted
        if quoted is None or quoted.protocol != self.flow.case.protocol.value:
            return False
        ends = {quoted.source, quoted.destination}
        if quoted.protocol == "icmp":
            return bool(ends & self.clients) and bool(ends & self.servers)
        ports = {quoted.source_port, quoted.destination_port}
        return bool(ends & self.servers) and bool(ports & self.client_ports) and bool(ports & self.server_ports)

    def _between(self, packet: Packet, way: Way) -> bool:
        ends = (self.clients, self.servers) if way is Way.REQUEST else (self.servers, self.clients)
        return packet.source in ends[0] and packet.destination in ends[1]


def conversations(
    flows: Iterable[Flow], packets: Mapping[NodeKey, Iterable[Packet]], topology: Topology
) -> dict[str, Conversation]:
    """By path id. Pods' flows are told first, then those of hosts: what a host sends is what no pod began and no other node sent
    to it, because NAT may give the packets of any of them the same source. A host's requests are looked for on its own node,
    and on all where that has no capture."""
    bare = {node: tuple(_inside(found)) for node, found in packets.items()}
    everything = [packet for found in bare.values() for packet in found]
    arrived = {
        node: {_mark(p) for p in found if p.direction == "in" and not p.is_echo_reply} for node, found in bare.items()
    }
    claimed: set[Hashable] = set()
    known: dict[str, Conversation] = {}
    for flow in sorted(flows, key=_precedence):
        conversation = known[flow.id] = Conversation(flow)
        key = (flow.source.cluster, flow.source.name)
        of_pod = flow.case.source.kind is Kind.POD
        others = claimed if of_pod else claimed | arrived.get(key, set())
        for packet in everything if of_pod else bare.get(key, everything):
            if _begins(flow, packet, topology) and _mark(packet) not in others:
                conversation.learn(packet)
        claimed |= conversation.marks
        for _ in range(_TRANSLATIONS):
            for packet in everything:
                if conversation.way_of(packet) is Way.REQUEST:
                    conversation.learn(packet)
    return known


def listener_ports(flow: Flow) -> frozenset[int]:
    """As the command that repeats the path by hand names it."""
    return frozenset(map(int, re.findall(rf"\b{re.escape(flow.target_ip)} (\d+)\b", flow.result.command)))


def is_translated_at_once(flow: Flow) -> bool:
    """Whether the Service's address is gone before any device sees a packet: a host's, of a Service of its own cluster."""
    return flow.to_service and not flow.crosses and flow.case.source.kind is Kind.HOSTPOD


def _precedence(flow: Flow) -> tuple[bool, bool, bool, bool]:
    """Who is told by addresses that nobody else has comes first. Behind its translation, what goes to a Service looks like what
    goes to its pod."""
    return (
        flow.case.source.kind is not Kind.POD,
        is_translated_at_once(flow),
        not flow.to_service,
        flow.source.role is Role.GATEWAY,
    )


def _inside(packets: Iterable[Packet]) -> Iterator[Packet]:
    """Bare packets, and those inside tunnels."""
    for packet in packets:
        yield packet.inner or packet


def _begins(flow: Flow, packet: Packet, topology: Topology) -> bool:
    """Whether a packet on the source node may be a request of the flow, as its client sent it."""
    if packet.protocol != flow.case.protocol.value:
        return False
    if packet.destination == flow.target_ip:
        return flow.case.source.kind is not Kind.POD or packet.source == flow.source_ip
    if not is_translated_at_once(flow) or packet.destination_port not in listener_ports(flow):
        return False
    pod_cidrs = ipv4_cidrs(topology.cluster(flow.target.cluster).pod_cidrs)
    return any(contains(cidr, packet.destination) for cidr in pod_cidrs)


def _mark(packet: Packet) -> Hashable | None:
    """What tells this request (and the echo reply to it) from all others, on every rung."""
    if packet.protocol == "icmp" and (packet.is_echo_request or packet.is_echo_reply):
        return ("icmp", packet.icmp_sequence, packet.payload[:_MARK])
    if packet.protocol == "udp" and packet.payload:
        return ("udp", packet.payload[:_MARK])
    if packet.protocol == "tcp" and packet.is_syn and not packet.is_answer:
        return ("tcp", packet.tcp_sequence)
    return None


def _is_random(packet: Packet) -> bool:
    """Whether its mark is of no other path. UDP of the shell prober is the same for all."""
    return packet.protocol != "udp" or packet.payload.startswith(_FRAME)

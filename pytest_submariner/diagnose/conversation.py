"""Which captured packets belong to a flow, however its addresses and ports are translated on the way. Pure.

At the source its requests are known by their addresses. From these come marks that survive NAT (random payloads of UDP and
ICMP, initial sequence numbers of TCP), by which requests are known again elsewhere, and so the addresses and ports they have
there; answers go between those."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.trace import Way
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Role
from pytest_submariner.nodestate.packets import Packet

_MARK = 24
"""Bytes of payload that tell a packet from others: the agents send random ones."""
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
        if _mark(packet) in self.marks and (packet.source in self.clients or packet.destination in self.servers):
            return Way.REQUEST
        there = (packet.source_port, packet.destination_port)
        if there[0] in self.client_ports and there[1] in self.server_ports and self._between(packet, Way.REQUEST):
            return Way.REQUEST
        if there[1] in self.client_ports and there[0] in self.server_ports and self._between(packet, Way.REPLY):
            return Way.REPLY
        return None

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


def conversations(flows: Iterable[Flow], packets: Mapping[NodeKey, Iterable[Packet]]) -> dict[str, Conversation]:
    """By path id. Pods' flows are told first, then those of hosts: what a host sends is what no pod, and no host behind it,
    began, because NAT may give the packets of any of them the same source. A host's requests are looked for on its own node,
    and on all where that has no capture."""
    bare = {node: tuple(_inside(found)) for node, found in packets.items()}
    everything = [packet for found in bare.values() for packet in found]
    claimed: set[Hashable] = set()
    known: dict[str, Conversation] = {}
    for flow in sorted(flows, key=_precedence):
        conversation = known[flow.id] = Conversation(flow)
        own = bare.get((flow.source.cluster, flow.source.name), everything)
        for packet in everything if flow.case.source.kind is Kind.POD else own:
            if _begins(flow, packet) and _mark(packet) not in claimed:
                conversation.learn(packet)
        claimed |= conversation.marks
        for _ in range(_TRANSLATIONS):
            for packet in everything:
                if conversation.way_of(packet) is Way.REQUEST:
                    conversation.learn(packet)
    return known


def _precedence(flow: Flow) -> tuple[int, int]:
    return int(flow.case.source.kind is not Kind.POD), int(flow.source.role is Role.GATEWAY)


def _inside(packets: Iterable[Packet]) -> Iterator[Packet]:
    """Bare packets, and those inside tunnels."""
    for packet in packets:
        yield packet.inner or packet


def _begins(flow: Flow, packet: Packet) -> bool:
    """Whether a packet on the source node is a request of the flow, as its client sent it."""
    if packet.protocol != flow.case.protocol.value or packet.destination != flow.target_ip:
        return False
    return flow.case.source.kind is not Kind.POD or packet.source == flow.source_ip


def _mark(packet: Packet) -> Hashable | None:
    """What tells this request (and the echo reply to it) from all others, on every rung."""
    if packet.protocol == "icmp" and (packet.is_echo_request or packet.is_echo_reply):
        return ("icmp", packet.icmp_sequence, packet.payload[:_MARK])
    if packet.protocol == "udp" and packet.payload:
        return ("udp", packet.payload[:_MARK])
    if packet.protocol == "tcp" and packet.is_syn and not packet.is_answer:
        return ("tcp", packet.tcp_sequence)
    return None

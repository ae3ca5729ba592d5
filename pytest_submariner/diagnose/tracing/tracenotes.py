"""Sentences of a trace: what limits it, and what was seen beside the flow's own packets. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

from pytest_submariner.diagnose.tracing.conversation import Conversation, NodeKey
from pytest_submariner.diagnose.tracing.sightings import COUNTERS, Followed, Looks

_MOST = 6
LINES = 80
"""Packets a trace lists at most."""


def limits(nodes: Sequence[NodeKey], looks: Looks, refusals: dict[NodeKey, str]) -> Iterator[str]:
    """Nodes without a capture, or with one from which packets may be missing."""
    for node in nodes:
        look = looks.get(node)
        if node in refusals:
            yield f"{node[1]}: no capture: {refusals[node]}"
        if look is None:
            continue
        if look.tool == COUNTERS:
            rises = (f"{name} received {r.rx_packets} and sent {r.tx_packets}" for name, r in look.rises.items())
            yield f"{node[1]}: counters alone: {', '.join(rises)} packets meanwhile, whosever they were"
        elif not look.complete:
            yield f"{node[1]}: more packets than a trace may keep, so what was not seen there may have been there"


def errors(
    conversation: Conversation,
    nodes: Sequence[NodeKey],
    looks: Looks,
    tunnel_ports: frozenset[int],
    ips: frozenset[str],
) -> Iterator[str]:
    """ICMP errors about packets of the flow, or about tunnel packets between the nodes it passes (addresses `ips`); of a kind from one
    sender the first at each node."""
    first: dict[Hashable, str] = {}
    for node in nodes:
        look = looks.get(node)
        for packet in look.packets if look else ():
            error = packet.inner or packet
            about = error.quoted
            if about is None:
                continue
            tunnel = about.destination_port in tunnel_ports and {about.source, about.destination} <= ips
            if tunnel or conversation.is_about(error):
                first.setdefault((node, error.source, error.icmp_type, error.icmp_code, tunnel), f"{node[1]}: {packet}")
    yield from list(first.values())[:_MOST]


def unanswered(
    conversation: Conversation, nodes: Sequence[NodeKey], looks: Looks, octets: tuple[int, ...]
) -> Iterator[str]:
    """ARP requests without an answer, for tunnel addresses (their first octet) and for the flow's own."""
    wanted = conversation.clients | conversation.servers | {conversation.flow.source_ip, conversation.flow.target_ip}
    for node in nodes:
        look = looks.get(node)
        arp = [p for p in (look.packets if look else ()) if p.protocol == "arp" and p.inner is None]
        answered = {(p.device, p.source) for p in arp if p.arp_operation == 2 and p.direction == "in"}
        asked = Counter((p.device, p.destination) for p in arp if p.arp_operation == 1 and p.direction == "out")
        for (device, ip), number in list(asked.items())[:_MOST]:
            ours = ip in wanted or int(ip.partition(".")[0]) in octets
            if ours and (device, ip) not in answered:
                yield f"{node[1]}: asked on {device} who has {ip}{_times(number)}, and got no answer"


def lines(conversation: Conversation, followed: Followed, nodes: Sequence[NodeKey], looks: Looks) -> tuple[str, ...]:
    """The flow's packets as text, by time, with ARP and what ICMP says about them."""
    found: list[tuple[float, str]] = []
    for node in nodes:
        look = looks.get(node)
        mine = {id(packet) for _, packet in followed.get(node, ())}
        for packet in look.packets if look else ():
            inner = packet.inner or packet
            if id(packet) in mine or inner.protocol == "arp" or conversation.is_about(inner):
                size = (packet.inner or packet).length
                found.append((packet.time_s, f"{node[1]} {packet}{f', {size} bytes' if size else ''}"))
    found.sort()
    if not found:
        return ()
    start = found[0][0]
    return tuple(f"{time_s - start:.4f} s  {text}" for time_s, text in found[:LINES])


def _times(number: int) -> str:
    return "" if number == 1 else f" ({number} times)"

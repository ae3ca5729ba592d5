"""Captured packets to sightings: which rung each packet of a flow passed, and what else was seen. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_submariner.dataplane.constants import (
    VX_SUBMARINER_OCTET,
    VX_SUBMARINER_PORT,
    VX_SUBMARINER_VNI,
    VXLAN_TUNNEL_OCTET,
    VXLAN_TUNNEL_VNI,
)
from pytest_submariner.diagnose.tracing.conversation import NodeKey
from pytest_submariner.diagnose.tracing.ladder import TUNNEL_DEVICES, Form, form
from pytest_submariner.diagnose.tracing.trace import Rung, Sighting, Way
from pytest_submariner.model.nodestate import LinkStats
from pytest_submariner.nodestate.packets import Packet

_NAMED = 4
LOOPBACK = "lo"
_ARP_LEGS = {2: VX_SUBMARINER_OCTET, 6: VXLAN_TUNNEL_OCTET}
"""First rung of a tunnel -> first octet of the tunnel's addresses."""
_ARP_RUNGS = {**dict.fromkeys(range(2, 6), 2), **dict.fromkeys(range(6, 10), 6)}
"""Rung -> the one at which ARP for its tunnel begins."""


@dataclass(frozen=True)
class Look:
    """What was captured on a node. `complete`: nothing can be missing. `rises`: by how much devices' counters rose meanwhile, where
    there was no capture."""

    tool: str
    packets: tuple[Packet, ...] = ()
    complete: bool = False
    underlay: str = ""
    rises: Mapping[str, LinkStats] = field(default_factory=dict)


Looks = Mapping[NodeKey, Look]
Followed = Mapping[NodeKey, Sequence[tuple[Way, Packet]]]
"""A flow's packets by node."""


def sightings(
    followed: Followed, rungs: Sequence[Rung], looks: Looks, cable_ports: frozenset[int] | None
) -> tuple[Sighting, ...]:
    """One for each rung, in the same order. `cable_ports`: UDP ports of the vxlan cable, as the Endpoints say; None: the
    cable is another, whose packets do not tell whose they are."""
    waiting = {
        way: {leg: _unanswered(rungs, looks, way, leg) for leg in _ARP_LEGS} for way in {rung.way for rung in rungs}
    }
    found = []
    for rung in rungs:
        look = looks.get((rung.cluster, rung.node))
        if look is None or look.tool == COUNTERS or (form(rung) is Form.CABLE and cable_ports is None):
            found.append(Sighting(rung, _by_counters(rung, look)))
            continue
        mine = followed.get((rung.cluster, rung.node), ())
        passed = [p for way, p in mine if way is rung.way and _passes(p, rung, look, cable_ports)]
        arp: list[Packet] = []
        leg = _ARP_RUNGS.get(rung.number)
        if not passed and leg and _waits(found, rung.way, leg):
            asked = waiting[rung.way][leg]
            arp = [p for p in look.packets if _asks(p, asked) and _passes(p, rung, look, cable_ports)]
        found.append(_sighting(rung, passed, arp, look.complete))
    return tuple(found)


def _waits(found: Sequence[Sighting], way: Way, leg: int) -> bool:
    """Whether packets came as far as the rung before the tunnel, so that they may wait there for an answer by ARP. What a host
    itself begins is seen nowhere before."""
    before = [s for s in found if s.rung.way is way and s.rung.number < leg]
    return before[-1].data > 0 if before else way is Way.REQUEST


def astray(
    followed: Followed, rungs: Sequence[Rung], looks: Looks, cable_ports: frozenset[int] | None
) -> tuple[Sighting, ...]:
    """Packets that left a node in another way than any rung there has."""
    found = []
    for (cluster, node), look in looks.items():
        here = [rung for rung in rungs if (rung.cluster, rung.node) == (cluster, node)]
        left: dict[tuple[Way, str], list[Packet]] = defaultdict(list)
        for way, packet in followed.get((cluster, node), ()):
            if packet.direction != "out" or packet.device == LOOPBACK:
                continue
            if not any(rung.way is way and _passes(packet, rung, look, cable_ports) for rung in here):
                left[way, packet.device].append(packet)
        for (way, device), packets in left.items():
            rung = Rung(way, 0, cluster, node, device, "out")
            found.append(_sighting(rung, packets, [], look.complete))
    return tuple(found)


def _passes(packet: Packet, rung: Rung, look: Look, cable_ports: frozenset[int] | None) -> bool:
    """Whether a packet, whosever it is, is at a rung of its node: device, direction, and how it is wrapped."""
    if packet.direction != rung.direction:
        return False
    wrapped = packet.vni is not None
    match form(rung):
        case Form.OVERLAY:
            return _is_overlay(packet, cable_ports) and rung.device in ("", packet.device)
        case Form.CABLE:
            return _is_cable(packet, cable_ports) and rung.device in ("", packet.device)
        case Form.CNI:
            if packet.device in TUNNEL_DEVICES or _is_overlay(packet, cable_ports) or _is_cable(packet, cable_ports):
                return False
            return rung.device in ("", packet.device)
        case Form.BARE:
            if wrapped:
                return False
            if rung.device:
                return packet.device == rung.device
            return packet.device not in TUNNEL_DEVICES | {look.underlay, LOOPBACK}


def _is_overlay(packet: Packet, cable_ports: frozenset[int] | None) -> bool:
    if packet.vni is None or _is_cable(packet, cable_ports):
        return False
    return packet.destination_port == VX_SUBMARINER_PORT or packet.vni == VX_SUBMARINER_VNI


def _is_cable(packet: Packet, cable_ports: frozenset[int] | None) -> bool:
    return packet.vni is not None and (packet.destination_port in (cable_ports or ()) or packet.vni == VXLAN_TUNNEL_VNI)


def _sighting(rung: Rung, passed: Sequence[Packet], arp: Sequence[Packet], complete: bool) -> Sighting:
    """Of a packet that passes several devices of the rung (a veth and its bridge) only those of one are counted."""
    by_device: dict[str, list[Packet]] = defaultdict(list)
    for packet in passed or arp:
        by_device[packet.device].append(packet)
    if not by_device:
        return Sighting(rung, 0 if complete else None)
    device, counted = max(by_device.items(), key=lambda item: len(item[1]))
    inner = [packet.inner or packet for packet in counted]
    outer = [packet for packet in counted if packet.inner is not None]
    return Sighting(
        rung,
        len(counted),
        sources=_some(packet.source for packet in inner),
        destinations=_some(packet.destination for packet in inner),
        outer_sources=_some(packet.source for packet in outer),
        outer_destinations=_some(packet.destination for packet in outer),
        device=device,
        largest=max(packet.length for packet in inner),
        arp=0 if passed else len(counted),
        macs=_some(packet.mac for packet in inner if packet.mac and packet.protocol != "arp"),
        vnis=tuple(dict.fromkeys(packet.vni for packet in outer if packet.vni is not None)),
        ports=tuple(dict.fromkeys(p.destination_port for p in outer if p.destination_port is not None)),
        for_other=sum(packet.for_other for packet in counted) if rung.device else 0,
    )


def _some(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))[:_NAMED]


ArpKey = tuple[str, str]
"""Who asks (MAC), for whom (address)."""


def _unanswered(rungs: Sequence[Rung], looks: Looks, way: Way, leg: int) -> frozenset[ArpKey]:
    """What the node at which a tunnel begins asked by ARP for the tunnel's next hop, without an answer coming in."""
    first = next((rung for rung in rungs if rung.way is way and rung.number == leg), None)
    look = looks.get((first.cluster, first.node)) if first is not None else None
    if first is None or look is None:
        return frozenset()
    here = [p for p in look.packets if p.protocol == "arp" and p.device == first.device]
    answered = {p.source for p in here if p.arp_operation == 2 and p.direction == "in"}
    asked = (p for p in here if p.arp_operation == 1 and p.direction == "out")
    octet = f"{_ARP_LEGS[leg]}."
    return frozenset(
        (p.mac, p.destination) for p in asked if p.destination.startswith(octet) and p.destination not in answered
    )


def _asks(packet: Packet, asked: frozenset[ArpKey]) -> bool:
    inner = packet.inner or packet
    return inner.protocol == "arp" and inner.arp_operation == 1 and (inner.mac, inner.destination) in asked


COUNTERS = "counters"
"""The tool's name where there was no capture."""
_COUNTED: dict[str, Callable[[LinkStats], int]] = {"in": lambda s: s.rx_packets, "out": lambda s: s.tx_packets}


def _by_counters(rung: Rung, look: Look | None) -> int | None:
    """0 where the device's counter did not rise at all; that it rose does not tell whose packets these were."""
    rise = look.rises.get(rung.device) if look is not None and form(rung) is Form.BARE else None
    return 0 if rise is not None and _COUNTED[rung.direction](rise) == 0 else None

"""What the reverse-path filter of a node drops: a packet whose source it would not answer by the device the packet came in (RFC 3704)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.packet import Hook, Packet
from pytest_submariner.diagnose.reasoning.routelookup import lookup
from pytest_submariner.diagnose.reasoning.ways import Layer, Passage

STRICT = 1


@dataclass(frozen=True)
class Refused:
    """`back`: the device by which the node would answer, "" when there is none."""

    passage: Passage
    back: str


def mode(sight: NodeSight, device: str) -> int | None:
    """The greater of the device's setting and that of `all` counts (Linux: Documentation/networking/ip-sysctl.rst)."""
    values = (sight.setting(f"net.ipv4.conf.{name}.rp_filter") for name in ("all", device.replace(".", "/")))
    found = [int(value) for value in values if value is not None and value.isdigit()]
    return max(found) if len(found) == 2 else None


def refused(seen: Observation, flow: Flow) -> Iterator[Refused]:
    """Packets of a flow that a strict filter drops, on any node it passes."""
    for passage in seen.ways.of(flow):
        if passage.layer is Layer.INNER and passage.hook is Hook.PREROUTING:
            back = _answered_by(passage.sight, passage.packet)
            if back is not None and back != passage.packet.in_device:
                yield Refused(passage, back)


def _answered_by(sight: NodeSight, packet: Packet) -> str | None:
    """None where nothing is filtered, or what decides is not known."""
    device = packet.in_device
    if not device or mode(sight, device) != STRICT or sight.before.routes is None or sight.before.rules is None:
        return None
    if packet.source in sight.own_ips:
        return None
    found = lookup(sight.before, packet.source, packet.destination)
    return "" if found is None or found.refuses else found.route.device

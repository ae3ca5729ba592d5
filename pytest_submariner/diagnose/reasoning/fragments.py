"""Whether nodes send fragments that nobody receives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_submariner.dataplane.constants import VXLAN_OVERHEAD
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.sizelosses import fails_by_size
from pytest_submariner.diagnose.tracing.ladder import TUNNEL_DEVICES, underlay
from pytest_submariner.model.nodestate import Link


@dataclass(frozen=True)
class Fragmenter:
    """A node that cut packets while probes ran, by the devices that leave no room for their header."""

    sight: NodeSight
    created: int
    devices: tuple[Link, ...]


def loses_fragments(seen: Observation) -> bool:
    """Whether flows fail by their size, fragments were sent, and hardly any was put together anywhere."""
    if not any(map(fails_by_size, seen.failing)):
        return False
    sent = sum(found.created for found in fragmenters(seen))
    received = [sight.rise("IpReasmReqds") for sight in seen.every()]
    known = [count for count in received if count is not None]
    return sent > 0 and bool(known) and sum(known) * 4 < sent


def fragmenters(seen: Observation) -> Iterator[Fragmenter]:
    for sight in seen.every():
        created = sight.rise("IpFragCreates")
        if created:
            yield Fragmenter(sight, created, too_large(sight))


def too_large(sight: NodeSight) -> tuple[Link, ...]:
    """Submariner's VXLAN devices whose MTU leaves no room for their header on the NIC."""
    nic = sight.link(underlay(sight))
    if nic is None:
        return ()
    links = (link for link in sight.before.links or () if link.name in TUNNEL_DEVICES and link.kind == "vxlan")
    return tuple(link for link in links if link.mtu > nic.mtu - VXLAN_OVERHEAD)

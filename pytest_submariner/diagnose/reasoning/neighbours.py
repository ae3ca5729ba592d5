"""Which hosts of the underlay answer for a node's address, by the neighbour tables of the others and by ARP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.ladder import underlay
from pytest_submariner.model.topology import Node


@dataclass(frozen=True)
class Impostor:
    """`witness` believes, or was told by ARP, that `node` has the MAC `told`; its device has `own`."""

    node: Node
    ip: str
    own: str
    told: str
    witness: NodeSight

    @property
    def text(self) -> str:
        return f"{self.witness.name}: {self.told} answers for {self.ip}; {self.node.name} itself has {self.own}"


def impostors(seen: Observation) -> Iterator[Impostor]:
    """Nothing is said of addresses behind a router or of networks that answer for their hosts (a cloud's fabric): there no node is
    known by its own MAC, or one MAC stands for many."""
    own = {ip: (sight.node, mac) for sight in seen.every() for ip, mac in _underlay_addresses(sight)}
    told = [(witness, ip, mac) for witness in seen.every() for ip, mac in _believed(seen, witness) if ip in own]
    right = {ip for _, ip, mac in told if mac == own[ip][1]}
    many = {mac for mac in {mac for _, _, mac in told} if len({ip for _, ip, m in told if m == mac}) > 1}
    for witness, ip, mac in told:
        node, known = own[ip]
        flat = any(other in right for other in own if other != ip)
        if mac != known and mac not in many and (ip in right or flat):
            yield Impostor(node, ip, known, mac, witness)


def _underlay_addresses(sight: NodeSight) -> Iterator[tuple[str, str]]:
    device = sight.link(underlay(sight))
    if device is not None and device.mac:
        yield from ((address.ip, device.mac) for address in sight.addresses if address.device == device.name)


def _believed(seen: Observation, witness: NodeSight) -> Iterator[tuple[str, str]]:
    device = underlay(witness)
    for state in (witness.before, witness.after):
        for entry in (state.neighbours if state is not None else None) or ():
            if entry.device == device and entry.mac and entry.state not in ("FAILED", "INCOMPLETE"):
                yield entry.ip, entry.mac
    for answer in seen.arp_answers:
        if answer.cluster == witness.node.cluster and answer.node == witness.name:
            yield from ((answer.ip, mac) for mac in answer.macs)

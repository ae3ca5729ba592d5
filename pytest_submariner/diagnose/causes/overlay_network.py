"""Causes: the network between the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.constants import VX_SUBMARINER, VX_SUBMARINER_PORT
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.spokes import Spoke, carried_by, spokes
from pytest_submariner.diagnose.tracing.trace import Trace
from pytest_submariner.model.path import Kind


@cause(
    "OVERLAY_UDP4800_BLOCKED",
    title="The network between nodes drops UDP/4800",
    symptom="Non-gateway nodes are cut off from other clusters; the gateway's own pods are not, and nodes reach each other otherwise.",
    mechanism="A firewall or security group between the nodes lets the CNI's traffic pass and not that of vx-submariner.",
    evidence="Packets leave the node towards the gateway's address, rightly encapsulated, and do not arrive at its NIC; no counter on "
    "either node moves. The neighbour entry for the gateway's 240.x address is INCOMPLETE or FAILED.",
    remedy="Allow UDP/4800 between all nodes of the cluster, in both directions (security groups, firewalld on the way, fabric ACLs).",
    rank=Rank.TRAFFIC,
    sources=("submariner issue 330", "submariner issue 2841", "Submariner documentation: prerequisites"),
)
def overlay_udp4800_blocked(seen: Observation) -> Iterator[Suspicion]:
    every = list(spokes(seen))
    lost = {spoke.node: traces for spoke in every if (traces := _lost_under_way(seen, spoke))}
    for gateway in dict.fromkeys(spoke.gateway for spoke in every if spoke.node in lost):
        own = [spoke for spoke in every if spoke.gateway == gateway]
        hit = [spoke for spoke in own if spoke.node in lost]
        others_work = any(spoke.node not in lost and seen.working_in(scope.node_cut_off(spoke.node)) for spoke in own)
        for place in [spoke.node for spoke in hit] if others_work else [gateway]:
            about = [spoke for spoke in hit if place in (spoke.node, gateway)]
            yield Suspicion(
                place,
                f"UDP port {VX_SUBMARINER_PORT}",
                tuple(line for spoke in about for line in _encapsulated(spoke)),
                carried_by(seen, place),
                traffic=tuple(dict.fromkeys(_under_way(trace) for spoke in about for trace in lost[spoke.node])),
            )


def _lost_under_way(seen: Observation, spoke: Spoke) -> tuple[Trace, ...]:
    """Traces that end between the NICs of the node and of its gateway, either way. Only of a spoke that sends to the right place, over
    which nothing comes through (else it is loss, or size), and whose nodes reach each other otherwise."""
    device, hub = spoke.device, spoke.hub_device
    if not spoke.is_in_use or device is None or spoke.hub is None or hub is None or not hub.up:
        return ()
    if not spoke.agrees or not (spoke.destinations or frozenset()) & spoke.gateway_ips:
        return ()
    ends = scope.node_cut_off(spoke.node)
    if seen.working_in(ends) or _apart(seen, spoke):
        return ()
    names = {spoke.node.name, spoke.gateway.name}

    def between(trace: Trace) -> bool:
        last, first = trace.last_seen, trace.first_lost
        if last is None or first is None or last.way is not first.way or (last.number, first.number) != (3, 4):
            return False
        return {last.node, first.node} == names

    return seen.traced(ends, seen=between)


def _apart(seen: Observation, spoke: Spoke) -> bool:
    """Whether node and gateway do not reach each other at all, or the node takes another machine for the gateway."""
    nodes = {spoke.node, spoke.gateway}
    if any(
        set(flow.nodes) == nodes
        for flow in seen.failing_in(scope.inside(spoke.node.cluster))
        if flow.case.target.kind is not Kind.VX
    ):
        return True
    links = spoke.hub.before.links if spoke.hub is not None else None
    macs = {link.mac for link in links or () if link.mac}
    known = [
        n
        for n in spoke.sight.before.neighbours or ()
        if n.ip in spoke.gateway_ips and n.device != VX_SUBMARINER and n.mac
    ]
    return bool(macs) and any(entry.mac not in macs for entry in known)


def _encapsulated(spoke: Spoke) -> Iterator[str]:
    device = spoke.device
    assert device is not None
    where = ", ".join(sorted(spoke.destinations or ()))
    yield f"{spoke.node.name}: {VX_SUBMARINER} is up, sends to {where} (VNI {device.vni}, UDP/{device.port}), which is {spoke.gateway.name}"
    if spoke.unresolved:
        told = ", ".join(sorted(spoke.vteps))
        yield f"{spoke.node.name}: the neighbour entry for {told}, {spoke.gateway.name}'s address on the overlay, is {spoke.unresolved[0]}"


def _under_way(trace: Trace) -> str:
    return f"{trace.path_id}: left at {trace.last_seen}, did not arrive at {trace.first_lost}"

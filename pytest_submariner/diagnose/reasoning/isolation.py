"""Flows that NetworkPolicies forbid, at the pods on both ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.packet import Answer, Hook, Packet
from pytest_submariner.diagnose.reasoning.policies import Direction, Isolation
from pytest_submariner.diagnose.reasoning.ways import Layer
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Node


@dataclass(frozen=True)
class Forbidden:
    """`packet` opens the flow, as it is at the isolated pod on `node`."""

    flow: Flow
    node: Node
    packet: Packet
    isolation: Isolation


def forbidden(seen: Observation, flow: Flow) -> Iterator[Forbidden]:
    """Surely or perhaps."""
    if flow.case.source.kind is Kind.POD:
        yield from _at(seen, flow, flow.source, Direction.EGRESS)
    if flow.case.target.kind in (Kind.POD, Kind.SVC):
        yield from _at(seen, flow, flow.target, Direction.INGRESS)


def is_forbidden(seen: Observation, flow: Flow) -> bool:
    """For sure."""
    return any(found.isolation.blocks is Answer.YES for found in forbidden(seen, flow))


def _at(seen: Observation, flow: Flow, node: Node, direction: Direction) -> Iterator[Forbidden]:
    policies = seen.policies.get(node.cluster)
    if not policies:
        return
    passages = [p for p in seen.ways.at(flow, node) if p.opens and p.layer is Layer.INNER and p.hook is Hook.FORWARD]
    if not passages and flow.to_service:
        return
    packet = (
        passages[0 if direction is Direction.EGRESS else -1].packet
        if passages
        else Packet(flow.source_ip, flow.target_ip, flow.case.protocol.value, destination_port=flow.port)
    )
    isolation = policies.isolation(direction, packet)
    if isolation is not None and not flow.crosses and Kind.POD is not flow.case.source.kind:
        # Whether a policy binds the cluster's own nodes is for the CNI to say.
        isolation = replace(isolation, blocks=min(isolation.blocks, Answer.MAY))
    if isolation is not None and isolation.blocks is not Answer.NO:
        yield Forbidden(flow, node, packet, isolation)

"""How nodes rewrite the sources of flows between clusters, where Submariner means them to be left alone, or to become the node's CNI
address (host network of a non-gateway node)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.addresses import vtep_network
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.chains import Step
from pytest_submariner.diagnose.packetfilter.packet import Hook, Packet
from pytest_submariner.diagnose.reasoning.routelookup import in_any, lookup
from pytest_submariner.diagnose.reasoning.submarinerchains import backends, is_own, leads_to_postrouting
from pytest_submariner.diagnose.reasoning.ways import Layer, Passage, translated
from pytest_submariner.diagnose.scope import Scope
from pytest_submariner.model.path import Kind as EndKind
from pytest_submariner.model.topology import Node


class Kind(StrEnum):
    """What is wrong with a source."""

    REWRITTEN = "rewritten"
    """By somebody else's rule, though packets come to Submariner's chain, or would if that rule did not stand first."""
    OTHER_BACKEND = "other backend"
    """By a rule in the backend of iptables that Submariner's chains are not in."""
    NOT_REACHED = "not reached"
    """Packets never come to Submariner's chain."""
    NOT_TRANSLATED = "not translated"
    """The host keeps its 240.x address, which no other cluster can answer."""
    FOREIGN_ADDRESS = "foreign address"
    """The host gets an address that is not the node's, or not one of pods."""
    FOREIGN_DEVICE = "foreign device"
    """The host gets an address of the node to which the cluster does not route."""
    NO_CNI_ADDRESS = "no CNI address"
    """The node has no address to give."""


@dataclass(frozen=True)
class Translation:
    """What happens at `passage`: `step` rewrites its source to `source`, or nothing does (`step` None)."""

    kind: Kind
    flow: Flow
    passage: Passage
    step: Step | None
    source: str

    @property
    def sight(self) -> NodeSight:
        return self.passage.sight

    @property
    def text(self) -> str:
        packet, node = self.passage.packet, self.sight.name
        if self.step is None:
            return f"{node}: no rule rewrites the source of {packet} (to {packet.out_device})"
        return f"{node}: `{self.step}` makes {self.source} of the source of {packet}"


def wrong(seen: Observation, *kinds: Kind) -> Iterator[tuple[NodeSight, tuple[Translation, ...]]]:
    """Nodes that rewrite sources of failing flows wrongly in one of these ways."""
    found: dict[Node, list[Translation]] = {}
    for flow in seen.failing:
        for translation in translations(seen, flow):
            if translation.kind in kinds:
                found.setdefault(translation.passage.node, []).append(translation)
    for told in found.values():
        yield told[0].sight, tuple(told)


def rewritten_at(seen: Observation, node: Node, *kinds: Kind) -> Scope:
    def holds(flow: Flow) -> bool:
        if not seen.ways.passes(flow, node):
            return False
        return any(t.kind in kinds and t.passage.node == node for t in translations(seen, flow))

    return Scope(f"whose source {node.name} does not handle as Submariner means it", holds)


def translations(seen: Observation, flow: Flow) -> tuple[Translation, ...]:
    """The first wrong one of a flow's first packet: what later nodes do with a wrong source follows from it.
    Nothing is said of Globalnet, where sources are meant to change, and of nodes without Submariner's chains: their agent is missing."""
    key = ("translations", flow.id)
    if key not in seen.ways.remembered:
        seen.ways.remembered[key] = tuple(_translations(seen, flow))
    found: tuple[Translation, ...] = seen.ways.remembered[key]
    return found


def _translations(seen: Observation, flow: Flow) -> Iterator[Translation]:
    if not flow.crosses or any(seen.topology.cluster(node.cluster).globalnet for node in flow.nodes):
        return
    for passage in seen.ways.of(flow):
        asked = passage.layer is Layer.INNER and passage.hook is Hook.POSTROUTING and passage.opens
        if not asked or passage.passed is None or not backends(passage.sight, "nat", c.POSTROUTING_CHAIN):
            continue
        by = passage.passed.by
        if by is not None and not by.sure:
            continue
        source = translated(passage.sight, passage.packet, passage.passed).source
        is_host = in_any(passage.packet.source, (vtep_network(c.VX_SUBMARINER_OCTET),))
        if not is_host and not in_any(passage.packet.source, seen.topology.cluster(flow.source.cluster).pod_cidrs):
            return  # neither a pod nor a host by its overlay: it left its node by a wrong way, and is no packet of Submariner's
        kind = _of_host(seen, passage, by, source) if is_host else _of_pod(passage, by, source)
        if kind is not None:
            yield Translation(kind, flow, passage, by, source)
            return


def _of_pod(passage: Passage, by: Step | None, source: str) -> Kind | None:
    if by is None or is_own(by) or source == passage.packet.source:
        return None
    return _of_foreign_rule(passage, by)


def _of_foreign_rule(passage: Passage, by: Step) -> Kind:
    own = backends(passage.sight, "nat", c.POSTROUTING_CHAIN)
    if by.backend and by.backend not in own:
        return Kind.OTHER_BACKEND
    return Kind.REWRITTEN if leads_to_postrouting(passage.sight, passage.packet) else Kind.NOT_REACHED


def _of_host(seen: Observation, passage: Passage, by: Step | None, source: str) -> Kind | None:
    sight, packet = passage.sight, passage.packet
    if packet.out_device != c.VX_SUBMARINER or sight.before.addresses is None:
        return None
    own = {ip for ip in sight.own_ips if in_any(ip, sight.cluster.pod_cidrs)}
    if source in own:
        return None if _is_routed_to(seen, sight, packet, source) is not False else Kind.FOREIGN_DEVICE
    if by is not None and by.verdict == "SNAT" and is_own(by):
        return Kind.FOREIGN_ADDRESS
    if not leads_to_postrouting(sight, packet):
        return Kind.NOT_REACHED
    if by is not None and not is_own(by):
        return _of_foreign_rule(passage, by)
    return Kind.NOT_TRANSLATED if own else Kind.NO_CNI_ADDRESS


def _is_routed_to(seen: Observation, sight: NodeSight, packet: Packet, ip: str) -> bool | None:
    """Whether the gateway sends packets for `ip` where it sends those for the node's pods; None when that is not known."""
    gateway = seen.sight(seen.gateway(sight.node.cluster))
    if gateway is None or gateway.before.routes is None or gateway is sight:
        return None
    pod = _a_pod_on(seen, sight.node)
    known = lookup(gateway.before, pod) if pod else None
    found = lookup(gateway.before, ip)
    if found is None or known is None:
        return None
    return (found.route.device, found.route.gateway) == (known.route.device, known.route.gateway)


def _a_pod_on(seen: Observation, node: Node) -> str:
    """The address of one; "" when no path has an end there."""
    key = ("pod", node)
    if key not in seen.ways.remembered:
        own = (f.source_ip for f in seen.flows if f.source == node and f.case.source.kind is EndKind.POD)
        others = (f.target_ip for f in seen.flows if f.target == node and f.case.target.kind is EndKind.POD)
        seen.ways.remembered[key] = next(filter(None, (*own, *others)), "")
    return str(seen.ways.remembered[key])

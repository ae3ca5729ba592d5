"""What a node's packet filters drop of the flows that pass it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.chains import Step
from pytest_submariner.diagnose.packetfilter.counts import risen
from pytest_submariner.diagnose.packetfilter.packet import Hook
from pytest_submariner.diagnose.reasoning.ways import Layer, Passage
from pytest_submariner.diagnose.scope import Scope
from pytest_submariner.model.topology import Node


@dataclass(frozen=True)
class Drop:
    """`step` surely drops the packet of `passage`."""

    flow: Flow
    passage: Passage
    step: Step


@dataclass(frozen=True)
class Dropper:
    """A node that drops packets of failing flows, and all such drops there."""

    sight: NodeSight
    drops: tuple[Drop, ...]
    explains: Scope
    refuted_by: Scope
    """Flows whose first packet would be dropped for sure."""

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(dict.fromkeys(drop.step for drop in self.drops))

    def hits(self, layer: Layer) -> bool:
        return any(drop.passage.layer is layer for drop in self.drops)

    @property
    def object(self) -> str:
        """`filter/FORWARD`, or all such places."""
        return ", ".join(dict.fromkeys(step.place for step in self.steps))

    def state(self) -> tuple[str, ...]:
        """A sentence per rule that drops, with a packet it drops."""
        first = {drop.step: drop.passage.packet for drop in reversed(self.drops)}
        return tuple(
            f"{self.sight.name}: `{step}` drops {packet}{_devices(packet.in_device, packet.out_device)}"
            for step, packet in ((step, first[step]) for step in self.steps)
        )

    def traffic(self) -> tuple[str, ...]:
        return tuple(filter(None, (counted(self.sight, step) for step in self.steps)))


Places = frozenset[tuple[Layer, Hook]]


def places(layer: Layer, *hooks: Hook) -> Places:
    return frozenset((layer, hook) for hook in hooks)


def droppers(seen: Observation, asked: Places, nodes: Iterable[Node] | None = None) -> Iterator[Dropper]:
    """Nodes that surely drop packets of failing flows at the places asked about."""
    allowed = None if nodes is None else frozenset(nodes)
    found: dict[Node, list[Drop]] = {}
    for flow in seen.failing:
        for drop in _drops(seen, flow, asked):
            if allowed is None or drop.passage.node in allowed:
                found.setdefault(drop.passage.node, []).append(drop)
    for node, drops in found.items():
        yield Dropper(drops[0].passage.sight, tuple(drops), *_scopes(seen, node, asked))


def counted(sight: NodeSight, step: Step) -> str | None:
    """That a rule, or policy, counted while probes ran."""
    rise = risen(sight.before, sight.after, step)
    return f"{sight.name}: `{step}` counted {rise} packets while probes ran" if rise else None


def _scopes(seen: Observation, node: Node, asked: Places) -> tuple[Scope, Scope]:
    def dropped(flow: Flow) -> bool:
        return seen.ways.passes(flow, node) and any(d.passage.node == node for d in _drops(seen, flow, asked))

    def opening(flow: Flow) -> bool:
        if not seen.ways.passes(flow, node):
            return False
        return any(drop.passage.node == node and drop.passage.opens for drop in _drops(seen, flow, asked))

    return Scope(f"whose packets {node.name} drops", dropped), Scope(f"which {node.name} lets nobody open", opening)


def _drops(seen: Observation, flow: Flow, asked: Places) -> tuple[Drop, ...]:
    key = ("drops", asked, flow.id)
    if key not in seen.ways.remembered:
        seen.ways.remembered[key] = tuple(
            Drop(flow, passage, step)
            for passage in seen.ways.of(flow)
            if (passage.layer, passage.hook) in asked
            for step in passage.sight.firewall.drops(passage.hook, passage.packet)
            if step.sure
        )
    found: tuple[Drop, ...] = seen.ways.remembered[key]
    return found


def _devices(entered: str, left: str) -> str:
    found = [f"{word} {device}" for word, device in (("from", entered), ("to", left)) if device]
    return f" ({' '.join(found)})" if found else ""

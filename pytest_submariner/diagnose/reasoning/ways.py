"""The packets of a flow, hook by hook, on every node they are meant to pass: what packet filters and reverse-path checks are asked
about. Pure.

`ladder` says where packets can be seen; this says what they look like there: addresses after translation, devices, what
connection tracking calls them. Devices are those of the intended way, so that a fault of routing does not hide one of filters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pytest_submariner.dataplane.constants import VX_SUBMARINER, VX_SUBMARINER_PORT
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.packetfilter.firewall import Passed
from pytest_submariner.diagnose.packetfilter.packet import EPHEMERAL, Hook, Packet, State
from pytest_submariner.diagnose.reasoning.routelookup import lookup
from pytest_submariner.diagnose.tracing.ladder import cable_device, is_ovn, underlay
from pytest_submariner.diagnose.tracing.trace import Way
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Cluster, Node, Role, Topology

_MOST = 4096
"""Flows remembered with their packets, some kilobytes each."""
CABLE_PORT = 4500
"""submariner:pkg/port/ports.go; an Endpoint's backend_config may say otherwise."""


class Layer(StrEnum):
    INNER = "inner"
    OVERLAY = "overlay"
    """UDP/4800 between a node and its gateway."""
    CABLE = "cable"
    """Between gateways."""


@dataclass(frozen=True)
class Passage:
    """A packet at a hook of a node, and what the NAT chains there make of it (`passed`, for NAT hooks)."""

    sight: NodeSight
    way: Way
    layer: Layer
    hook: Hook
    packet: Packet
    passed: Passed | None = None

    @property
    def node(self) -> Node:
        return self.sight.node

    @property
    def opens(self) -> bool:
        """Whether it begins the flow: chance and connection tracking apart, its fate is the flow's."""
        return self.way is Way.REQUEST


class Ways:
    """Passages of flows, remembered."""

    def __init__(self, topology: Topology, sights: Mapping[tuple[str, str], NodeSight]) -> None:
        self._topology = topology
        self._sights = sights
        self._found: dict[str, tuple[Passage, ...]] = {}
        self.remembered: dict[object, Any] = {}
        """Room for what others compute of passages."""

    def of(self, flow: Flow) -> tuple[Passage, ...]:
        """In order, request first; of nodes that were read only. They end where a ClusterIP is not translated. Empty for what is no
        traffic, has no addresses, or is carried by OVN, whose packets netfilter does not see."""
        if flow.id not in self._found:
            if len(self._found) >= _MOST:
                self._found.clear()
            self._found[flow.id] = tuple(self._walk(flow)) if self._is_walked(flow) else ()
        return self._found[flow.id]

    def passes(self, flow: Flow, node: Node) -> bool:
        """Whether the flow's way leads over `node` at all; cheap, so ask it first: a mesh has tens of thousands of flows."""
        if node in flow.nodes:
            return True
        return flow.crosses and node.role is Role.GATEWAY and node.cluster in (flow.source.cluster, flow.target.cluster)

    def at(self, flow: Flow, node: Node) -> tuple[Passage, ...]:
        return tuple(passage for passage in self.of(flow) if passage.node == node)

    def _is_walked(self, flow: Flow) -> bool:
        clusters = (self._topology.cluster(node.cluster) for node in flow.nodes)
        asked = bool(flow.source_ip and flow.target_ip) and not flow.is_status and flow.case.target.kind is not Kind.VX
        return asked and not any(is_ovn(cluster) for cluster in clusters)

    def _walk(self, flow: Flow) -> Iterator[Passage]:
        trip = _Trip(
            self._topology, self._sights, self.remembered, Way.REQUEST, flow.target_ip if flow.to_service else ""
        )
        packet = Packet(flow.source_ip, flow.target_ip, flow.case.protocol.value, EPHEMERAL, flow.port)
        if flow.case.source.kind is not Kind.POD:
            packet = replace(packet, source=_chosen_source(trip.sight(flow.source), flow) or flow.source_ip)
        pods = (flow.case.source.kind is Kind.POD, flow.case.target.kind in (Kind.POD, Kind.SVC))
        yield from trip.go(packet, flow.source, flow.target, pods)
        met = trip.packet
        if trip.is_for_service:
            return
        back = _Trip(self._topology, self._sights, self.remembered, Way.REPLY)
        reply = replace(
            met,
            source=met.destination,
            destination=met.source,
            source_port=met.destination_port,
            destination_port=met.source_port,
            in_device="",
            out_device="",
            state=State.ESTABLISHED,
            is_reply=True,
            mark=0,
        )
        yield from back.go(reply, flow.target, flow.source, (pods[1], pods[0]))


class _Trip:
    """One way of a flow; `packet` is as it is so far."""

    def __init__(
        self,
        topology: Topology,
        sights: Mapping[tuple[str, str], NodeSight],
        remembered: dict[object, Any],
        way: Way,
        service: str = "",
    ) -> None:
        """`service`: the ClusterIP the flow is for, "" for a pod or host."""
        self._topology = topology
        self._sights = sights
        self._remembered = remembered
        self._way = way
        self._service = service
        self.packet = Packet("", "")

    @property
    def is_for_service(self) -> bool:
        """Whether nobody gave the packet a pod's address yet, or nobody whose rules are understood: where it goes then is not known."""
        return bool(self._service) and self.packet.destination == self._service

    def sight(self, node: Node | None) -> NodeSight | None:
        return None if node is None else self._sights.get((node.cluster, node.name))

    def go(self, packet: Packet, origin: Node, goal: Node, pods: tuple[bool, bool]) -> Iterator[Passage]:
        """`pods`: whether the ends are on the pod network."""
        self.packet = packet
        if origin.cluster == goal.cluster:
            yield from self._leave(origin, pods[0], "")
            if origin != goal and not self.is_for_service:
                yield from self._arrive(goal, pods[1], self._facing(goal, origin))
            return
        home, away = self._topology.cluster(origin.cluster), self._topology.cluster(goal.cluster)
        near, far = (cluster.node_at(Role.GATEWAY.place) for cluster in (home, away))
        if near is None or far is None:
            return
        yield from self._leave(origin, pods[0], VX_SUBMARINER if origin != near else self._cable(home, near))
        if origin != near:
            yield from self._tunnel(Layer.OVERLAY, origin, near, VX_SUBMARINER_PORT)
            yield from self._forward(near, VX_SUBMARINER, self._cable(home, near))
        yield from self._tunnel(Layer.CABLE, near, far, CABLE_PORT)
        if goal == far:
            yield from self._arrive(far, pods[1], self._cable(away, far))
        else:
            yield from self._forward(far, self._cable(away, far), "")
            if not self.is_for_service:
                yield from self._arrive(goal, pods[1], self._facing(goal, far))

    def _leave(self, node: Node, is_pod: bool, out: str) -> Iterator[Passage]:
        """`out`: the device meant, "" for the CNI's choice."""
        sight = self.sight(node)
        if sight is None:
            return
        if is_pod:
            self._set(in_device=self._device(sight, self.packet.source))
            yield self._translate(sight, Hook.PREROUTING)
        else:
            self._set(out_device=out or self._device(sight, self.packet.destination))
            yield self._translate(sight, Hook.OUTPUT)
        if self.is_for_service and not out:
            return
        self._set(out_device=out or self._device(sight, self.packet.destination))
        if is_pod:
            yield self._pass(sight, Hook.FORWARD)
        yield self._translate(sight, Hook.POSTROUTING)
        self._sent()

    def _forward(self, node: Node, in_device: str, out: str) -> Iterator[Passage]:
        sight = self.sight(node)
        if sight is None:
            return
        self._set(in_device=in_device)
        yield self._translate(sight, Hook.PREROUTING)
        if self.is_for_service and not out:
            return
        self._set(out_device=out or self._device(sight, self.packet.destination))
        yield self._pass(sight, Hook.FORWARD)
        yield self._translate(sight, Hook.POSTROUTING)
        self._sent()

    def _arrive(self, node: Node, is_pod: bool, in_device: str) -> Iterator[Passage]:
        if is_pod:
            yield from self._forward(node, in_device, "")
            return
        sight = self.sight(node)
        if sight is not None:
            self._set(in_device=in_device)
            yield self._translate(sight, Hook.PREROUTING)
            yield self._pass(sight, Hook.INPUT)
            self._set(in_device="")

    def _tunnel(self, layer: Layer, origin: Node, goal: Node, port: int) -> Iterator[Passage]:
        """The outer packets. IPsec may use ESP; that its UDP port is open is asked all the same."""
        sender, receiver = self.sight(origin), self.sight(goal)
        outer = Packet(origin.internal_ip, goal.internal_ip, "udp", EPHEMERAL, port)
        if sender is not None:
            yield Passage(sender, self._way, layer, Hook.OUTPUT, replace(outer, out_device=underlay(sender)))
        if receiver is not None:
            arriving = replace(outer, in_device=underlay(receiver))
            yield Passage(receiver, self._way, layer, Hook.PREROUTING, arriving)
            yield Passage(receiver, self._way, layer, Hook.INPUT, arriving)

    def _translate(self, sight: NodeSight, hook: Hook) -> Passage:
        before = self.packet
        passed = sight.firewall.passed(hook, before)
        self.packet = translated(sight, before, passed) if passed.by is not None else passed.packet
        return Passage(sight, self._way, Layer.INNER, hook, before, passed)

    def _pass(self, sight: NodeSight, hook: Hook) -> Passage:
        return Passage(sight, self._way, Layer.INNER, hook, self.packet)

    def _sent(self) -> None:
        """What only the node knows of the packet is gone."""
        self.packet = replace(self.packet, in_device="", out_device="", mark=0)

    def _set(self, **parts: str) -> None:
        if any(getattr(self.packet, name) != value for name, value in parts.items()):
            self.packet = replace(self.packet, **parts)  # type: ignore[arg-type]

    def _device(self, sight: NodeSight, ip: str) -> str:
        """Where the node sends packets for `ip`; "" when it is not known."""
        key = ("device", sight.node, ip)
        if key not in self._remembered:
            found = None if not ip or ip in sight.own_ips else lookup(sight.before, ip)
            self._remembered[key] = "" if found is None or found.refuses else found.route.device
        return str(self._remembered[key])

    def _cable(self, cluster: Cluster, gateway: Node) -> str:
        return cable_device(cluster) or underlay(self.sight(gateway))

    def _facing(self, node: Node, other: Node) -> str:
        """The device by which packets of pods, or of the host, of `other` come to `node`: the one its own way there leaves by."""
        sight, peer = self.sight(node), self.sight(other)
        if sight is None:
            return ""
        pods = peer.facts.cni_ip if peer is not None and peer.facts is not None else None
        return self._device(sight, pods or other.internal_ip) or underlay(sight)


def translated(sight: NodeSight, packet: Packet, passed: Passed) -> Packet:
    """The packet after what translated it."""
    by, packet = passed.by, passed.packet
    if by is None:
        return packet
    ip, _, port = by.to.partition(":")
    if by.verdict in ("DNAT", "REDIRECT"):
        return packet.to(ip, int(port) if port.isdigit() else None) if ip else packet
    if by.verdict == "SNAT" and ip:
        return replace(packet, source=ip.partition("-")[0])
    device = packet.out_device
    source = next((address.ip for address in sight.addresses if address.device == device), "")
    return replace(packet, source=source or packet.source)


def _chosen_source(sight: NodeSight | None, flow: Flow) -> str:
    """The source a host process gets: the route's, or the first address of its device."""
    if sight is None:
        return ""
    found = lookup(sight.before, flow.target_ip)
    if found is None or found.refuses:
        return ""
    if found.route.source:
        return found.route.source
    return next((address.ip for address in sight.addresses if address.device == found.route.device), "")

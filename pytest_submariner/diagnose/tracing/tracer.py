"""The hop tracer: asks some failing paths once more while all nodes on their ways watch, and tells how far the packets came.

One capture per node, in one exec to start and one to stop; where a node has neither tcpdump nor python3, or refuses,
counters of its devices before and after are all there is. Captures end by themselves and leave nothing behind
(`nodestate.capture`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from pytest_submariner.dataplane.constants import (
    CABLE_PORT,
    VX_SUBMARINER_OCTET,
    VX_SUBMARINER_PORT,
    VXLAN_TUNNEL_OCTET,
)
from pytest_submariner.dataplane.facts import cni_address
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.tracing import tracenotes
from pytest_submariner.diagnose.tracing.conversation import Conversation, NodeKey, conversations, listener_ports
from pytest_submariner.diagnose.tracing.ladder import TUNNEL_DEVICES, Sights, is_readable, ladder, underlay
from pytest_submariner.diagnose.tracing.representatives import representatives
from pytest_submariner.diagnose.tracing.sightings import COUNTERS, Look, astray, sightings
from pytest_submariner.diagnose.tracing.trace import Rung, Trace
from pytest_submariner.diagnose.tracing.watch import Watch
from pytest_submariner.model.path import Kind, PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node, Role, Topology
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.nodestate.selection import Selection
from pytest_submariner.transport.node import NodeExec

AT_ONCE = 24
QUICK_S = 1.0
"""An asking that ends sooner did not wait for anything: less than the second between two ARP requests (arp(7), retrans_time)."""
CNI_TUNNELS = (4789, 8472)
"""UDP ports of VXLANs that CNIs have between nodes: IANA's (Calico), the kernel's old default (flannel, Cilium)."""
OCTETS = (VX_SUBMARINER_OCTET, VXLAN_TUNNEL_OCTET)
_ANSWERED = frozenset({Verdict.OK, Verdict.WRONG_SOURCE, Verdict.UNEXPECTED})

Ask = Callable[[Sequence[PathCase]], Mapping[str, PathResult]]


class Tracer:
    """Traces paths of one set of clusters. `node_exec` runs commands on a node; `ask` asks paths once, briefly, from the same pods as
    before."""

    def __init__(self, topology: Topology, node_exec: Callable[[Node], NodeExec], ask: Ask) -> None:
        self._topology = topology
        self._node_exec = node_exec
        self._ask = ask

    def trace(self, flows: Sequence[Flow], sights: Sights) -> dict[str, Trace]:
        """Traces of a few of `flows` that stand for all, by path id. What cannot be captured is said in a trace's notes; an error of
        `ask` passes through, after the captures were ended."""
        chosen = representatives(flows)
        ladders = {flow.id: ladder(flow, self._topology, sights) for flow in chosen}
        chosen = tuple(flow for flow in chosen if ladders[flow.id])
        nodes = self._nodes(rung for rungs in ladders.values() for rung in rungs)
        if not nodes:
            return {}
        cable_ports = _cable_ports(sights)
        wanted = self._selection(chosen, sights, cable_ports)
        watches = {_key(node): Watch(self._node_exec, node, wanted, underlay(sights.get(_key(node)))) for node in nodes}
        with ThreadPoolExecutor(min(AT_ONCE, len(nodes)), thread_name_prefix="trace") as pool:
            try:
                list(pool.map(Watch.start, watches.values()))
                answers = self._asked(chosen)
            finally:
                looks = dict(zip(watches, pool.map(Watch.stop, watches.values()), strict=True))
        seen = {key: look for key, look in looks.items() if look is not None}
        refusals = {key: watch.refusal for key, watch in watches.items() if watch.refusal}
        known = conversations(
            chosen, {key: look.packets for key, look in seen.items() if look.tool != COUNTERS}, self._topology
        )
        return {
            flow.id: self._told(known[flow.id], ladders[flow.id], seen, refusals, answers.get(flow.id), cable_ports)
            for flow in chosen
        }

    def _asked(self, flows: Sequence[Flow]) -> Mapping[str, PathResult]:
        """Asked twice where refusals came at once: a neighbour that does not answer is given up before anybody watched, and
        looked for again, in sight, when the next packet comes."""
        started = time.monotonic()
        answers = dict(self._ask([flow.case for flow in flows]))
        again = [f.case for f in flows if f.id in answers and answers[f.id].verdict not in _ANSWERED]
        if again and time.monotonic() - started < QUICK_S:
            answers |= self._ask(again)
        return answers

    def _told(
        self,
        conversation: Conversation,
        rungs: tuple[Rung, ...],
        looks: Mapping[NodeKey, Look],
        refusals: dict[NodeKey, str],
        answer: PathResult | None,
        cable_ports: frozenset[int],
    ) -> Trace:
        flow = conversation.flow
        nodes = list(dict.fromkeys((rung.cluster, rung.node) for rung in rungs))
        here = {key: looks[key] for key in nodes if key in looks}
        followed = {key: conversation.among(look.packets) for key, look in here.items()}
        ips = frozenset(node.internal_ip for node in self._nodes(rungs))
        notes = [
            *tracenotes.limits(nodes, here, refusals),
            *tracenotes.errors(conversation, nodes, here, cable_ports | {VX_SUBMARINER_PORT}, ips),
            *tracenotes.unanswered(conversation, nodes, here, OCTETS),
        ]
        readable = not flow.crosses or is_readable(self._topology.cluster(flow.case.source.cluster))
        if not readable:
            notes.append("the cable is encrypted: its packets do not tell whose they are")
        if answer is not None and not _was_asked(answer):
            notes.append(f"asked again, it could not be told: {answer.detail}")
        return Trace(
            flow.id,
            sightings(followed, rungs, here, cable_ports if readable else None),
            answered=answer is not None and answer.verdict in _ANSWERED,
            tools={key[1]: look.tool for key, look in here.items()},
            notes=tuple(notes),
            astray=astray(followed, rungs, here, cable_ports if readable else None),
            lines=tracenotes.lines(conversation, followed, nodes, here),
        )

    def _selection(self, flows: Sequence[Flow], sights: Sights, cable_ports: frozenset[int]) -> Selection:
        """The flows' packets, whatever NAT makes of their ends."""
        addresses: dict[str, None] = {}
        hosts: dict[str, None] = {}
        for flow in flows:
            for ip, kind in ((flow.source_ip, flow.case.source.kind), (flow.target_ip, flow.case.target.kind)):
                (addresses if kind in (Kind.POD, Kind.SVC) else hosts)[ip] = None
            for node in self._rewriters(flow) if flow.to_service else ():
                # Behind them neither the Service's address may be left, nor the source's.
                hosts |= dict.fromkeys(_sources(sights.get(_key(node))))
        ports = sorted({port for flow in flows for port in listener_ports(flow)})
        used = {link.port for sight in sights.values() for link in sight.before.links or () if link.port}
        tunnels = dict.fromkeys((VX_SUBMARINER_PORT, *sorted(cable_ports), *CNI_TUNNELS, *sorted(used)))
        return Selection(tuple(addresses), tuple(hosts), tuple(ports), tuple(tunnels), OCTETS)

    def _rewriters(self, flow: Flow) -> Iterator[Node]:
        """Nodes that may give a flow to a Service another source."""
        yield flow.source
        if flow.crosses:
            gateways = (self._topology.cluster(node.cluster).node_at(Role.GATEWAY.place) for node in flow.nodes)
            yield from (node for node in gateways if node is not None)

    def _nodes(self, rungs: Iterable[Rung]) -> list[Node]:
        named = {_key(node): node for cluster in self._topology.clusters for node in cluster.nodes}
        return [named[key] for key in dict.fromkeys((rung.cluster, rung.node) for rung in rungs)]


def _sources(sight: NodeSight | None) -> list[str]:
    """Addresses a node gives to what it sends on: not all it has, which with kube-proxy's IPVS are those of all Services."""
    if sight is None:
        return []
    cni = cni_address(sight.addresses, sight.cluster.pod_cidrs)
    devices = {underlay(sight), *TUNNEL_DEVICES, *([cni.device] if cni else [])}
    return sorted({a.ip for a in sight.addresses if a.device in devices})


def _cable_ports(sights: Sights) -> frozenset[int]:
    told = {
        int(port)
        for sight in sights.values()
        for endpoint in (sight.view.endpoints if sight.view is not None else ())
        if (port := endpoint.backend_config.get("udp-port", "")).isdigit()
    }
    return frozenset(told | {CABLE_PORT})


def _was_asked(answer: PathResult) -> bool:
    return answer.verdict not in (Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.SKIPPED)


def _key(node: Node) -> NodeKey:
    return node.cluster, node.name

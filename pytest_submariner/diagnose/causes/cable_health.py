"""Causes: the health check between gateways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.packet import Packet, State
from pytest_submariner.diagnose.reasoning.cables import CableEnd, cable_ends
from pytest_submariner.diagnose.reasoning.delivery import ENTERING, LEAVING, sure_drops
from pytest_submariner.diagnose.reasoning.published import STALE_S, gateway_age_s
from pytest_submariner.model.path import Kind
from pytest_submariner.model.path import Protocol as PathProtocol
from pytest_submariner.model.topology import Node

IGNORE_ECHO = "net.ipv4.icmp_echo_ignore_all"
_NO_PING = re.compile(r"failed to successfully ping", re.IGNORECASE)
"""submariner:pkg/pinger/pinger.go"""


@dataclass
class _Filter:
    """What keeps pings of one or several clusters from being answered, at one node."""

    node: Node
    object: str
    is_seen: bool
    """Whether the rule or setting itself was read."""
    state: list[str] = field(default_factory=list)
    explains: list[scope.Scope] = field(default_factory=list)


@cause(
    "CABLE_HEALTHCHECK_ICMP_FILTERED",
    title="The health check's ping is dropped, data is not",
    symptom="The gateway status says error, though traffic crosses; Lighthouse then withholds the other cluster's services.",
    mechanism="Gateways ping each other's CNI address once a second. A filter on a gateway node that drops ICMP makes that fail alone.",
    evidence="A rule or setting of the gateway node drops echo requests to its healthCheckIP; TCP from gateway to gateway works.",
    remedy="Accept ICMP echo requests to the CNI address of gateway nodes, or switch the check off: `spec.connectionHealthCheck.enabled: "
    "false` of the Submariner object.",
    effects=("DNS_CLUSTER_WITHHELD",),
    sources=("Submariner gateway engine page", "submariner:pkg/pinger/pinger.go"),
)
def healthcheck_icmp_filtered(seen: Observation) -> Iterator[Suspicion]:
    found: dict[tuple[Node, str], _Filter] = {}
    for end in cable_ends(seen):
        for filtered in _filters(seen, end):
            known = found.setdefault((filtered.node, filtered.object), filtered)
            known.state += [line for line in (*filtered.state, *_said(end)) if line not in known.state]
            known.explains.append(scope.status_between(*end.positions))
    for filtered in found.values():
        explains = reduce(or_, filtered.explains)
        yield Suspicion(filtered.node, filtered.object, tuple(filtered.state), explains, latent=filtered.is_seen)


def _filters(seen: Observation, end: CableEnd) -> Iterator[_Filter]:
    """What drops pings of the gateway here to the health check address of the other, or the answers."""
    ip = end.peer.health_check_ip
    if not ip or end.far is None or ip not in end.far.own_ips:
        return
    places = list(_rules(end, end.far, ip))
    if end.far.setting(IGNORE_ECHO) == "1":
        text = f"{end.far.name}: {IGNORE_ECHO} is 1, so no ping is answered"
        places.append(_Filter(end.far.node, f"sysctl {IGNORE_ECHO}", is_seen=True, state=[text]))
    age = gateway_age_s(seen, end.here)
    is_of_now = age is None or age <= STALE_S
    if not places and is_of_now and any(_said(end)) and _is_alive(seen, end):
        places.append(_Filter(end.far.node, f"ICMP to {ip}", is_seen=False, state=["no rule that was read drops it"]))
    yield from places


def _rules(end: CableEnd, far: NodeSight, ip: str) -> Iterator[_Filter]:
    source = end.sight.facts.cni_ip if end.sight is not None and end.sight.facts is not None else None
    if end.sight is None or not source:
        return
    ping = Packet(source, ip, "icmp")
    pong = Packet(ip, source, "icmp", state=State.ESTABLISHED, is_reply=True)
    for sight, hooks, packet in (
        (end.sight, LEAVING, ping),
        (far, ENTERING, ping),
        (far, LEAVING, pong),
        (end.sight, ENTERING, pong),
    ):
        for step in sure_drops(sight.before, hooks, packet):
            yield _Filter(sight.node, step.place, is_seen=True, state=[f"{sight.name}: {step} drops {packet}"])


def _said(end: CableEnd) -> Iterator[str]:
    connection = end.connection
    if connection is not None and connection.status == "error" and _NO_PING.search(connection.status_message):
        yield f"{end.here.position} says of {end.there.position}: {connection.status_message}"


def _is_alive(seen: Observation, end: CableEnd) -> bool:
    """Whether the host of the gateway here reaches the other cluster by TCP."""
    mine = scope.crossing(*end.positions) & scope.from_node(end.node) & scope.by_protocol(PathProtocol.TCP)
    return bool(seen.working_in(mine & scope.opened_by(Kind.HOSTPOD))) and not seen.failing_in(mine)

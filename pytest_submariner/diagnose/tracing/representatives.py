"""Which of many failing flows to trace: few, that stand for all. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.model.path import Kind, Protocol

MOST = 8
_ORDER = (Protocol.TCP, Protocol.UDP, Protocol.ICMP)


def representatives(flows: Sequence[Flow], limit: int = MOST) -> tuple[Flow, ...]:
    """At most `limit` flows that can be traced (IPv4 traffic), such that as many as possible of their source nodes and kinds,
    target nodes and kinds, protocols, sizes and verdicts occur; plain TCP before others. No two have addresses and protocol in
    common, so that a packet is never of two."""
    left = sorted((flow for flow in flows if _traceable(flow)), key=_preference)
    chosen: list[Flow] = []
    covered: set[Hashable] = set()
    taken: set[Hashable] = set()
    while left and len(chosen) < limit:
        best = max(left, key=lambda flow: len(_traits(flow) - covered))  # the first of equals: the preferred
        chosen.append(best)
        covered |= _traits(best)
        taken.add(_wire(best))
        left = [flow for flow in left if _wire(flow) not in taken]
    return tuple(chosen)


def _traceable(flow: Flow) -> bool:
    ips = (flow.source_ip, flow.target_ip)
    return all(ip and ":" not in ip for ip in ips) and not flow.is_status and flow.case.target.kind is not Kind.VX


def _traits(flow: Flow) -> frozenset[Hashable]:
    case = flow.case
    ends = ((flow.source, case.source.kind), (flow.target, case.target.kind))
    return frozenset(
        {
            ("source", ends[0]),
            ("target", ends[1]),
            ("nodes", flow.source, flow.target),
            ("protocol", case.protocol, case.tags),
            ("verdict", flow.verdict, flow.source),
            ("kinds", case.source.kind, case.target.kind, case.is_cross_cluster),
        }
    )


def _wire(flow: Flow) -> Hashable:
    """What tells its packets from others. Of a host's own the Service's address is gone at once, so its pod's node has to do."""
    if flow.case.source.kind is Kind.HOSTPOD and not flow.crosses:
        return flow.source, flow.target, flow.case.protocol
    return flow.source_ip, flow.case.source.kind, flow.target_ip, flow.case.protocol


def _preference(flow: Flow) -> tuple[int, int, str]:
    return len(flow.case.tags), _ORDER.index(flow.case.protocol), flow.id

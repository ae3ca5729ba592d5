"""What always belongs to the evidence of a failing path, whatever its cause: the places people look at by hand.

For a path between clusters: the active gateways' routes, the state of the tunnels, the packet filter on the way with its
counters, the same of the nodes at its ends, and what CNI and Submariner logged. Pure and bounded, so that it can be attached to
a report, kept in a sysdump, and printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_submariner.dataplane.objects import Connection, Gateway
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.sysdump import excerpts
from pytest_submariner.diagnose.tracing.trace import Trace
from pytest_submariner.errors import TopologyError
from pytest_submariner.model.topology import Cluster, Node

_PER_LOG = 20


@dataclass(frozen=True)
class Section:
    """`text` is some lines, never empty, at most about thirty kilobytes."""

    title: str
    text: str


def surroundings(seen: Observation, flow: Flow) -> tuple[Section, ...]:
    """Sections in the order of the path's request: its trace first, then node by node, then clusters' connections and logs."""
    return tuple(Section(title, text) for title, text in _sections(seen, flow) if text.strip())


def _sections(seen: Observation, flow: Flow) -> Iterator[tuple[str, str]]:
    trace = seen.traces.get(flow.id)
    if trace is not None:
        yield f"Trace of {flow.id}", _trace(trace)
        yield f"Packets of {flow.id}", excerpts.bounded(trace.lines, len(trace.lines))
    for node, ranges in _places(seen, flow):
        sight = seen.sight(node)
        about = f"{node.name} ({node.cluster}, {node.role})"
        if sight is None:
            yield f"{about}: not read", "this node's state could not be read"
            continue
        yield f"Routes and policy rules of {about}", excerpts.routes(sight, ranges)
        yield f"Tunnels of {about}", excerpts.tunnels(sight)
        yield f"Packet filter of {about}", excerpts.packet_filter(sight)
    clusters = dict.fromkeys((flow.case.source.cluster, flow.case.target.cluster))
    for position in clusters:
        cluster = seen.topology.cluster(position)
        if len(clusters) > 1:
            yield f"Connections of the gateways of {position}", _connections(seen, cluster)
        yield f"What agents and CNI of {position} logged", _logs(seen, position)


def _places(seen: Observation, flow: Flow) -> Iterator[tuple[Node, Sequence[str]]]:
    """Nodes on the way, each with the ranges whose routes matter there: those of the cluster at the other end, and its own."""
    crossing = flow.case.is_cross_cluster
    gateways = [seen.gateway(node.cluster) for node in flow.nodes] if crossing else []
    ordered = [flow.source, *(gateway for gateway in gateways if gateway is not None), flow.target]
    positions = {flow.case.source.cluster, flow.case.target.cluster}
    ranges = [
        cidr
        for position in sorted(positions)
        for cidr in (*seen.topology.cluster(position).pod_cidrs, *seen.topology.cluster(position).service_cidrs)
    ]
    yield from ((node, ranges) for node in dict.fromkeys(ordered))


def _trace(trace: Trace) -> str:
    tools = ", ".join(f"{node} by {tool}" for node, tool in trace.tools.items())
    lines = [str(trace), *map(str, trace.sightings), *(f"off the way: {s}" for s in trace.astray), *trace.notes]
    return excerpts.bounded([*lines, *([f"watched: {tools}"] if tools else [])])


def _connections(seen: Observation, cluster: Cluster) -> str:
    objects = seen.objects.get(cluster.position)
    if objects is None or not objects.knows("gateways"):
        reason = (objects.unread.get("gateways") or objects.unread.get("*")) if objects is not None else None
        return f"Gateway objects could not be read: {reason or 'no reason given'}"
    lines: list[str] = []
    for source in objects["gateways"]:
        try:
            gateway = Gateway.from_object(source)
        except TopologyError as error:
            lines.append(str(error))
            continue
        failure = f", {gateway.status_failure}" if gateway.status_failure else ""
        lines.append(f"Gateway {gateway.name}: {gateway.ha_status}{failure}, refreshed at {gateway.updated}")
        lines += [f"  {_connection(connection)}" for connection in gateway.connections]
    return excerpts.bounded(lines or ["no Gateway object"])


def _connection(connection: Connection) -> str:
    endpoint = connection.endpoint
    message = f" ({connection.status_message})" if connection.status_message else ""
    rtt = f", RTT {connection.latency.get('average')}" if connection.latency else ""
    nat = " behind NAT" if connection.using_nat else ""
    return (
        f"to {endpoint.cluster_id} at {connection.using_ip or endpoint.private_ip}{nat}: {connection.status}{message}{rtt}; "
        f"{endpoint.backend}, subnets {', '.join(endpoint.subnets)}"
    )


def _logs(seen: Observation, position: str) -> str:
    objects = seen.objects.get(position)
    lines: list[str] = []
    for name, said in sorted(objects.logs.items()) if objects is not None else ():
        lines += [f"{name}: {line}" for line in said[-_PER_LOG:]]
    return excerpts.bounded(lines)

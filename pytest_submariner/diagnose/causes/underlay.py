"""Causes: the network between nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.rule import DROPS
from pytest_submariner.diagnose.reasoning.neighbours import Impostor, impostors
from pytest_submariner.diagnose.reasoning.podroutes import pod_routes
from pytest_submariner.diagnose.reasoning.repeats import LossyNode, lossy_nodes
from pytest_submariner.diagnose.reasoning.routelookup import in_any
from pytest_submariner.diagnose.tracing.hops import between_pods
from pytest_submariner.diagnose.tracing.ladder import TUNNEL_DEVICES, underlay
from pytest_submariner.model.nodestate import Qdisc
from pytest_submariner.model.topology import Node, Role

_SHAPERS = frozenset({"tbf", "htb", "hfsc", "cbq", "cake", "netem"})
"""Queues that hold packets back by a rate; others (fq_codel, pfifo_fast, mq) only order them (tc(8))."""
_SLOW = 1_250_000
"""Bytes per second, 10 Mbit/s: less than any cluster's network."""


@cause(
    "UNDERLAY_SOURCE_CHECK",
    title="The network drops what the gateway forwards, because its source is not the gateway's",
    symptom="All non-gateway nodes are cut off from other clusters; gateway nodes are not, and inside the cluster everything works.",
    mechanism="A CNI that routes natively sends decapsulated packets of other clusters' pods from the gateway to the nodes as "
    "they are. Source or "
    "destination checks of a cloud, or anti-spoofing of a hypervisor, know only the cluster's own addresses.",
    evidence="Packets with sources of the other cluster leave the gateway's NIC bare and do not arrive at the node, while "
    "packets between pods "
    "of the two nodes do.",
    remedy="Disable source/destination checking on gateway instances (AWS), allow the remote CIDRs as address pairs "
    "(OpenStack), or use an "
    "encapsulating mode of the CNI.",
    rank=Rank.TRAFFIC,
    sources=("submariner issues 1336, 1652, 1670", "submariner pull request 4100"),
)
def underlay_source_check(seen: Observation) -> Iterator[Suspicion]:
    for gateway in seen.gateways():
        cluster = gateway.cluster
        own = (*cluster.pod_cidrs, *cluster.service_cidrs)
        lost = [
            hop
            for hop in between_pods(seen, gateway.node)
            if hop.is_bare and hop.flow.crosses and hop.sources and not any(in_any(ip, own) for ip in hop.sources)
        ]
        nodes = {hop.receiver for hop in lost}
        if not lost or not _rest_works(seen, gateway, nodes):
            continue
        explains = scope.Scope(
            f"between clusters with an end on {' or '.join(sorted(node.name for node in nodes))}",
            lambda flow, nodes=nodes: flow.crosses and not nodes.isdisjoint(flow.nodes),  # type: ignore[misc]
        )
        inner = len(seen.working_in(scope.inside(cluster.position) & _pairs_of(gateway.node, nodes)))
        yield Suspicion(
            gateway.node,
            f"the network behind {gateway.name}",
            (
                f"{gateway.name}: routes to pods of {', '.join(sorted(node.name for node in nodes))} are there and lead to them",
            ),
            explains,
            traffic=(
                *(hop.text for hop in lost[:2]),
                f"{inner} paths between these nodes inside {cluster.position} work",
            ),
            refuted_by=explains & _with_pod_sources(nodes),
        )


def _with_pod_sources(nodes: set[Node]) -> scope.Scope:
    """A check by lists may know the services' addresses: answers of services say nothing of the pods'."""
    return scope.Scope("with sources of pods", lambda flow: not (flow.to_service and flow.source in nodes))


def _rest_works(seen: Observation, gateway: NodeSight, nodes: set[Node]) -> bool:
    """Nothing between the gateway and these nodes fails inside the cluster, the gateway's routes are right, and no further node of the
    cluster has working paths to other clusters: a source check knows no exceptions."""
    position = gateway.node.cluster
    if seen.failing_in(scope.inside(position) & _pairs_of(gateway.node, nodes)):
        return False
    if any(route.is_wrong for node in nodes for route in pod_routes(seen, gateway, node)):
        return False
    others = [n for n in seen.topology.cluster(position).nodes if n not in nodes and n != gateway.node]
    return not any(seen.working_in(scope.node_cut_off(node)) for node in others)


def _pairs_of(gateway: Node, nodes: set[Node]) -> scope.Scope:
    return scope.Scope("between these nodes", lambda flow: gateway in flow.nodes and not nodes.isdisjoint(flow.nodes))


@cause(
    "UNDERLAY_PACKET_LOSS",
    title="The link of a node loses packets",
    symptom="Paths from and to one node fail at random, by every protocol, inside the cluster as well; a second try may work.",
    mechanism="A bad cable, port, bond or driver, an overloaded virtual NIC, or a rule that drops by chance, takes a share of "
    "all packets.",
    evidence="The share of lost pings between host networks of that node and others, asked many times; between other nodes none is lost.",
    remedy="Look at errors and drops of the node's NIC and switch port (`ip -s link`, `ethtool -S`), and at its packet filters "
    "and queues; "
    "Submariner is not the cause.",
    rank=Rank.TRAFFIC,
    sources=("submariner issue 2875",),
)
def underlay_packet_loss(seen: Observation) -> Iterator[Suspicion]:
    doubled = {impostor.node for impostor in impostors(seen)}
    for lossy in lossy_nodes(seen.repeats):
        node = next(n for n in seen.topology.cluster(lossy.node[0]).nodes if n.name == lossy.node[1])
        sight = seen.sight(node)
        if node in doubled or (sight is not None and any(_is_slow(q) for q in shapers(sight))):
            continue
        near = (
            scope.at_node(node) if node.role is not Role.GATEWAY else scope.at_node(node) | scope.crossing(node.cluster)
        )
        yield Suspicion(node, f"the link of {node.name}", _errors(sight), near, traffic=_shares(lossy))


def _shares(lossy: LossyNode) -> tuple[str, ...]:
    told = [repeat.text for repeat in (*lossy.inside[:3], *lossy.others[:2])]
    if lossy.clean:
        sent = sum(repeat.sent for repeat in lossy.clean)
        told.append(f"of {sent} probes between other nodes' host networks none was lost")
    return tuple(told)


def _errors(sight: NodeSight | None) -> tuple[str, ...]:
    """What the NIC and its queue counted, so far."""
    device = underlay(sight)
    link = sight.link(device) if sight is not None else None
    if sight is None or link is None or link.stats is None:
        return ()
    stats = link.stats
    said = [
        f"{sight.name}: {device} counts {stats.rx_errors} receive errors, {stats.rx_dropped} dropped on receipt, {stats.tx_errors} send "
        f"errors, {stats.tx_dropped} dropped on sending"
    ]
    said += [f"{sight.name}: queue {q.kind} of {q.device} {q.text}" for q in shapers(sight) if q.kind == "netem"]
    said += [f"{sight.name}: `{rule}` drops by chance" for rule in _dropping_by_chance(sight)]
    return tuple(said)


def _dropping_by_chance(sight: NodeSight) -> Iterator[str]:
    for chain in sight.firewall.chains:
        for rules in chain.chains.values():
            for rule in rules:
                by_chance = "statistic" in rule.source.text or "numgen random" in rule.source.text
                if rule.verdict in DROPS and by_chance:
                    yield rule.source.text


@cause(
    "UNDERLAY_DUPLICATE_IP",
    title="Another host answers for a node's address",
    symptom="Paths by one node work and fail in bursts, without a pattern by protocol; on a gateway all that crosses.",
    mechanism="Two hosts of one network have the address. Whichever answers an ARP request first gets the packets, until the entry is "
    "asked for anew.",
    evidence="Two MACs answer for the address, or a neighbour entry has a MAC that is not the node's.",
    remedy="Find the other host by its MAC (switch tables, `ip neigh`, hypervisor), take the address from it, and flush "
    "neighbours on the nodes "
    "(`ip neigh flush dev DEVICE`).",
    effects=("UNDERLAY_PACKET_LOSS", "K8S_GATEWAY_STATUS_FROZEN"),
    sources=("RFC 5227",),
)
def underlay_duplicate_ip(seen: Observation) -> Iterator[Suspicion]:
    found: dict[tuple[Node, str], list[Impostor]] = {}
    for impostor in impostors(seen):
        found.setdefault((impostor.node, impostor.ip), []).append(impostor)
    for (node, ip), told in found.items():
        near = scope.at_node(node) | (scope.crossing(node.cluster) if node.role is Role.GATEWAY else scope.nothing())
        yield Suspicion(
            node, f"address {ip}", tuple(dict.fromkeys(impostor.text for impostor in told))[:4], near, latent=True
        )


@cause(
    "UNDERLAY_THROTTLED",
    title="A node's bandwidth is far below what is needed",
    symptom="Everything by one node is slow; bulk data and names time out first, small pings pass.",
    mechanism="A shaper on the node (traffic control, a bandwidth plugin) or a policy of its provider holds packets back; what "
    "waits too long is "
    "dropped or times out.",
    evidence="A queue with a rate on the node's NIC, which drops or holds back; paths work when little is sent.",
    remedy="Remove the shaper (`tc qdisc del dev DEVICE root`) or raise its rate; do not take time-outs of a conformance test for lost "
    "connectivity.",
    effects=("UNDERLAY_PACKET_LOSS", "K8S_GATEWAY_STATUS_FROZEN"),
    sources=("tc-tbf(8)",),
)
def underlay_throttled(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        for queue in shapers(sight):
            if queue.kind == "netem" or not (_is_slow(queue) or _rises(sight, queue)):
                continue
            dropped, held = queue.dropped, queue.overlimits
            said = f"{sight.name}: queue {queue.kind} of {queue.device} {queue.text} dropped {dropped} packets and held back {held} so far"
            now = _rises(sight, queue)
            traffic = (f"{sight.name}: it dropped {now} more while probes ran",) if now else ()
            near = scope.at_node(sight.node)
            if sight.node.role is Role.GATEWAY:
                near = near | scope.crossing(sight.node.cluster)
            yield Suspicion(
                sight.node,
                f"queue {queue.kind} of {queue.device}",
                (said,),
                near,
                traffic=traffic,
                latent=_is_slow(queue),
            )


def shapers(sight: NodeSight) -> tuple[Qdisc, ...]:
    """Of the NIC and of Submariner's devices."""
    devices = {underlay(sight), *TUNNEL_DEVICES}
    return tuple(queue for queue in sight.before.qdiscs or () if queue.kind in _SHAPERS and queue.device in devices)


def _rises(sight: NodeSight, queue: Qdisc) -> int:
    after = (sight.after.qdiscs if sight.after is not None else None) or ()
    now = next((q for q in after if (q.device, q.kind) == (queue.device, queue.kind)), queue)
    return now.dropped - queue.dropped


def _is_slow(queue: Qdisc) -> bool:
    try:
        rate = json.loads(queue.text or "{}").get("rate")
    except ValueError:
        return False
    return isinstance(rate, int) and 0 < rate < _SLOW

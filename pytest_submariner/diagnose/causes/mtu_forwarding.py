"""Causes: what gateways do to full-size packets: segment size, fragments, checksums of encapsulated TCP."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.packet import Hook
from pytest_submariner.diagnose.reasoning.fragments import fragmenters, loses_fragments
from pytest_submariner.diagnose.reasoning.sizelosses import fails_by_size, size_losses, sized
from pytest_submariner.diagnose.reasoning.ways import Layer
from pytest_submariner.model.path import Protocol
from pytest_submariner.model.topology import Node, Role
from pytest_submariner.model.verdict import Verdict

_CLAMP = "TCPMSS"


@cause(
    "MTU_MSS_CLAMP_MISSING",
    title="No MSS clamp on the gateway, and path-MTU discovery does not help",
    symptom="Connections between clusters open and then hang for what the gateway forwards; its own host network works, pings too.",
    mechanism="Submariner lowers the MSS of forwarded connections to what the cable carries. Where the rules are gone, or the "
    "sets of CIDRs they "
    "ask for are empty, senders rely on ICMP fragmentation-needed; a firewall that drops it leaves them in the dark.",
    evidence="No rule of mangle/POSTROUTING changes the MSS of such a connection on the gateway; full-size packets enter the "
    "gateway and do "
    "not leave by the cable, and IpFragFails rises there.",
    remedy="Restart the route agent of the gateway (`iptables -t mangle -S SUBMARINER-POSTROUTING`, `ipset list "
    "SUBMARINER-LOCALCIDRS`), and let "
    "ICMP type 3 code 4 through.",
    sources=("submariner issues 1488, 3359", "submariner:pkg/routeagent_driver/handlers/mtu/mtuhandler.go"),
)
def mtu_mss_clamp_missing(seen: Observation) -> Iterator[Suspicion]:
    inside = {loss.sender for loss in size_losses(seen) if loss.sender == loss.receiver}
    for sight in seen.gateways():
        unclamped = next(
            (flow for flow in seen.failing if fails_by_size(flow) and _is_unclamped(seen, sight, flow)), None
        )
        rise = sight.rise("IpFragFails")
        if unclamped is None or not sight.firewall.is_read or not (rise or sight.node in inside):
            continue
        sets = [
            f"{found.name} has {len(found.members)} members"
            for found in sight.before.ipsets or ()
            if "CIDRS" in found.name
        ]
        said = f"{sight.name}: no rule of mangle/POSTROUTING changes the MSS of {unclamped.id}; {', '.join(sets) or 'no ipsets'}"
        traffic = [f"{sight.name}: IpFragFails rose by {rise} while probes ran"] if rise else []
        traffic += [loss.text for loss in size_losses(seen) if loss.sender == loss.receiver == sight.node][:2]
        explains = scope.crossing(sight.node.cluster) & sized()
        yield Suspicion(sight.node, "mangle/SUBMARINER-POSTROUTING", (said,), explains, traffic=tuple(traffic))


def _is_unclamped(seen: Observation, sight: NodeSight, flow: Flow) -> bool:
    """Whether the gateway forwards a TCP flow and surely leaves the MSS of one of its directions alone."""
    if not flow.crosses or flow.case.protocol is not Protocol.TCP:
        return False
    for passage in seen.ways.at(flow, sight.node):
        if passage.layer is not Layer.INNER or passage.hook is not Hook.POSTROUTING or not passage.packet.in_device:
            continue
        if not any(step.verdict == _CLAMP for step in sight.firewall.met(Hook.POSTROUTING, passage.packet)):
            return True
    return False


@cause(
    "UNDERLAY_FRAGMENTS_DROPPED",
    title="The network drops IP fragments",
    symptom="Connections open and then hang where the outer packets of a tunnel have to be cut; pings and short answers work.",
    mechanism="A device of Submariner with too high an MTU, or a packet without the don't-fragment bit, makes the node send "
    "fragments, and a "
    "firewall or cloud network on the way discards them.",
    evidence="IpFragCreates rises on the sender and IpReasmReqds on no receiver, while paths hang.",
    remedy="Remove the need for fragments: set the device's MTU to the NIC's less 50, and keep the MSS clamp; then the filter "
    "does not matter.",
    rank=Rank.TRAFFIC,
    effects=("MTU_VX_TOO_LARGE", "MTU_STALE_AFTER_CHANGE", "MTU_CABLE_BLACKHOLE", "MTU_NODE_UNDERLAY_LOW"),
    sources=("RFC 8900",),
)
def underlay_fragments_dropped(seen: Observation) -> Iterator[Suspicion]:
    if not loses_fragments(seen):
        return
    found = {fragmenter.sight.node: fragmenter for fragmenter in fragmenters(seen)}
    node = _at_fault(seen, set(found))
    told = (
        [found[node], *(other for other in found.values() if other.sight.node != node)]
        if node in found
        else list(found.values())
    )
    state = [
        f"{f.sight.name}: MTU of {', '.join(f'{link.name} is {link.mtu}' for link in f.devices)}, too much for the NIC"
        for f in told
        if f.devices
    ]
    traffic = [
        f"{f.sight.name}: IpFragCreates rose by {f.created} while probes ran, IpReasmReqds nowhere to match"
        for f in told
    ]
    yield Suspicion(
        node, f"the network at {node.name}", tuple(state[:3]), scope.anything() & sized(), traffic=tuple(traffic[:3])
    )


def _at_fault(seen: Observation, senders: set[Node]) -> Node:
    """The gateway most paths that hang have to do with; of equals the first."""
    hanging = [flow for flow in seen.failing if fails_by_size(flow)]
    gateways = [gateway for cluster in seen.clusters if (gateway := seen.gateway(cluster.position)) is not None]
    ends = {
        node: sum(node.cluster in (flow.source.cluster, flow.target.cluster) for flow in hanging) for node in gateways
    }
    if ends:
        return max(gateways, key=lambda node: ends[node])
    return min(senders, key=lambda node: (node.cluster, node.name))


@cause(
    "OFFLOAD_VXLAN_CHECKSUM",
    title="A NIC spoils the outer checksum of encapsulated TCP",
    symptom="No TCP between clusters from and to one node (or all), while ping and UDP work.",
    mechanism="Checksum offload of some NICs, drivers and hypervisors writes a wrong outer UDP checksum for TCP inside VXLAN; "
    "the receiver "
    "discards such packets before it looks inside.",
    evidence="UdpInCsumErrors rises on the gateway in step with TCP probes; TCP packets enter its NIC and do not come out of "
    "vx-submariner.",
    remedy="`ethtool -K vx-submariner tx-checksum-ip-generic off` (and of the NIC) on the sending nodes, until driver or "
    "firmware is fixed.",
    rank=Rank.TRAFFIC,
    sources=("flannel issue 1279", "Calico issues 3145, 9433"),
)
def offload_vxlan_checksum(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        rise = sight.rise("UdpInCsumErrors")
        if not rise:
            continue
        silent = [flow for flow in seen.failing if _is_silent_tcp(flow) and _enters(seen, flow, sight.node)]
        if not silent:
            continue
        senders = {
            node for flow in silent for node in flow.nodes if node.cluster == sight.node.cluster and node != sight.node
        }
        node = next(iter(senders)) if len(senders) == 1 else sight.node
        lost = scope.crossing() & scope.at_node(node) & scope.by_protocol(Protocol.TCP)
        if node.role is Role.GATEWAY:
            lost = scope.crossing(node.cluster) & scope.by_protocol(Protocol.TCP)
        others = sum(
            1
            for flow in seen.working_in(scope.crossing() & scope.at_node(node))
            if flow.case.protocol is not Protocol.TCP
        )
        yield Suspicion(
            node,
            "outer UDP checksum",
            (),
            lost,
            traffic=(
                f"{sight.name}: UdpInCsumErrors rose by {rise} while probes ran",
                f"{others} paths by UDP and ICMP of {node.name} to other clusters work",
            ),
            refuted_by=lost if node.role is not Role.GATEWAY else None,
        )


def _is_silent_tcp(flow: Flow) -> bool:
    return flow.crosses and flow.case.protocol is Protocol.TCP and flow.verdict is Verdict.BLOCKED


def _enters(seen: Observation, flow: Flow, node: Node) -> bool:
    """Whether encapsulated packets of the flow come to `node`."""
    return any(passage.layer is not Layer.INNER and passage.hook is Hook.INPUT for passage in seen.ways.at(flow, node))

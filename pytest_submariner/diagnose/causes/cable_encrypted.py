"""Causes: keys, selectors and associations of the encrypted cables, IPsec (libreswan) and WireGuard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product

from pytest_submariner.dataplane.addresses import ipv4_cidrs
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.cables import RESTART_GATEWAY, WIREGUARD_DEVICE, CableEnd, cable_ends
from pytest_submariner.diagnose.reasoning.routelookup import in_any, network
from pytest_submariner.diagnose.scope import Scope
from pytest_submariner.model.nodestate import NodeState, WireGuardDevice, WireGuardPeer
from pytest_submariner.model.path import Kind

_REFUSED = re.compile(
    r"AUTHENTICATION_FAILED|INVALID_KE_PAYLOAD.*PSK|no preshared key|authentication failed", re.IGNORECASE
)
"""libreswan: pluto's words for a peer that proves another key."""
_ESP = frozenset({"esp"})


@cause(
    "CABLE_ESP_BLOCKED",
    title="IKE passes between gateways, ESP does not",
    symptom="Nothing crosses between two clusters, though the tunnel is established and called connected.",
    mechanism="IPsec negotiates by UDP and carries data as IP protocol 50, or as ESP inside UDP 4500. Firewalls that only know the ports "
    "let the first through and drop the second.",
    evidence="Associations exist on both sides; one gateway's outgoing ones count packets, the other's incoming ones none.",
    remedy="Allow IP protocol 50 between gateway addresses, or join with `--force-udp-encaps`.",
    rank=Rank.TRAFFIC,
    effects=("CABLE_TUNNEL_PORT_BLOCKED", "CABLE_ONE_WAY_ACL", "DNS_CLUSTER_WITHHELD"),
    sources=("subctl issue 1137", "subctl issue 1312"),
)
def esp_blocked(seen: Observation) -> Iterator[Suspicion]:
    told: set[frozenset[str]] = set()
    for end in cable_ends(seen, "libreswan"):
        if end.sight is None or end.far is None or frozenset(end.positions) in told:
            continue
        sent = _carried(end.sight, {end.own.private_ip}, {end.using_ip, end.peer.private_ip})
        come = _carried(end.far, {end.own.private_ip, end.own.public_ip}, {end.peer.private_ip})
        if sent is None or come is None or sent[0] < 1 or come[0] > 0:
            continue
        told.add(frozenset(end.positions))
        yield Suspicion(
            end.node,
            f"ESP from {end.own.private_ip} to {end.using_ip}",
            (
                f"{end.node.name} has {sent[1]} associations towards {end.there.position}, and {end.far.name} {come[1]} from there",
                f"{end.node.name} has sent {sent[0]} packets by them, {end.far.name} has received none",
            ),
            end.explains,
            refuted_by=end.refuted_by,
        )


def _carried(sight: NodeSight, sources: Iterable[str], destinations: Iterable[str]) -> tuple[int, int] | None:
    """(packets, associations) of ESP between these addresses; None when there are none, or nobody counted."""
    state = sight.after if sight.after is not None and sight.after.xfrm_states is not None else sight.before
    found = [
        sa
        for sa in state.xfrm_states or ()
        if sa.protocol in _ESP and sa.source in sources and sa.destination in destinations
    ]
    if not found or any(sa.packets is None for sa in found):
        return None
    return sum(sa.packets or 0 for sa in found), len(found)


@cause(
    "CABLE_PSK_MISMATCH",
    title="The clusters have different pre-shared keys",
    symptom="Nothing crosses between two clusters; the connection stays in connecting, or error.",
    mechanism="Both encrypted cables prove themselves with a key from the broker-info file of the join. Clusters joined with different "
    "files, or a secret that was replaced, never agree.",
    evidence="Digests of the keys differ; pluto logs AUTHENTICATION_FAILED, or WireGuard has sent and received without a handshake.",
    remedy="Repeat `subctl join` with the broker-info file the other clusters were joined with (`subctl recover-broker-info`), and restart "
    "both gateways.",
    rank=Rank.OBJECT,
    effects=("CABLE_SELECTOR_INCOMPLETE", "DNS_CLUSTER_WITHHELD"),
    sources=("submariner:pkg/cable/libreswan/libreswan.go", "submariner:pkg/cable/wireguard/driver.go"),
)
def psk_mismatch(seen: Observation) -> Iterator[Suspicion]:
    for end in cable_ends(seen, "libreswan", "wireguard"):
        if end.here.position > end.there.position:
            continue
        digests = [side.objects.psk_digest for side in (end.here, end.there)]
        differ = all(digests) and digests[0] != digests[1]
        logged = [
            line for side in (end.here, end.there) for line in side.logged("submariner-gateway", _REFUSED.search)[-1:]
        ]
        silent = _no_handshake(end)
        if not differ and not (seen.failing_in(end.refuted_by) and (logged or silent)):
            continue
        at = _minority(seen, end) if differ else end.here.position
        state = [f"the pre-shared keys of {' and '.join(end.positions)} have different digests"] if differ else []
        yield Suspicion(
            seen.anchor(at),
            f"pre-shared key of {at}",
            (*state, *logged, *silent),
            end.explains,
            refuted_by=None if differ else end.refuted_by,
            latent=differ,
        )


def _minority(seen: Observation, end: CableEnd) -> str:
    """Of two clusters with different keys that whose key is rarer; the first of two alike."""
    every = [objects.psk_digest for objects in seen.objects.values()]
    return min(end.positions, key=lambda position: every.count(seen.objects[position].psk_digest))


def _no_handshake(end: CableEnd) -> tuple[str, ...]:
    found = _peer(end)
    if (
        found is None
        or found[1] is None
        or found[1].latest_handshake is not None
        or not (found[1].sent and found[1].received)
    ):
        return ()
    return (
        f"{end.node.name}: WireGuard has sent {found[1].sent} and received {found[1].received} bytes without a handshake",
    )


@cause(
    "CABLE_SELECTOR_INCOMPLETE",
    title="The tunnel does not carry every pair of subnets",
    symptom="Exactly some pairs of ranges do not cross, such as Services of one cluster; the rest works, and the connection says "
    "connected.",
    mechanism="IPsec has a connection for each pair of a local and a remote subnet, WireGuard a list of the peer's subnets. What is in "
    "none is sent by nobody, or dropped by the receiver. One live pair is enough to be called connected.",
    evidence="Pairs of the Endpoints' subnets that no IPsec policy, or no AllowedIPs of the peer, covers; they are those that fail.",
    remedy=f"Restart the gateway so that it loads all pairs: {RESTART_GATEWAY}; if it comes back, compare the subnets of both Endpoints on "
    "both sides.",
    effects=("DNS_CLUSTER_WITHHELD",),
    sources=("submariner issue 1080", "submariner issue 1081", "submariner issue 1556"),
)
def selector_incomplete(seen: Observation) -> Iterator[Suspicion]:
    for end in cable_ends(seen, "libreswan", "wireguard"):
        wanted = tuple(product(ipv4_cidrs(end.own.subnets), ipv4_cidrs(end.peer.subnets)))
        there = _policies(end) if end.driver == "libreswan" else _allowed(end)
        missing = tuple(pair for pair in wanted if there is not None and not _is_covered(pair, there))
        if not there or not missing or len(missing) == len(wanted):
            continue
        pairs = ", ".join(f"{own} – {peer}" for own, peer in missing)
        yield Suspicion(
            end.node,
            "ip xfrm policy"
            if end.driver == "libreswan"
            else f"AllowedIPs of {end.there.position} on {WIREGUARD_DEVICE}",
            (f"{end.node.name}: of {len(wanted)} pairs of subnets with {end.there.position} the tunnel lacks {pairs}",),
            _of_pairs(seen, end, missing),
        )


def _policies(end: CableEnd) -> tuple[tuple[str, str], ...] | None:
    """(own, remote) networks that are sent into the tunnel to the other gateway; None when not read."""
    policies = end.sight.before.xfrm_policies if end.sight is not None else None
    if policies is None:
        return None
    return tuple(
        (policy.source, policy.destination)
        for policy in policies
        if policy.direction == "out"
        and any(t.mode == "tunnel" and t.destination in end.peer_ips | {end.using_ip} for t in policy.templates)
    )


def _allowed(end: CableEnd) -> tuple[tuple[str, str], ...] | None:
    found = _peer(end)
    if found is None or found[1] is None:
        return None
    return tuple(("0.0.0.0/0", allowed) for allowed in found[1].allowed_ips)


def _is_covered(pair: tuple[str, str], there: Iterable[tuple[str, str]]) -> bool:
    return any(_inside(pair[0], own) and _inside(pair[1], peer) for own, peer in there)


def _inside(part: str, whole: str) -> bool:
    inner, outer = network(part), network(whole)
    return inner is not None and outer is not None and inner.subnet_of(outer)


def _of_pairs(seen: Observation, end: CableEnd, missing: tuple[tuple[str, str], ...]) -> Scope:
    def holds(flow: Flow) -> bool:
        if not flow.crosses or {flow.case.source.cluster, flow.case.target.cluster} != set(end.positions):
            return False
        ends = (_address(seen, flow), flow.target_ip)
        here, there = ends if flow.case.source.cluster == end.here.position else ends[::-1]
        return any(in_any(here, (own,)) and in_any(there, (peer,)) for own, peer in missing)

    return Scope("between clusters whose addresses are of such a pair", holds)


def _address(seen: Observation, flow: Flow) -> str:
    """By which a flow's source crosses: a host's is its node's CNI address."""
    if flow.case.source.kind is Kind.POD:
        return flow.source_ip
    sight = seen.sight(flow.source)
    return (sight.facts.cni_ip or "") if sight is not None and sight.facts is not None else ""


@cause(
    "CABLE_WG_KEY_STALE",
    title="A WireGuard key on record is not the gateway's current one",
    symptom="Nothing crosses between two clusters; there is no handshake.",
    mechanism="The gateway makes a new key at each start and publishes it in its Endpoint. When the Endpoint stays behind, or the other "
    "side does not take it over, packets are encrypted for a key nobody has.",
    evidence="The public key of the device is not that of the Endpoint, or not that of the peer on the other gateway.",
    remedy=f"Restart the gateway of the cluster whose Endpoint is behind, {RESTART_GATEWAY}, and see that its Endpoint reaches the broker.",
    rank=Rank.OBJECT,
    effects=("CABLE_PSK_MISMATCH", "CABLE_SELECTOR_INCOMPLETE", "DNS_CLUSTER_WITHHELD"),
    sources=("submariner:pkg/cable/wireguard/driver.go",),
)
def wg_key_stale(seen: Observation) -> Iterator[Suspicion]:
    for end in cable_ends(seen, "wireguard"):
        device = _device(end.sight.before if end.sight is not None else None)
        published = end.own.backend_config.get("publicKey", "")
        if device is None or not published:
            continue
        if device.public_key != published:
            said = f"{end.node.name}: {device.name} has public key {device.public_key}; Endpoint {end.own.name} says {published}"
            yield Suspicion(
                end.node, f"Endpoint {end.own.name} publicKey", (said,), end.explains, refuted_by=end.refuted_by
            )
        wanted = end.peer.backend_config.get("publicKey", "")
        far = _device(end.far.before if end.far is not None else None)
        if (
            wanted
            and (far is None or far.public_key == wanted)
            and all(peer.public_key != wanted for peer in device.peers)
        ):
            known = ", ".join(peer.public_key for peer in device.peers) or "none"
            said = f"{end.node.name}: {device.name} has no peer with the key {wanted} of {end.there.position}; those it has: {known}"
            yield Suspicion(
                end.node,
                f"peer of {end.there.position} on {device.name}",
                (said,),
                end.explains,
                refuted_by=end.refuted_by,
            )


def _device(state: NodeState | None) -> WireGuardDevice | None:
    return next((d for d in (state.wireguard if state is not None else None) or () if d.name == WIREGUARD_DEVICE), None)


def _peer(end: CableEnd) -> tuple[WireGuardDevice, WireGuardPeer | None] | None:
    """The device here, and the other cluster in it by its key; None without a device."""
    device = _device(end.sight.before if end.sight is not None else None)
    if device is None:
        return None
    return device, next((p for p in device.peers if p.public_key == end.peer.backend_config.get("publicKey")), None)

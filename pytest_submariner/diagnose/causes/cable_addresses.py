"""Causes: by which address a gateway says it can be reached."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.objects import Endpoint
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.causes.kubernetes_endpoints import WRONG_ADDRESS_EFFECTS
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.cables import RESTART_GATEWAY, CableEnd, cable_ends, port_of
from pytest_submariner.diagnose.reasoning.published import annotations_of, labels_of, name_of
from pytest_submariner.model.topology import Node

PUBLIC_IP = "gateway.submariner.io/public-ip"


@cause(
    "CABLE_PRIVATE_IP_WRONG_NIC",
    title="The Endpoint's private address is of a network card the others cannot reach",
    symptom="Nothing crosses to or from the cluster, and where vx-submariner leads to that address too, non-gateway nodes do not even "
    "reach their own gateway.",
    mechanism="A gateway publishes the source address it would use towards the internet (8.8.8.8). On a node with several cards that need "
    "not be the one the other nodes and clusters use.",
    evidence="private_ip is an address of the gateway node, on another device than its Node's InternalIP; tunnels of both kinds lead "
    "there, and nothing arrives.",
    remedy="Give gateway nodes their default route by the card that faces the cluster, or label a node whose cards agree, then restart the "
    f"gateway: {RESTART_GATEWAY}.",
    rank=Rank.OBJECT,
    effects=(*WRONG_ADDRESS_EFFECTS, "HOST_NODE_IP_MISMATCH", "K8S_LOCAL_ENDPOINT_STALE"),
    sources=("submariner issue 2946", "submariner issue 668", "submariner:pkg/endpoint/local_ip.go"),
)
def private_ip_wrong_nic(seen: Observation) -> Iterator[Suspicion]:
    for end in _one_per_gateway(seen):
        published, reached = end.own.private_ip, end.node.internal_ip
        device, other = _device(end, published), _device(end, reached)
        if not device or not other or device == other:
            continue
        yield Suspicion(
            end.node,
            f"Endpoint {end.own.name} private_ip",
            (
                f"Endpoint {end.own.name} says private_ip {published}, which {end.node.name} has on {device}",
                f"the cluster reaches {end.node.name} by {reached}, on {other}",
            ),
            scope.across(end.here.position),
            refuted_by=scope.crossing(end.here.position),
        )


def _one_per_gateway(seen: Observation) -> Iterator[CableEnd]:
    found = {end.here.position: end for end in cable_ends(seen)}
    yield from found.values()


def _device(end: CableEnd, ip: str) -> str:
    addresses = end.sight.addresses if end.sight is not None else ()
    return next((address.device for address in addresses if address.ip == ip), "")


@cause(
    "CABLE_PRIVATE_IP_DUPLICATE",
    title="The gateways of two clusters publish the same private address",
    symptom="Nothing crosses between two clusters; their cable leads each gateway to itself.",
    mechanism="Private ranges of two sites overlap, or an Endpoint was taken over with another's address. Without NAT the private "
    "address is what a gateway sends to.",
    evidence="private_ip is the same in the Endpoints of two clusters; the address that the connection uses is the gateway's own.",
    remedy="Give the gateway nodes addresses of their own, or connect by public addresses (`subctl join --natt`).",
    rank=Rank.OBJECT,
    effects=(*WRONG_ADDRESS_EFFECTS, "K8S_LOCAL_ENDPOINT_STALE", "CABLE_PRIVATE_IP_WRONG_NIC"),
    sources=("submariner issue 761",),
)
def private_ip_duplicate(seen: Observation) -> Iterator[Suspicion]:
    for end in cable_ends(seen):
        if end.own.private_ip != end.peer.private_ip or not _is_wrong_one(end):
            continue
        state = [f"Endpoints {end.own.name} and {end.peer.name} both say private_ip {end.own.private_ip}"]
        if end.sight is not None and end.own.private_ip not in end.sight.own_ips:
            state.append(f"it is no address of {end.node.name}")
        if end.far is not None and end.using_ip in end.far.own_ips:
            state.append(
                f"{end.there.position} would send its cable packets to {end.using_ip}, an address of its own gateway"
            )
        yield Suspicion(
            end.node,
            f"Endpoint {end.own.name} private_ip",
            tuple(state),
            end.explains,
            refuted_by=end.refuted_by,
        )


def _is_wrong_one(end: CableEnd) -> bool:
    """Of two with one address that which does not have it, else the one that came later."""
    lacks = [
        s is not None and s.before.addresses is not None and end.own.private_ip not in s.own_ips
        for s in (end.sight, end.far)
    ]
    if lacks[0] != lacks[1]:
        return lacks[0]
    return (end.own.created, end.here.position) > (end.peer.created, end.there.position)


@cause(
    "CABLE_PUBLIC_IP_STALE",
    title="The Endpoint says a public address the gateway no longer has",
    symptom="Nothing crosses to or from the cluster after the next reconnection; before, all was well.",
    mechanism="Behind NAT other gateways send to the public address of the Endpoint. When the provider gives the gateway another one, "
    "packets go to the old one, and its own come from an address nobody expects.",
    evidence="The connection uses the advertised public address; the gateway, its annotation or its packets say another.",
    remedy=f"Restart the gateway, {RESTART_GATEWAY}, so that it resolves its address anew, or pin it: `kubectl annotate node NODE "
    f"{PUBLIC_IP}=ipv4:ADDRESS`.",
    rank=Rank.OBJECT,
    effects=("CABLE_TUNNEL_PORT_BLOCKED", "CABLE_ONE_WAY_ACL", "DNS_CLUSTER_WITHHELD"),
    sources=("submariner issue 1318", "submariner:pkg/endpoint/public_ip_watcher.go"),
)
def public_ip_stale(seen: Observation) -> Iterator[Suspicion]:
    found: dict[str, tuple[CableEnd, list[str], list[scope.Scope]]] = {}
    for end in cable_ends(seen):
        public = end.peer.public_ip
        if not public or end.using_ip != public or public == end.peer.private_ip:
            continue
        others = [(ip, by) for ip, by in _public_addresses(seen, end) if ip and ip != public]
        if others:
            _, lines, scopes = found.setdefault(end.there.position, (end, [], []))
            lines += [
                f"{end.here.position} sends to {public}, as Endpoint {end.peer.name} says; {by} {ip}"
                for ip, by in others
            ]
            scopes.append(end.explains)
    for position, (end, lines, scopes) in found.items():
        explains = scopes[0]
        for more in scopes[1:]:
            explains = explains | more
        yield Suspicion(
            seen.anchor(position), f"Endpoint {end.peer.name} public_ip", tuple(dict.fromkeys(lines)), explains
        )


def _public_addresses(seen: Observation, end: CableEnd) -> Iterator[tuple[str, str]]:
    """What else says by which address the other gateway is known outside."""
    gateway = end.there.gateway or {}
    told = ((gateway.get("status") or {}).get("localEndpoint") or {}).get("public_ip") or ""
    yield told, f"Gateway {name_of(gateway)} itself says"
    for node in end.there.objects["nodes"]:
        if _is(seen.gateway(end.there.position), name_of(node)):
            pinned = annotations_of(node).get(PUBLIC_IP) or labels_of(node).get(PUBLIC_IP) or ""
            yield (
                pinned.removeprefix("ipv4:") if pinned.startswith("ipv4:") and "," not in pinned else "",
                f"node {name_of(node)} is annotated",
            )
    for ip, _ in _sources(end):
        yield ip, f"its packets reach {end.node.name} from"


def _is(node: Node | None, name: str) -> bool:
    return node is not None and node.name == name


def _sources(end: CableEnd) -> Iterator[tuple[str, int | None]]:
    """Outer source address and UDP port of what arrives here from the other gateway, as IPsec or WireGuard know them now."""
    state = end.sight.before if end.sight is not None else None
    for sa in (state.xfrm_states if state is not None else None) or ():
        if (
            sa.destination == end.own.private_ip
            and sa.encapsulation
            and sa.source not in ("0.0.0.0", end.own.private_ip)
        ):
            words = sa.encapsulation.split()
            if _is_of(end, sa.source) and len(words) > 1 and words[1].isdigit():
                yield sa.source, int(words[1])
    for device in (state.wireguard if state is not None else None) or ():
        for peer in device.peers:
            if peer.public_key == end.peer.backend_config.get("publicKey") and peer.endpoint and ":" in peer.endpoint:
                ip, _, port = peer.endpoint.rpartition(":")
                yield ip, int(port) if port.isdigit() else None


def _is_of(end: CableEnd, source: str) -> bool:
    """Whether an association from `source` can be the other gateway's: with two clusters there is no other; with more its addresses
    decide."""
    return source in {end.peer.public_ip, end.peer.private_ip} or len(end.here.connections) == 1


@cause(
    "CABLE_NAT_PORT_REWRITTEN",
    title="A NAT in front of a gateway changes the cable's source port",
    symptom="Nothing crosses between two clusters, or one of them stays in connecting; sometimes it works until a mapping expires.",
    mechanism="A gateway sends from its udp-port, and is sent to on it. A NAT that picks another port lets answers through, but what the "
    "other side begins on the advertised port finds no mapping.",
    evidence="The other gateway's kernel sees packets of the tunnel come from another UDP port than the Endpoint says.",
    remedy="Map the port statically on the NAT, give each gateway behind it a port of its own (`kubectl label node NODE "
    "gateway.submariner.io/udp-port=PORT`), or make the side that can be reached the preferred server.",
    effects=("DNS_CLUSTER_WITHHELD",),
    sources=("submariner issue 642", "Submariner NAT traversal page"),
)
def nat_port_rewritten(seen: Observation) -> Iterator[Suspicion]:
    for end in cable_ends(seen, "libreswan", "wireguard"):
        ports = sorted({port for _, port in _sources(end) if port is not None and port != port_of(end.peer)})
        far = seen.gateway(end.there.position)
        if ports and far is not None:
            yield Suspicion(
                far,
                f"NAT in front of {far.name}",
                (
                    f"{end.node.name}: packets of {end.there.position} come from UDP port {', '.join(map(str, ports))}; "
                    f"{_advertised(end.peer)}",
                ),
                end.explains,
                refuted_by=end.refuted_by,
            )


def _advertised(endpoint: Endpoint) -> str:
    return f"Endpoint {endpoint.name} says {port_of(endpoint)}"

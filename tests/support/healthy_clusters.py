"""Healthy clusters as a diagnosis reads them: objects and node states, laid out as a lab's. `observations` puts them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.objects import Cluster, Connection, Endpoint, Gateway
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.diagnose.objects.clusterobjects import RESOURCES
from pytest_submariner.lab.spec import UNDERLAY_GATEWAY, ClusterSpec, LabSpec, NodeSpec
from pytest_submariner.lab.submariner import objects
from pytest_submariner.lab.submariner.topology import CNI_DEVICE, UNDERLAY_DEVICE, cluster_of, endpoint_of
from pytest_submariner.model.nodestate import (
    Address,
    Link,
    LinkStats,
    Neighbour,
    NodeState,
    PacketFilter,
    Route,
    Rule,
    Socket,
)
from pytest_submariner.nodestate.packetfilter import parse

Object = dict[str, Any]

CLOCK_S = 1_732_280_000.0
OPERATOR = c.OPERATOR_NAMESPACE
COUNTERS = (
    "IpInAddrErrors",
    "IpForwDatagrams",
    "IpFragCreates",
    "IpFragFails",
    "IpReasmOKs",
    "IpReasmFails",
    "IpOutNoRoutes",
    "UdpNoPorts",
    "UdpInCsumErrors",
    "TcpExtIPReversePathFilter",
)
_FOREIGN = """\
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
[0:0] -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[0:0] -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
[0:0] -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[0:0] -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
[0:0] -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
[0:0] -A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KIND-MASQ-AGENT - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SEP-UC6BXPXVZR4P64JB - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]
[0:0] -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[0:0] -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[0:0] -A POSTROUTING -s {pods} -m addrtype ! --dst-type LOCAL -j KIND-MASQ-AGENT
[0:0] -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
[0:0] -A KIND-MASQ-AGENT -d {pods} -j RETURN
[0:0] -A KIND-MASQ-AGENT -j MASQUERADE
[0:0] -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
[0:0] -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
[0:0] -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
[0:0] -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
[0:0] -A KUBE-SEP-UC6BXPXVZR4P64JB -p tcp -m comment --comment "default/kubernetes:https" -m tcp -j DNAT --to-destination 172.18.0.1:6443
[0:0] -A KUBE-SERVICES -d {kubernetes}/32 -p tcp -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
[0:0] -A KUBE-SVC-NPX46M4PTMTKRN6Y -m comment --comment "default/kubernetes:https -> 172.18.0.1:6443" -j KUBE-SEP-UC6BXPXVZR4P64JB
COMMIT
"""
"""What kube-proxy and kindnet's masquerade agent have in their chains."""


def mac(kind: str, ip: str) -> str:
    """`mac("ac", "172.18.1.2")` -> `02:00:ac:12:01:02`."""
    return ":".join(("02:00", kind, *(f"{int(octet):02x}" for octet in ip.split(".")[1:])))


def endpoints(spec: LabSpec) -> tuple[Endpoint, ...]:
    """Of the first gateway of each cluster."""
    return tuple(endpoint_of(cluster, cluster.gateways[0], spec.cable) for cluster in spec.clusters)


def found_objects(spec: LabSpec, cluster: ClusterSpec) -> dict[str, tuple[Object, ...]]:
    """What the API of `cluster` holds, by the short names of `RESOURCES`; kinds without objects are empty."""
    every = endpoints(spec)
    own = next(endpoint for endpoint in every if endpoint.cluster_id == cluster.name)
    connections = tuple(Connection(e, "connected", using_ip=e.private_ip) for e in every if e is not own)
    gateways = [_gateway(node, own, connections if node is cluster.gateways[0] else ()) for node in cluster.gateways]
    submariner = objects.submariner(cluster, spec.cable, "172.18.0.1:6443", token="secret", ca_pem=b"secret")
    pods = [
        *(_pod("submariner-gateway", node, node is cluster.gateways[0]) for node in cluster.gateways),
        *(_pod("submariner-routeagent", node) for node in cluster.nodes),
    ]
    found = {
        "endpoints": [objects.endpoint(e, OPERATOR, synced=e is not own) for e in every],
        "clusters": [objects.cluster(cluster_of(x), OPERATOR, synced=x is not cluster) for x in spec.clusters],
        "gateways": gateways,
        "routeagents": [_route_agent(node, cluster, connections) for node in cluster.nodes],
        "nodes": list(map(_node, cluster.nodes)),
        "pods": pods,
        "daemonsets": [_daemonset(name, pods) for name in ("submariner-gateway", "submariner-routeagent")],
        "leases": [objects.lease(cluster.gateways[0].name)],
        "namespaces": [objects.namespace(name) for name in ("default", "kube-system", OPERATOR)],
        "submariners": [{**submariner, "status": objects.submariner_status(cluster)}],
    }
    return {kind: tuple(found.get(kind, ())) for kind in RESOURCES}


def broker_objects(spec: LabSpec) -> dict[str, tuple[Object, ...]]:
    return {
        "endpoints": tuple(objects.endpoint(e, c.BROKER_NAMESPACE, synced=True) for e in endpoints(spec)),
        "clusters": tuple(
            objects.cluster(cluster_of(cluster), c.BROKER_NAMESPACE, synced=True) for cluster in spec.clusters
        ),
    }


def view(cluster_id: str, found: dict[str, tuple[Object, ...]]) -> ClusterView:
    """The data plane's view of a cluster's objects."""
    gateways = map(Gateway.from_object, found["gateways"])
    return ClusterView(
        cluster_id,
        tuple(map(Endpoint.from_object, found["endpoints"])),
        tuple(map(Cluster.from_object, found["clusters"])),
        tuple(
            next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
            for node in found["nodes"]
        ),
        next((gateway.connections for gateway in gateways if gateway.is_active), None),
    )


def node_state(node: NodeSpec, facts: NodeFacts, seen: ClusterView, cluster: ClusterSpec) -> NodeState:
    """A node in health: what Submariner makes, a CNI that routes pod CIDRs over the underlay, kube-proxy."""
    made = expected_state(facts, seen)
    links = (
        Link("lo", "", 65536, index=1, mac="00:00:00:00:00:00"),
        Link(UNDERLAY_DEVICE, "veth", 1500, index=2, mac=mac("ac", node.ip), stats=LinkStats()),
        Link(CNI_DEVICE, "bridge", 1500, index=3, mac=mac("0a", node.cni_ip), stats=LinkStats()),
        Link("veth1", "veth", 1500, index=4, master=CNI_DEVICE, stats=LinkStats()),
        *(_with_mac(link, node.ip, index) for index, link in enumerate(made.links or (), 5)),
    )
    devices = ("all", "default", *(link.name for link in links))
    settings = {f"net.ipv4.conf.{d}.rp_filter": "0" for d in devices}
    settings |= {f"net.ipv4.conf.{d}.forwarding": "1" for d in devices}
    settings |= {f"net.ipv4.conf.{d}.accept_local": "0" for d in devices} | {"net.ipv4.ip_forward": "1"}
    ports = [4800, *([4500] if c.VXLAN_TUNNEL in devices else [])]
    return NodeState(
        node=node.name,
        links=links,
        addresses=(
            Address("lo", "127.0.0.1", 8),
            Address(UNDERLAY_DEVICE, node.ip, 16),
            Address(CNI_DEVICE, node.cni_ip, 24),
            *(made.addresses or ()),
        ),
        fdb=made.fdb,
        neighbours=tuple(_neighbours(node, seen, cluster)),
        routes=(*_routes(node, cluster), *(made.routes or ())),
        rules=(Rule(0, "local"), *(made.rules or ()), Rule(32766, "main"), Rule(32767, "default")),
        packet_filters=(_packet_filter(made, cluster),),
        ipsets=made.ipsets,
        sysctls=settings | (made.sysctls or {}),
        hostname=facts.hostname,
        clock_s=CLOCK_S,
        counters=dict.fromkeys(COUNTERS, 0),
        sockets=(
            *(Socket("udp", "0.0.0.0", port, kernel=True) for port in ports),
            Socket("tcp", "0.0.0.0", 10250, "kubelet"),
        ),
        qdiscs=(),
        native_tables=(),
        xfrm_states=(),
        xfrm_policies=(),
        wireguard=(),
        conntrack_stats={"count": 100, "max": 262144, "drop": 0, "early_drop": 0, "insert_failed": 0},
    )


def _with_mac(link: Link, ip: str, index: int) -> Link:
    kind = "f0" if link.name == c.VX_SUBMARINER else "f1"
    return Link(**{**vars(link), "mac": mac(kind, ip), "index": index, "stats": LinkStats()})


def _routes(node: NodeSpec, cluster: ClusterSpec) -> Iterator[Route]:
    yield Route("default", UNDERLAY_DEVICE, gateway=UNDERLAY_GATEWAY)
    yield Route("172.18.0.0/16", UNDERLAY_DEVICE, source=node.ip, protocol="kernel", scope="link")
    yield Route(node.pod_cidr, CNI_DEVICE, source=node.cni_ip, protocol="kernel", scope="link")
    for other in cluster.nodes:
        if other is not node:
            yield Route(other.pod_cidr, UNDERLAY_DEVICE, gateway=other.ip)


def _neighbours(node: NodeSpec, seen: ClusterView, cluster: ClusterSpec) -> Iterator[Neighbour]:
    for other in cluster.nodes:
        if other is not node:
            yield Neighbour(UNDERLAY_DEVICE, other.ip, mac("ac", other.ip), "REACHABLE")
    local = seen.local
    if local is None:
        return
    if node.ip != local.private_ip:
        yield _resolved(c.VX_SUBMARINER, f"240.{_tail(local.private_ip)}", mac("f0", local.private_ip))
    elif local.backend == "vxlan":
        for remote, _ in seen.cables:
            yield _resolved(c.VXLAN_TUNNEL, f"241.{_tail(remote.private_ip)}", mac("f1", remote.private_ip))


def _resolved(device: str, ip: str, hardware: str) -> Neighbour:
    return Neighbour(device, ip, hardware, "REACHABLE")


def _tail(ip: str) -> str:
    return ip.split(".", 1)[1]


def _packet_filter(made: NodeState, cluster: ClusterSpec) -> PacketFilter:
    """Submariner's jumps before and behind everybody else's, as their positions say, all counters at zero."""
    kubernetes = f"{cluster.service_cidr.split('/')[0].rsplit('.', 1)[0]}.1"
    foreign = parse(_FOREIGN.format(pods=cluster.pod_cidr, kubernetes=kubernetes), "nft")
    own = [rule for state in made.packet_filters or () for rule in state.rules]
    policies = {key: policy for state in made.packet_filters or () for key, policy in state.policies.items()}
    saved = "\n".join(f"*{rule.table}\n[0:0] -A {rule.chain} {rule.text}" for rule in own)
    return PacketFilter((*parse(saved).rules, *foreign.rules), {**foreign.policies, **policies}, "nft")


def _gateway(node: NodeSpec, local: Endpoint, connections: Sequence[Connection]) -> Object:
    return {
        "apiVersion": "submariner.io/v1",
        "kind": "Gateway",
        "metadata": {
            "name": node.name,
            "namespace": OPERATOR,
            "annotations": {c.TIMESTAMP_ANNOTATION: str(int(CLOCK_S) - 2)},
        },
        "status": {
            "version": "0.19.0",
            "haStatus": "active" if connections else "passive",
            "statusFailure": "",
            "localEndpoint": local.to_spec(),
            "connections": [_connection(connection, "endpoint") for connection in connections],
        },
    }


def _connection(source: Connection, key: str, status: str = "connected") -> Object:
    latency = dict.fromkeys(("last", "min", "average", "max", "stdDev"), "430.763µs")
    found = {"status": status, "statusMessage": "", key: source.endpoint.to_spec(), "latencyRTT": latency}
    return {**found, "usingIP": source.using_ip} if key == "endpoint" else found


def _route_agent(node: NodeSpec, cluster: ClusterSpec, connections: Sequence[Connection]) -> Object:
    is_gateway = node is cluster.gateways[0]
    remotes = [_connection(found, "spec", "none" if is_gateway else "connected") for found in connections]
    if is_gateway:
        remotes = [{**found, "statusMessage": c.GATEWAY_NODE_MESSAGE} for found in remotes]
    return {
        "apiVersion": "submariner.io/v1",
        "kind": "RouteAgent",
        "metadata": {"name": node.name, "namespace": OPERATOR},
        "status": {"version": "0.19.0", "statusFailure": "", "remoteEndpoints": remotes},
    }


def _node(node: NodeSpec) -> Object:
    return {
        "metadata": {"name": node.name, "labels": {c.GATEWAY_LABEL: "true"} if node.gateway else {}},
        "spec": {"podCIDR": node.pod_cidr, "podCIDRs": [node.pod_cidr]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": node.ip}, {"type": "Hostname", "address": node.name}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _pod(app: str, node: NodeSpec, active: bool | None = None) -> Object:
    labels = {"app": app}
    if active is not None:
        labels |= {c.STATUS_LABEL: "active" if active else "passive", c.NODE_LABEL: node.name}
    return {
        "metadata": {
            "name": f"{app}-{node.name}",
            "namespace": OPERATOR,
            "labels": labels,
            "creationTimestamp": "2024-11-22T12:00:00Z",
        },
        "spec": {"nodeName": node.name, "hostNetwork": True, "containers": [{"name": app}]},
        "status": {
            "phase": "Running",
            "podIP": node.ip,
            "hostIP": node.ip,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    "name": app,
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": "2024-11-22T12:00:01Z"}},
                }
            ],
        },
    }


def _daemonset(name: str, pods: Sequence[Object]) -> Object:
    count = sum(1 for pod in pods if pod["metadata"]["labels"]["app"] == name)
    names = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "numberAvailable")
    return {
        "metadata": {"name": name, "namespace": OPERATOR, "labels": {"app": name}},
        "spec": {"selector": {"matchLabels": {"app": name}}},
        "status": {**dict.fromkeys(names, count), "numberMisscheduled": 0},
    }

"""From what was observed to what the model is computed from: a node's state gives its facts, API objects the view.

Submariner's agents look at the same things when they start; each function says where upstream does."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pytest_submariner.dataplane.addresses import contains, ipv4_cidrs
from pytest_submariner.dataplane.difference import OWN_DEVICES
from pytest_submariner.dataplane.objects import Cluster, Connection, Endpoint, Gateway, Object
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.errors import TopologyError
from pytest_submariner.model.nodestate import Address, NodeState, Route
from pytest_submariner.model.topology import Node, Role

CLAMP_ANNOTATION = "submariner.io/tcp-clamp-mss"
"""On the Node. submariner:pkg/routeagent_driver/handlers/mtu/mtuhandler.go"""
T = TypeVar("T")


def node_facts(
    node: Node,
    state: NodeState,
    pod_cidrs: Iterable[str],
    *,
    remotes: Iterable[Endpoint] = (),
    annotations: Mapping[str, str] | None = None,
) -> NodeFacts:
    """What the agents find on a node whose state is `state`.

    `remotes`: remote Endpoints; the next hop matters of those inside a subnet of their own. `annotations`: of the Node
    object. TopologyError when links, addresses or routes were not read, or there is no default route: then agents do
    not start either (submariner:pkg/netlink/netlink.go, GetDefaultGatewayInterface)."""
    links, addresses = _read(node, state, "links", state.links), _read(node, state, "addresses", state.addresses)
    routes = _read(node, state, "routes", state.routes)
    default = next((r for r in routes if (r.table, r.destination, r.kind) == ("main", "default", "unicast")), None)
    link = next((link for link in links if default is not None and link.name == default.device), None)
    if default is None or link is None:
        raise TopologyError(f"{node.name}: no default route in table main: which device is the underlay's is not known")
    underlay = next((address.ip for address in addresses if address.device == link.name), None)
    if underlay is None:
        raise TopologyError(f"{node.name}: {link.name}, the device of the default route, has no IPv4 address")
    cni = cni_address(addresses, pod_cidrs)
    clamp = (annotations or {}).get(CLAMP_ANNOTATION, "")
    return NodeFacts(
        name=node.name,
        hostname=state.hostname or node.name,
        underlay_device=link.name,
        underlay_ip=underlay,
        underlay_mtu=link.mtu,
        cni_device=cni.device if cni else None,
        cni_ip=cni.ip if cni else None,
        gateway_pod=node.role is not Role.NON_GATEWAY,
        next_hops=_next_hops(routes, remotes),
        tcp_clamp_mss=int(clamp) if clamp.isdigit() else None,
    )


def cni_address(addresses: Iterable[Address], pod_cidrs: Iterable[str]) -> Address | None:
    """The first address, in the order of devices, inside the first pod CIDR that has any
    (submariner:pkg/cni/cni_iface.go). `addresses` in the kernel's order."""
    known = tuple(addresses)
    return next((a for cidr in ipv4_cidrs(pod_cidrs) for a in known if contains(cidr, a.ip)), None)


def cluster_view(
    cluster_id: str,
    *,
    endpoints: Iterable[Object],
    clusters: Iterable[Object],
    nodes: Iterable[Object],
    gateways: Iterable[Object] = (),
) -> ClusterView:
    """The view of a cluster from its API objects. The active Gateway's connections say at which address a remote gateway
    is reached; a remote Endpoint it does not name is taken to be reached at its private IP.

    TopologyError for an object that lacks what matters."""
    addresses = (internal_ip(node) for node in nodes)
    view = ClusterView(
        cluster_id,
        tuple(map(Endpoint.from_object, endpoints)),
        tuple(map(Cluster.from_object, clusters)),
        tuple(address for address in addresses if address is not None),
    )
    reported = {connection.endpoint.cluster_id: connection for connection in _connections(gateways)}
    if not reported:
        return view
    cables = []
    for remote in view.remotes:
        connection = reported.get(remote.cluster_id)
        # A Gateway lags behind the Endpoints by some seconds: where it talks of an earlier one, the newer one counts.
        if connection is not None and connection.endpoint.private_ip == remote.private_ip:
            cables.append(connection)
        elif remote in view.reachable_remotes:
            cables.append(Connection(remote, ""))
    return ClusterView(cluster_id, view.endpoints, view.clusters, view.node_ips, tuple(cables))


def internal_ip(node: Object) -> str | None:
    """The first IPv4 InternalIP of a Node
    (submariner:pkg/routeagent_driver/handlers/kubeproxy/node_handler.go)."""
    found: list[Mapping[str, Any]] = (node.get("status") or {}).get("addresses") or []
    return next((a["address"] for a in found if a.get("type") == "InternalIP" and ":" not in a["address"]), None)


def _connections(gateways: Iterable[Object]) -> tuple[Connection, ...]:
    """Of the active Gateway; one that is starting has no status yet."""
    parsed = (Gateway.from_object(gateway) for gateway in gateways if (gateway.get("status") or {}).get("haStatus"))
    return next((gateway.connections for gateway in parsed if gateway.is_active), ())


def _next_hops(routes: Iterable[Route], remotes: Iterable[Endpoint]) -> dict[str, str]:
    """By longest prefix in table main, as before Submariner's own routes."""
    main = [r for r in routes if r.table == "main" and r.kind == "unicast" and r.device not in OWN_DEVICES]
    hops: dict[str, str] = {}
    for remote in remotes:
        address = remote.public_ip or remote.private_ip
        if not any(contains(subnet, address) for subnet in ipv4_cidrs(remote.subnets)):
            continue
        fitting = [r for r in main if contains(_cidr(r), address)]
        best = max(fitting, key=lambda r: ipaddress.ip_network(_cidr(r)).prefixlen, default=None)
        if best is not None and best.gateway is not None:
            hops[address] = best.gateway
    return hops


def _cidr(route: Route) -> str:
    return "0.0.0.0/0" if route.destination == "default" else route.destination


def _read(node: Node, state: NodeState, part: str, value: T | None) -> T:
    if value is None:
        raise TopologyError(f"{node.name}: {part} could not be read: {state.unread.get(part, 'no reason given')}")
    return value

"""Routes and policy rules.

Towards remote clusters other nodes route to the gateway's 240.x address over vx-submariner; the active gateway never
does. It has table 100 (vxlan cable) and table 150 (CNI source address for its own processes), each with a rule of
the same number."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.addresses import contains, ipv4_cidrs, vtep, vtep_network, without_host_mask
from pytest_submariner.dataplane.links import addresses, has_vxlan_cable
from pytest_submariner.dataplane.objects import Endpoint
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.model.nodestate import Route, Rule


def routes(node: NodeFacts, view: ClusterView) -> tuple[Route, ...]:
    """Connected routes of the VXLAN devices (the kernel's, made with the address) and Submariner's own."""
    if view.local is None:
        return ()
    connected = (_connected(address.device, address.ip) for address in addresses(node, view))
    if not view.is_active_gateway(node):
        return (*connected, *_to_gateway(view.local, view))
    return (*connected, *_cable(node, view), *_host_network(node, view.local, view))


def rules(node: NodeFacts, view: ClusterView) -> tuple[Rule, ...]:
    """None on other nodes than the active gateway. A former gateway keeps rule 100, which does nothing: table 100 is
    empty there (submariner:pkg/routeagent_driver/handlers/kubeproxy/gw_transition.go)."""
    if not view.is_active_gateway(node):
        return ()
    tables = (c.CABLE_TABLE, c.HOST_NETWORK_TABLE) if has_vxlan_cable(node, view) else (c.HOST_NETWORK_TABLE,)
    return tuple(Rule(priority=int(table), table=table) for table in tables)


def _connected(device: str, ip: str) -> Route:
    network = vtep_network(int(ip.split(".", 1)[0]))
    return Route(network, device, source=ip, protocol="kernel", scope="link")


def _to_gateway(local: Endpoint, view: ClusterView) -> Iterator[Route]:
    # protocol 4 is "static"; no metric and no source: the kernel picks 240.x, which the SNAT rule rewrites.
    gateway = vtep(c.VX_SUBMARINER_OCTET, local.private_ip)
    for subnet in _subnets(view.reachable_remotes):
        yield Route(without_host_mask(subnet), c.VX_SUBMARINER, gateway=gateway, protocol="static")


def _cable(node: NodeFacts, view: ClusterView) -> Iterator[Route]:
    """The next hop is made of the remote private IP even when the cable uses its public one
    (submariner:pkg/cable/vxlan/vxlan.go)."""
    if not has_vxlan_cable(node, view):
        return
    for remote, _ in view.cables:
        gateway = vtep(c.VXLAN_TUNNEL_OCTET, remote.private_ip)
        for subnet in ipv4_cidrs(remote.subnets):
            yield Route(
                without_host_mask(subnet),
                c.VXLAN_TUNNEL,
                table=c.CABLE_TABLE,
                gateway=gateway,
                source=node.cni_ip,
                metric=c.CABLE_ROUTE_METRIC,
            )


def _host_network(node: NodeFacts, local: Endpoint, view: ClusterView) -> Iterator[Route]:
    """Without a CNI address there are no routes; a cable with a device of its own (wireguard) takes the place of the
    underlay's."""
    if node.cni_ip is None:
        return
    device = local.backend_config.get("interface-name") or node.underlay_device
    for remote in view.reachable_remotes:
        address = remote.public_ip or remote.private_ip
        for subnet in ipv4_cidrs(remote.subnets):
            # A remote gateway inside its own subnet would be cut off by a scope-link route, so it is reached as before.
            hop = node.next_hops.get(address) if contains(subnet, address) else None
            yield Route(
                without_host_mask(subnet),
                device,
                table=c.HOST_NETWORK_TABLE,
                gateway=hop,
                source=node.cni_ip,
                protocol="static",
                scope="global" if hop else "link",
            )


def _subnets(endpoints: tuple[Endpoint, ...]) -> tuple[str, ...]:
    return ipv4_cidrs(subnet for endpoint in endpoints for subnet in endpoint.subnets)

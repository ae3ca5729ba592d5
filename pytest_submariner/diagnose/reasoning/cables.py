"""The cables between clusters, as their ends: an active gateway, what it was told of the other side, and its state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pytest_submariner.dataplane.addresses import vtep
from pytest_submariner.dataplane.constants import CABLE_PORT, VXLAN_TUNNEL, VXLAN_TUNNEL_OCTET
from pytest_submariner.dataplane.objects import Connection, Endpoint
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.published import Published, all_published
from pytest_submariner.model.nodestate import Link
from pytest_submariner.model.topology import Node

WIREGUARD_DEVICE: Final = "submariner"
"""submariner:pkg/cable/wireguard/driver.go"""
CABLE_DEVICES: Final = frozenset({VXLAN_TUNNEL, WIREGUARD_DEVICE})
RESTART_GATEWAY: Final = (
    "`kubectl -n submariner-operator delete pod -l app=submariner-gateway,gateway.submariner.io/status=active`"
)


@dataclass(frozen=True)
class CableEnd:
    """The side of `here`, whose active gateway is `node`, towards `there`. `own` and `peer`: their Endpoints, each as its own cluster
    publishes it. `connection`: what the Gateway here says of the cable, None when it has none. `sight`, `far`: the states of
    this side's gateway and of the other's, where they were read."""

    here: Published
    there: Published
    node: Node
    own: Endpoint
    peer: Endpoint
    connection: Connection | None
    sight: NodeSight | None
    far: NodeSight | None

    @property
    def driver(self) -> str:
        return self.own.backend

    @property
    def using_ip(self) -> str:
        """Where the other gateway is reached, as far as anybody says."""
        return (self.connection.using_ip if self.connection is not None else "") or self.peer.private_ip

    @property
    def positions(self) -> tuple[str, str]:
        return self.here.position, self.there.position

    @property
    def explains(self) -> scope.Scope:
        return scope.across(*self.positions)

    @property
    def refuted_by(self) -> scope.Scope:
        """What is wrong with all of a cable leaves nothing to cross it."""
        return scope.crossing(*self.positions)

    @property
    def tunnel(self) -> Link | None:
        """The device of the vxlan cable here, when there is one and it is up."""
        link = self.sight.link(VXLAN_TUNNEL) if self.sight is not None else None
        return link if link is not None and link.up else None

    @property
    def peer_vteps(self) -> frozenset[str]:
        """The other gateway's addresses on its vxlan-tunnel: those it has, else the one that follows from its Endpoint."""
        known = self.far.addresses if self.far is not None else ()
        found = frozenset(a.ip for a in known if a.device == VXLAN_TUNNEL)
        return found or frozenset({vtep(VXLAN_TUNNEL_OCTET, self.peer.private_ip)})

    @property
    def peer_ips(self) -> frozenset[str]:
        """Underlay addresses of the other gateway: those of its node, and what stands for it outside."""
        own = self.far.own_ips if self.far is not None else frozenset[str]()
        return own | {self.peer.private_ip, self.peer.public_ip} - {""}


def port_of(endpoint: Endpoint) -> int:
    """UDP port of its cable (submariner:pkg/apis/submariner.io/v1, backend_config udp-port)."""
    told = endpoint.backend_config.get("udp-port", "")
    return int(told) if told.isdigit() else CABLE_PORT


def natt_port_of(endpoint: Endpoint) -> int:
    """UDP port of its NAT discovery, 0 where it takes no part in it (submariner:pkg/natdiscovery/natdiscovery.go)."""
    told = endpoint.backend_config.get("natt-discovery-port", "")
    return int(told) if told.isdigit() else 0


def cable_ends(seen: Observation, *drivers: str) -> Iterator[CableEnd]:
    """Both ends of every cable between two clusters that have an active gateway and an Endpoint; only of these drivers, when any is
    given."""
    known = [told for told in all_published(seen) if told.own is not None]
    for here in known:
        node = seen.gateway(here.position)
        for there in known:
            if node is None or there is here or here.own is None or there.own is None:
                continue
            if drivers and here.own.backend not in drivers:
                continue
            far = seen.gateway(there.position)
            yield CableEnd(
                here, there, node, here.own, there.own, here.connection_to(there), seen.sight(node), seen.sight(far)
            )

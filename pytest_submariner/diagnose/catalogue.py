"""All causes, in the order of the chapters."""

from __future__ import annotations

from typing import Final

from pytest_submariner.diagnose.cause import Cause
from pytest_submariner.diagnose.causes import (
    cable,
    cable_addresses,
    cable_encrypted,
    cable_health,
    cable_vxlan,
    cni,
    cni_connectivity,
    dns,
    dns_exports,
    globalnet,
    globalnet_addresses,
    host,
    host_identity,
    kubernetes,
    kubernetes_agents,
    kubernetes_endpoints,
    mtu,
    mtu_forwarding,
    netfilter,
    netfilter_connections,
    netfilter_nat,
    netfilter_policies,
    netfilter_services,
    overlay,
    overlay_fdb,
    overlay_identity,
    overlay_network,
    routing,
    routing_gateway,
    underlay,
)

_CHAPTERS = (
    kubernetes,
    kubernetes_agents,
    kubernetes_endpoints,
    cable,
    cable_addresses,
    cable_encrypted,
    cable_health,
    cable_vxlan,
    overlay,
    overlay_fdb,
    overlay_identity,
    overlay_network,
    routing,
    routing_gateway,
    netfilter,
    netfilter_connections,
    netfilter_nat,
    netfilter_policies,
    netfilter_services,
    cni,
    cni_connectivity,
    mtu,
    mtu_forwarding,
    dns,
    dns_exports,
    globalnet,
    globalnet_addresses,
    host,
    host_identity,
    underlay,
)
CAUSES: Final[tuple[Cause, ...]] = tuple(
    found for chapter in _CHAPTERS for found in vars(chapter).values() if isinstance(found, Cause)
)
BY_CODE: Final = {cause.code: cause for cause in CAUSES}

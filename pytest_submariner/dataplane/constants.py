"""Numbers and names Submariner is built on (release line 0.18/0.19), each with the upstream file it comes from."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

VX_SUBMARINER: Final = "vx-submariner"
"""Device between the nodes of a cluster. submariner:pkg/routeagent_driver/handlers/kubeproxy/constants.go"""
VX_SUBMARINER_VNI: Final = 100
"""submariner:pkg/routeagent_driver/handlers/kubeproxy/vxlan.go"""
VX_SUBMARINER_PORT: Final = 4800
"""UDP. submariner:pkg/port/ports.go"""
VX_SUBMARINER_OCTET: Final = 240
"""First octet of its addresses; the others are the node's.
submariner:pkg/routeagent_driver/handlers/kubeproxy/constants.go"""

VXLAN_TUNNEL: Final = "vxlan-tunnel"
"""Device of the vxlan cable between gateway nodes of two clusters. submariner:pkg/cable/vxlan/vxlan.go"""
VXLAN_TUNNEL_VNI: Final = 1000
VXLAN_TUNNEL_OCTET: Final = 241
CABLE_ROUTE_METRIC: Final = 100
VTEP_PREFIX_LENGTH: Final = 8
VXLAN_OVERHEAD: Final = 50
"""Bytes by which either VXLAN device's MTU is below the underlay's. submariner:pkg/vxlan/vxlan.go"""

CABLE_PORT: Final = 4500
"""UDP port of every cable driver unless `udp-port` says otherwise. submariner:pkg/port/ports.go"""
NAT_DISCOVERY_PORT: Final = 4490
"""UDP. submariner:pkg/port/ports.go"""

CABLE_TABLE: Final = "100"
"""Routes of the vxlan cable. submariner:pkg/cable/vxlan/vxlan.go"""
HOST_NETWORK_TABLE: Final = "150"
"""Routes which give the gateway node's own processes a CNI source address.
submariner:pkg/routeagent_driver/constants/constants.go"""

POSTROUTING_CHAIN: Final = "SUBMARINER-POSTROUTING"
"""In nat and mangle. submariner:pkg/routeagent_driver/constants/constants.go"""
INPUT_CHAIN: Final = "SUBMARINER-INPUT"
FORWARD_CHAIN: Final = "SUBMARINER-FORWARD"
GLOBALNET_CHAIN_PREFIX: Final = "SUBMARINER-GN-"
"""submariner:pkg/globalnet/constants/constants.go; globalnet's chains are not part of this model."""
OWN_CHAINS: Final = (
    ("filter", FORWARD_CHAIN),
    ("filter", INPUT_CHAIN),
    ("mangle", POSTROUTING_CHAIN),
    ("nat", POSTROUTING_CHAIN),
)

LOCAL_CIDRS_SET: Final = "SUBMARINER-LOCALCIDRS"
"""submariner:pkg/routeagent_driver/constants/constants.go"""
REMOTE_CIDRS_SET: Final = "SUBMARINER-REMOTECIDRS"
SET_TYPE: Final = "hash:net"

IPSEC_MSS_OVERHEAD: Final = 120
"""IP, TCP and IPsec headers in the fixed-MSS mode. submariner:pkg/routeagent_driver/handlers/mtu/mtuhandler.go"""
VXLAN_MSS_OVERHEAD: Final = 50
"""Same file; upstream leaves the 40 bytes of IP and TCP out for vxlan, so the value is 40 too high."""

GATEWAY_LABEL: Final = "submariner.io/gateway"
"""Node label; "true" makes a node a gateway candidate."""
CLUSTER_ID_LABEL: Final = "submariner-io/clusterID"
"""On objects synced from another cluster (the dash after `submariner` is upstream's)."""
STATUS_LABEL: Final = "gateway.submariner.io/status"
"""On the gateway pod: active or passive. submariner:pkg/pod/pod.go"""
NODE_LABEL: Final = "gateway.submariner.io/node"
"""On the gateway pod: the node's name. submariner:pkg/pod/pod.go"""
TIMESTAMP_ANNOTATION: Final = "update-timestamp"
"""On the Gateway: Unix seconds of its last refresh. submariner:pkg/cableengine/syncer/syncer.go"""
OPERATOR_NAMESPACE: Final = "submariner-operator"
BROKER_NAMESPACE: Final = "submariner-k8s-broker"

GATEWAY_NODE_MESSAGE: Final = "Health check is not performed on gateway nodes"
"""RouteAgent status message. submariner:pkg/routeagent_driver/handlers/healthchecker/healthchecker.go"""
HEALTH_CHECK_OFF_MESSAGE: Final = "Health check is not enabled"
NO_HEALTH_CHECK_IP_MESSAGE: Final = "Health checker IP is not configured"


class Position(StrEnum):
    """Where a jump is put when it is absent; an existing one is never moved.
    submariner:pkg/packetfilter/iptables/iptables.go"""

    FIRST = "first"
    LAST = "last"


HOOKS: Final = (
    ("filter", "FORWARD", f"-j {FORWARD_CHAIN}", Position.FIRST),
    ("filter", "INPUT", f"-p udp -m udp -j {INPUT_CHAIN}", Position.LAST),
    ("mangle", "POSTROUTING", f"-j {POSTROUTING_CHAIN}", Position.FIRST),
    ("nat", "POSTROUTING", f"-j {POSTROUTING_CHAIN}", Position.FIRST),
)
"""Jumps from built-in chains: table, chain, rule text, position.
submariner:pkg/routeagent_driver/handlers/kubeproxy/packetfilter_iface.go"""

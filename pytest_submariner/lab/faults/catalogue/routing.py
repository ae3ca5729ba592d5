"""Faults of routes and rules."""

from __future__ import annotations

from functools import partial
from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import NODE, NODE_IN, NOTHING, Signature
from pytest_submariner.lab.faults.steps import Shell, route_removed, route_replaced

_fault: Final = partial(Fault, layer=Layer.ROUTING)
_POD_ROUTE: Final = Signature(("{{pod,hostpod}}.ngw.{a}--pod.*.{b}--*",)) | NODE_IN
"""The node cannot send to remote pods, nor answer them."""
_RULE_100: Final = Signature(("*.{a}--*.{b}--*", "pod.*.{b}--*.{a}--*"), ("hostpod.*.{b}--*.{a}--*",))
"""Table 150 then takes what goes to other clusters, straight to the underlay. Where that is one network, other nodes answer for
their CNI addresses there, and their host networks have replies."""
_CIDRS: Final = ("$RPOD", "$RSVC")

FAULTS: Final = (
    _fault(
        "route-remote-cidr-missing",
        Role.NON_GATEWAY,
        "the node has no route to a remote pod CIDR",
        (route_removed("exact $RPOD table main"),),
        _POD_ROUTE,
        otherwise=(
            Shell(
                "ip route del $RPOD dev vx-submariner; ip route add $RPOD via $GV dev vx-submariner table 77",
                "ip route add $RPOD via $GV dev vx-submariner proto static; ip route flush table 77",
            ),
        ),
    ),
    _fault(
        "route-nexthop-old-gateway",
        Role.NON_GATEWAY,
        "the node's routes point at the former gateway's 240.x address",
        tuple(
            route_replaced(f"exact {cidr} table main", f"{cidr} via 240.18.250.250 dev vx-submariner proto static")
            for cidr in _CIDRS
        ),
        NODE,
        otherwise=tuple(
            route_replaced(f"exact {cidr} table main", f"{cidr} via 240.18.99.1 dev vx-submariner onlink")
            for cidr in _CIDRS
        ),
    ),
    _fault(
        "route-replaced-by-cni",
        Role.NON_GATEWAY,
        "the CNI overwrote the routes to remote CIDRs",
        tuple(route_replaced(f"exact {cidr} table main", f"{cidr} via $ROUTER dev $UL proto bird") for cidr in _CIDRS),
        NODE,
        otherwise=tuple(
            route_replaced(f"exact {cidr} table main", f"{cidr} via $ROUTER dev $UL proto zebra src $CIP metric 20")
            for cidr in _CIDRS
        ),
    ),
    _fault(
        "route-table220-leftover",
        Role.NON_GATEWAY,
        "an IPsec policy table survives on a node that is no gateway any more",
        (
            Shell(
                "ip route add $RPOD via $ROUTER dev $UL table 220; ip rule add prio 220 lookup 220",
                "ip rule del prio 220; ip route flush table 220",
            ),
        ),
        _POD_ROUTE,
        otherwise=(
            Shell(
                "ip route add $RPOD via $ROUTER dev $UL src $CIP table 150; ip rule add prio 150 lookup 150",
                "ip rule del prio 150; ip route flush table 150",
            ),
        ),
    ),
    _fault(
        "route-rule100-missing",
        Role.GATEWAY,
        "the policy rule for the vxlan cable's table is missing",
        (Shell("ip rule del prio 100", "ip rule add prio 100 lookup 100", keep="ip rule show prio 100"),),
        _RULE_100,
        otherwise=(
            Shell(
                "ip rule del prio 100; ip rule del prio 150",
                "ip rule add prio 100 lookup 100; ip rule add prio 150 lookup 150",
            ),
        ),
    ),
    _fault(
        "route-table150-lost",
        Role.GATEWAY,
        "the gateway's host-network table is empty",
        tuple(route_removed(f"exact {cidr} table 150") for cidr in _CIDRS),
        NOTHING,
        otherwise=(Shell("ip rule del prio 150", "ip rule add prio 150 lookup 150"),),
    ),
    _fault(
        "route-gw-source-hint-missing",
        Role.GATEWAY,
        "the gateway's routes lack the CNI source address",
        tuple(
            route_replaced(f"exact {cidr} table 100", f"{cidr} via $RT dev vxlan-tunnel metric 100 table 100")
            for cidr in _CIDRS
        ),
        Signature(("hostpod.gw.{a}--{{pod,svc}}.ngw.{b}--*", "hostpod.gw.{a}--{{pod,svc}}.gw.{b}--{{tcp,udp}}*")),
        otherwise=tuple(
            route_replaced(f"exact {cidr} table 100", f"{cidr} via $RT dev vxlan-tunnel src $TV metric 100 table 100")
            for cidr in _CIDRS
        ),
    ),
    _fault(
        "route-more-specific-local",
        Role.NON_GATEWAY,
        "a local bridge covers a part of a remote CIDR",
        (
            Shell(
                "ip link add docker0 type bridge; ip addr add ${RGPODS%.*}.254/24 dev docker0; ip link set docker0 up",
                "ip link del docker0",
            ),
        ),
        Signature(("{{pod,hostpod}}.ngw.{a}--pod.gw.{b}--*", "{{pod,hostpod}}.gw.{b}--{{pod,svc}}.ngw.{a}--*")),
        otherwise=(
            Shell("ip route add $RGPODS via $ROUTER dev $UL proto static", "ip route del $RGPODS via $ROUTER dev $UL"),
        ),
    ),
    _fault(
        "route-blackhole",
        Role.NON_GATEWAY,
        "the route to a remote pod CIDR is a blackhole",
        (route_replaced("exact $RPOD table main", "blackhole $RPOD"),),
        _POD_ROUTE,
        otherwise=(route_replaced("exact $RPOD table main", "prohibit $RPOD proto 80"),),
    ),
)

"""Faults of the CNI, a natively routed one in the lab."""

from __future__ import annotations

from functools import partial
from typing import Final

from pytest_submariner.lab.faults.catalogue.calico import calico, remote_pool
from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import HOST_ONLY, NODE, Signature
from pytest_submariner.lab.faults.steps import (
    Shell,
    fabric_drops,
    fabric_filter,
    route_removed,
    route_replaced,
    rule_removed,
    rule_replaced,
    sysctl,
)

_fault: Final = partial(Fault, layer=Layer.CNI)
_SNAT: Final = "-s 240.0.0.0/8 -o vx-submariner -j SNAT"

_PODS_APART: Final = Signature(("{{pod,hostpod}}.gw.{a}--{{pod,svc}}.ngw.{a}--*", "pod.ngw.{a}--{{pod,svc}}.gw.{a}--*"))
"""Inside the cluster, between the gateway and the node's pods."""
_MASQUERADED: Final = Signature(
    ("{{pod,hostpod}}.*.{a}--*.{b}--{{tcp,udp}}*", "pod.ngw.{a}--*.{b}--*", "*.{a}--pod.ngw.{b}--*")
)
"""Pods of the gateway still reach the other cluster, with an address nobody promised."""


_NO_CNI_ADDRESS: Final = Shell(
    "ip addr del $CIP/24 dev $CNI; ip route add $PODS dev $CNI;"
    " ip route add $CIP/32 via $ROUTER dev $UL; ip neigh add proxy $CIP dev $CNI",
    "ip neigh del proxy $CIP dev $CNI; ip route del $CIP/32 via $ROUTER dev $UL; ip route del $PODS dev $CNI;"
    " ip addr add $CIP/24 dev $CNI",
)
"""The CNI's bridge answers for the pods' next hop all the same, as CNIs do that need no address of their own."""


FAULTS: Final = (
    _fault(
        "cni-interface-wrong",
        Role.NON_GATEWAY,
        "the agent took a foreign interface in the pod CIDR for the CNI's",
        (
            Shell(
                "ip link add br-other type bridge; ip addr add $FREE/32 dev br-other; ip link set br-other up",
                "ip link del br-other",
            ),
            rule_replaced("nat", "SUBMARINER-POSTROUTING", _SNAT, f"{_SNAT} --to-source $FREE"),
        ),
        HOST_ONLY,
        otherwise=(
            Shell(
                "ip link add virbr7 type bridge; ip addr add ${FREE%.*}.249/30 dev virbr7; ip link set virbr7 up",
                "ip link del virbr7",
            ),
            rule_replaced("nat", "SUBMARINER-POSTROUTING", _SNAT, f"{_SNAT} --to-source ${{FREE%.*}}.249"),
        ),
    ),
    _fault(
        "cni-ingress-path-missing",
        Role.GATEWAY,
        "the gateway has no CNI route to a node's pods",
        (route_removed("exact $WPODS table main"),),
        NODE | _PODS_APART,
        needs=("WORKER",),
        otherwise=(route_replaced("exact $WPODS table main", "unreachable $WPODS"),),
    ),
    _fault(
        "cni-rpfilter-strict",
        Role.NON_GATEWAY,
        "the reverse-path filter is strict where the CNI delivers",
        (sysctl("net/ipv4/conf/$UL/rp_filter", "1"),),
        NODE,
        otherwise=(sysctl("net/ipv4/conf/all/rp_filter", "1"),),
    ),
    _fault(
        "cni-intra-cluster-broken",
        Role.NON_GATEWAY,
        "the CNI does not connect the node's pods with the gateway's",
        (fabric_drops("-p IPv4 --ip-src $PODS"), fabric_drops("-p IPv4 --ip-dst $PODS")),
        NODE | _PODS_APART,
        otherwise=(fabric_filter("cni", "ip saddr $PODS drop", "ip daddr $PODS drop"),),
    ),
    _fault(
        "cni-interface-missing",
        Role.NON_GATEWAY,
        "no interface of the node has an address in the pod CIDR",
        (_NO_CNI_ADDRESS, rule_removed("nat", "SUBMARINER-POSTROUTING", _SNAT)),
        HOST_ONLY,
        otherwise=(
            Shell("ip addr add 169.254.77.1/32 dev $CNI", "ip addr del 169.254.77.1/32 dev $CNI"),
            _NO_CNI_ADDRESS,
            rule_removed("nat", "SUBMARINER-POSTROUTING", _SNAT),
        ),
    ),
    _fault(
        "cni-calico-ippool",
        Role.CLUSTER,
        "Calico has no pools for the remote CIDRs, and masquerades what goes there",
        calico((), known=()),
        _MASQUERADED,
        otherwise=calico(
            [remote_pool(cidr, disabled=False, nat_outgoing=True) for cidr in ("$RPOD", "$RSVC")], known=()
        ),
    ),
)

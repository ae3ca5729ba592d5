"""Faults of the CNI, a natively routed one in the lab."""

from __future__ import annotations

from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import HOST_ONLY, NODE, NODE_LOCAL, Signature
from pytest_submariner.lab.faults.steps import Shell, fabric_drops, route_removed, rule_replaced, sysctl

_SNAT: Final = "-s 240.0.0.0/8 -o vx-submariner -j SNAT"

FAULTS: Final = (
    Fault(
        "cni-interface-wrong",
        Layer.CNI,
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
    ),
    Fault(
        "cni-ingress-path-missing",
        Layer.CNI,
        Role.GATEWAY,
        "the gateway has no CNI route to a node's pods",
        (route_removed("exact $WPODS table main"),),
        NODE | Signature(("{{pod,hostpod}}.gw.{a}--{{pod,svc}}.ngw.{a}--*", "pod.ngw.{a}--{{pod,svc}}.gw.{a}--*")),
        needs=("WORKER",),
    ),
    Fault(
        "cni-rpfilter-strict",
        Layer.CNI,
        Role.NON_GATEWAY,
        "the reverse-path filter is strict where the CNI delivers",
        (sysctl("net/ipv4/conf/$UL/rp_filter", "1"),),
        NODE,
    ),
    Fault(
        "cni-intra-cluster-broken",
        Layer.CNI,
        Role.NON_GATEWAY,
        "the CNI does not connect the node's pods with the gateway's",
        (fabric_drops("-p IPv4 --ip-src $PODS"), fabric_drops("-p IPv4 --ip-dst $PODS")),
        NODE | NODE_LOCAL,
    ),
)

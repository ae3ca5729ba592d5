"""Faults of packet filters, address translation and kube-proxy."""

from __future__ import annotations

from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import (
    HOST_ONLY,
    INSIDE,
    NODE,
    NODE_IN,
    NODE_OUT,
    SERVICES_HERE,
    Signature,
    maybe,
)
from pytest_submariner.lab.faults.steps import Shell, policy_drop, rule_first, rule_removed, rule_replaced

_SNAT: Final = "-s 240.0.0.0/8 -o vx-submariner -j SNAT"
_MASQUERADE: Final = "-s $LPOD ! -d $LPOD -j MASQUERADE"
_POD_OUT: Final = Signature(("pod.ngw.{a}--*.{b}--*",))
_POLICY_DROP: Final = Signature(("pod.*.{a}--*.{b}--*", "hostpod.ngw.{a}--*.{b}--*", "*.{b}--pod.*.{a}--*"))
"""Services asked for from other clusters work: kube-proxy marks those flows for masquerading, and accepts marked ones."""
_NO_TRANSLATION: Final = (
    rule_removed("nat", "PREROUTING", "-j KUBE-SERVICES"),
    rule_removed("nat", "OUTPUT", "-j KUBE-SERVICES"),
)
_SERVICES: Final = SERVICES_HERE | Signature(("{{pod,hostpod}}.gw.{a}--svc.*.{a}--*",))

FAULTS: Final = (
    Fault(
        "nf-hostnet-snat-missing",
        Layer.NETFILTER,
        Role.NON_GATEWAY,
        "the node has no SNAT from 240/8 to its CNI address",
        (rule_removed("nat", "SUBMARINER-POSTROUTING", _SNAT),),
        HOST_ONLY,
    ),
    Fault(
        "nf-hostnet-snat-wrong-address",
        Layer.NETFILTER,
        Role.NON_GATEWAY,
        "the SNAT's address is not one of the node",
        (rule_replaced("nat", "SUBMARINER-POSTROUTING", _SNAT, f"{_SNAT} --to-source $FREE"),),
        HOST_ONLY,
    ),
    Fault(
        "nf-postrouting-jump-missing",
        Layer.NETFILTER,
        Role.NON_GATEWAY,
        "POSTROUTING does not call SUBMARINER-POSTROUTING",
        (rule_removed("nat", "POSTROUTING", "-j SUBMARINER-POSTROUTING"),),
        NODE_OUT,
    ),
    Fault(
        "nf-masquerade-first-worker",
        Layer.NETFILTER,
        Role.NON_GATEWAY,
        "somebody masquerades pods before Submariner accepts them",
        (rule_first("nat", "POSTROUTING", _MASQUERADE),),
        _POD_OUT,
    ),
    Fault(
        "nf-masquerade-on-gateway",
        Layer.NETFILTER,
        Role.GATEWAY,
        "the gateway rewrites the source of pods",
        (rule_first("nat", "POSTROUTING", _MASQUERADE),),
        Signature(("{{pod,hostpod}}.*.{a}--*.{b}--{{tcp,udp}}*",)),
    ),
    Fault(
        "nf-forward-drop-gateway",
        Layer.NETFILTER,
        Role.GATEWAY,
        "the gateway's FORWARD policy drops what crosses",
        (policy_drop("FORWARD"),),
        _POLICY_DROP | maybe(INSIDE),
    ),
    Fault(
        "nf-forward-drop-worker",
        Layer.NETFILTER,
        Role.NON_GATEWAY,
        "the node's FORWARD policy drops new flows to its pods",
        (policy_drop("FORWARD"),),
        NODE_IN | maybe(INSIDE),
    ),
    Fault(
        "nf-input-reject-before-submariner",
        Layer.NETFILTER,
        Role.GATEWAY,
        "a REJECT precedes Submariner's accept of UDP/4800",
        (
            rule_first(
                "filter",
                "INPUT",
                "-i $UL -p udp -m multiport ! --dports 4490,4500,8472 -j REJECT --reject-with icmp-host-prohibited",
            ),
        ),
        NODE,
    ),
    Fault(
        "nf-backend-mix",
        Layer.NETFILTER,
        Role.NON_GATEWAY,
        "pods are masqueraded in the other iptables backend than Submariner's",
        (rule_first("nat", "POSTROUTING", _MASQUERADE, program="iptables-legacy"),),
        _POD_OUT,
    ),
    Fault(
        "nf-kubeproxy-dead-on-remote-gateway",
        Layer.NETFILTER,
        Role.GATEWAY,
        "the gateway does not translate service addresses",
        _NO_TRANSLATION,
        _SERVICES,
    ),
    Fault(
        "nf-kubeproxy-ipvs",
        Layer.NETFILTER,
        Role.GATEWAY,
        "kube-proxy runs in IPVS mode on the gateway: service addresses are local there",
        (
            *_NO_TRANSLATION,
            Shell(
                "ip link add kube-ipvs0 type bridge; ip addr add ${LSVC%.*}.1/32 dev kube-ipvs0",
                "ip link del kube-ipvs0",
            ),
        ),
        _SERVICES,
    ),
)

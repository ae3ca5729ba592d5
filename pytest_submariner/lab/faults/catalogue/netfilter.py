"""Faults of packet filters, address translation and kube-proxy."""

from __future__ import annotations

from functools import partial
from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import (
    HOST_ONLY,
    INSIDE,
    NODE,
    NODE_IN,
    NODE_OUT,
    NOTHING,
    SERVICES_HERE,
    Signature,
    maybe,
)
from pytest_submariner.lab.faults.steps import (
    EveryNamespace,
    Object,
    Place,
    Shell,
    nft,
    policy_drop,
    rule_first,
    rule_last,
    rule_removed,
    rule_replaced,
    running,
)

_fault: Final = partial(Fault, layer=Layer.NETFILTER)
_SNAT: Final = "-s 240.0.0.0/8 -o vx-submariner -j SNAT"
_MASQUERADE: Final = "-s $LPOD ! -d $LPOD -j MASQUERADE"
_POD_OUT: Final = Signature(("pod.ngw.{a}--*.{b}--*",))
_POLICY_DROP: Final = Signature(("pod.*.{a}--*.{b}--*", "hostpod.ngw.{a}--*.{b}--*", "*.{b}--pod.*.{a}--*"))
"""Services asked for from other clusters work: kube-proxy marks those flows for masquerading, and accepts marked ones."""
_DATAGRAMS_TO_GATEWAY: Final = Signature(
    (), ("{{pod,hostpod}}.ngw.{a}--hostpod.gw.{a}--udp", "hostpod.gw.{a}--*.ngw.{a}--udp")
)
"""By the node firewall's habit of refusing every datagram it does not know."""
_NO_TRANSLATION: Final = (
    rule_removed("nat", "PREROUTING", "-j KUBE-SERVICES"),
    rule_removed("nat", "OUTPUT", "-j KUBE-SERVICES"),
)
_SERVICES: Final = SERVICES_HERE | Signature(("{{pod,hostpod}}.gw.{a}--svc.*.{a}--*",))

_POLICIES: Final = "networking.k8s.io/v1/networkpolicies"
_OWN_PODS: Final[Object] = {"namespaceSelector": {}}
_NODES: Final = {"ipBlock": {"cidr": "172.18.0.0/16"}}
POLICY_GONE: Final = Shell(
    ":",
    "for try in $(seq 50); do iptables -S KUBE-ROUTER-FORWARD > /dev/null 2>&1 || exit 0; sleep 0.1; done",
    at=Place.CLUSTER,
)
"""Undone last: the CNI follows the API within moments."""


def _policy(name: str, pods: Object, ingress: list[Object]) -> Object:
    spec = {"podSelector": pods, "policyTypes": ["Ingress"], "ingress": ingress}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def _without_snat(name: str, port: int) -> Shell:
    """A flow of datagrams from a fixed port that began while the SNAT rule was missing, and goes on."""
    sender = f"""import socket, time
flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
flow.bind(("", {port}))
while True:
    flow.sendto(b"still here", (sys.argv[2], {port}))
    ready()
    time.sleep(2)"""
    started = running(name, sender, "$RCIP")
    return Shell(
        f"""rule=$(iptables -t nat -S SUBMARINER-POSTROUTING | grep -F -m1 -e "{_SNAT}")
rule=${{rule#-A SUBMARINER-POSTROUTING }}
iptables -t nat -D SUBMARINER-POSTROUTING $rule
{started.do}
iptables -t nat -I SUBMARINER-POSTROUTING 1 $rule""",
        started.undo,
    )


FAULTS: Final = (
    _fault(
        "nf-hostnet-snat-missing",
        Role.NON_GATEWAY,
        "the node has no SNAT from 240/8 to its CNI address",
        (rule_removed("nat", "SUBMARINER-POSTROUTING", _SNAT),),
        HOST_ONLY,
        otherwise=(
            rule_replaced("nat", "SUBMARINER-POSTROUTING", _SNAT, "-s 240.0.0.0/8 -o $UL -j SNAT --to-source $CIP"),
        ),
    ),
    _fault(
        "nf-hostnet-snat-wrong-address",
        Role.NON_GATEWAY,
        "the SNAT's address is not one of the node",
        (rule_replaced("nat", "SUBMARINER-POSTROUTING", _SNAT, f"{_SNAT} --to-source $FREE"),),
        HOST_ONLY,
        otherwise=(rule_replaced("nat", "SUBMARINER-POSTROUTING", _SNAT, f"{_SNAT} --to-source $GCIP"),),
    ),
    _fault(
        "nf-postrouting-jump-missing",
        Role.NON_GATEWAY,
        "POSTROUTING does not call SUBMARINER-POSTROUTING",
        (rule_removed("nat", "POSTROUTING", "-j SUBMARINER-POSTROUTING"),),
        NODE_OUT,
        otherwise=(
            rule_replaced(
                "nat", "POSTROUTING", "-j SUBMARINER-POSTROUTING", "-s 192.0.2.0/24 -j SUBMARINER-POSTROUTING"
            ),
        ),
    ),
    _fault(
        "nf-masquerade-first-worker",
        Role.NON_GATEWAY,
        "somebody masquerades pods before Submariner accepts them",
        (rule_first("nat", "POSTROUTING", _MASQUERADE),),
        _POD_OUT,
        otherwise=(
            nft("nat", "ip", "nat hook postrouting priority 90", "ip saddr $LPOD ip daddr != $LPOD counter masquerade"),
        ),
    ),
    _fault(
        "nf-masquerade-on-gateway",
        Role.GATEWAY,
        "the gateway rewrites the source of pods",
        (rule_first("nat", "POSTROUTING", _MASQUERADE),),
        Signature(("{{pod,hostpod}}.*.{a}--*.{b}--{{tcp,udp}}*", "*.{a}--pod.ngw.{b}--icmp*")),
        otherwise=(
            nft("nat", "ip", "nat hook postrouting priority 90", "ip saddr $LPOD ip daddr != $LPOD counter masquerade"),
        ),
    ),
    _fault(
        "nf-forward-drop-gateway",
        Role.GATEWAY,
        "the gateway's FORWARD policy drops what crosses",
        (policy_drop("FORWARD"),),
        _POLICY_DROP | maybe(INSIDE),
        otherwise=(rule_last("filter", "FORWARD", "-j DROP"),),
    ),
    _fault(
        "nf-forward-drop-worker",
        Role.NON_GATEWAY,
        "the node's FORWARD policy drops new flows to its pods",
        (policy_drop("FORWARD"),),
        NODE_IN | maybe(INSIDE),
        otherwise=(rule_last("filter", "FORWARD", "-j DROP"),),
    ),
    _fault(
        "nf-input-reject-before-submariner",
        Role.GATEWAY,
        "a REJECT precedes Submariner's accept of UDP/4800",
        (
            rule_first(
                "filter",
                "INPUT",
                "-i $UL -p udp -m multiport ! --dports 4490,4500,8472 -j REJECT --reject-with icmp-host-prohibited",
            ),
        ),
        NODE | _DATAGRAMS_TO_GATEWAY,
        otherwise=(
            nft(
                "firewall",
                "inet",
                "filter hook input priority -10",
                "udp dport 4800 counter reject with icmpx admin-prohibited",
            ),
        ),
    ),
    _fault(
        "nf-backend-mix",
        Role.NON_GATEWAY,
        "pods are masqueraded in the other iptables backend than Submariner's",
        (rule_first("nat", "POSTROUTING", _MASQUERADE, program="iptables-legacy"),),
        _POD_OUT,
        otherwise=(
            rule_last("nat", "POSTROUTING", "-s $LPOD -o vx-submariner -j MASQUERADE", program="iptables-legacy"),
        ),
    ),
    _fault(
        "nf-kubeproxy-dead-on-remote-gateway",
        Role.GATEWAY,
        "the gateway does not translate service addresses",
        _NO_TRANSLATION,
        _SERVICES,
        otherwise=tuple(
            rule_replaced("nat", chain, "-j KUBE-SERVICES", "-s 192.0.2.0/24 -j KUBE-SERVICES")
            for chain in ("PREROUTING", "OUTPUT")
        ),
    ),
    _fault(
        "nf-kubeproxy-ipvs",
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
        otherwise=(
            *_NO_TRANSLATION,
            Shell(
                "ip link add kube-ipvs0 type bridge; ip route add local $LSVC dev kube-ipvs0 table local",
                "ip route del local $LSVC dev kube-ipvs0 table local; ip link del kube-ipvs0",
            ),
        ),
    ),
    _fault(
        "nf-networkpolicy-remote-source",
        Role.CLUSTER,
        "a NetworkPolicy lets in the cluster's own pods and nodes only",
        (
            POLICY_GONE,
            EveryNamespace(_POLICIES, (_policy("own-cluster-only", {}, [{"from": [_OWN_PODS, _NODES]}]),)),
        ),
        Signature(("*.{b}--{{pod,svc}}.*.{a}--*",)),
        otherwise=(
            POLICY_GONE,
            EveryNamespace(
                _POLICIES,
                (
                    _policy("deny-all", {}, []),
                    _policy("own-network", {}, [{"from": [{"ipBlock": {"cidr": "$LPOD"}}]}, {"from": [_NODES]}]),
                ),
            ),
        ),
    ),
    _fault(
        "nf-conntrack-stale",
        Role.NON_GATEWAY,
        "a flow of the node's host network still has the address from before the SNAT was repaired",
        (_without_snat("stale", 40404),),
        NOTHING,
        otherwise=(_without_snat("stale-too", 51515),),
    ),
)

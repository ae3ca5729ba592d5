"""Chains and rules in the words of iptables-save; the same on gateway and non-gateway nodes but for the node's own
CNI address.

Source: submariner:pkg/routeagent_driver/handlers/kubeproxy/packetfilter_iface.go (filter, nat),
submariner:pkg/routeagent_driver/handlers/mtu/mtuhandler.go (mangle)."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.addresses import ipv4_cidrs, vtep_network
from pytest_submariner.dataplane.view import ClusterView, NodeFacts
from pytest_submariner.model.nodestate import PacketFilter, PacketFilterRule


def packet_filter(node: NodeFacts, view: ClusterView) -> PacketFilter:
    """Jumps, then the own chains in order. Jumps go FIRST or LAST into their chain (`constants.HOOKS`), whatever
    else is in it."""
    hooks = (PacketFilterRule(table, chain, text) for table, chain, text, _ in c.HOOKS)
    own = (*_filter(), *_nat(node, view), *_mangle(node, view))
    return PacketFilter(rules=(*hooks, *own), policies=dict.fromkeys(c.OWN_CHAINS, "-"))


def _filter() -> Iterator[PacketFilterRule]:
    yield PacketFilterRule("filter", c.FORWARD_CHAIN, f"-o {c.VX_SUBMARINER} -j ACCEPT")
    yield PacketFilterRule("filter", c.INPUT_CHAIN, f"-p udp -m udp --dport {c.VX_SUBMARINER_PORT} -j ACCEPT")


def _nat(node: NodeFacts, view: ClusterView) -> Iterator[PacketFilterRule]:
    """SNAT first: it gives host processes of a non-gateway node an address that remote clusters can answer. The
    pairs end traversal, so that no later MASQUERADE (CNI, kube-proxy) rewrites the source of inter-cluster
    traffic."""

    def rule(text: str) -> PacketFilterRule:
        return PacketFilterRule("nat", c.POSTROUTING_CHAIN, text)

    if node.cni_ip is not None:
        yield rule(snat_text(node.cni_ip))
    for remote in view.reachable_remotes:
        for subnet in ipv4_cidrs(remote.subnets):
            for pods in ipv4_cidrs(view.cluster.pod_cidrs):
                yield rule(f"-s {pods} -d {subnet} -j ACCEPT")
                yield rule(f"-s {subnet} -d {pods} -j ACCEPT")


def snat_text(cni_ip: str) -> str:
    """The rule of issue 3134: `-s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source CNI_IP`."""
    return f"-s {vtep_network(c.VX_SUBMARINER_OCTET)} -o {c.VX_SUBMARINER} -j SNAT --to-source {cni_ip}"


def _mangle(node: NodeFacts, view: ClusterView) -> Iterator[PacketFilterRule]:
    target = _mss_target(node, view)
    if target is None:
        return
    for source, destination in ((c.LOCAL_CIDRS_SET, c.REMOTE_CIDRS_SET), (c.REMOTE_CIDRS_SET, c.LOCAL_CIDRS_SET)):
        match = f"-p tcp -m set --match-set {source} src -m set --match-set {destination} dst"
        text = f"{match} -m tcp --tcp-flags SYN,RST SYN -j TCPMSS {target}"
        yield PacketFilterRule("mangle", c.POSTROUTING_CHAIN, text)


def _mss_target(node: NodeFacts, view: ClusterView) -> str | None:
    """Path MTU, or a fixed value with globalnet or the Node annotation; the fixed rules wait for the local Endpoint."""
    if not node.tcp_clamp_mss and not view.cluster.global_cidrs:
        return "--clamp-mss-to-pmtu"
    if view.local is None:
        return None
    overhead = c.VXLAN_MSS_OVERHEAD if view.local.backend == "vxlan" else c.IPSEC_MSS_OVERHEAD
    return f"--set-mss {node.tcp_clamp_mss or node.underlay_mtu - overhead}"

"""The CNI's work for one pod: a namespace, a veth pair to the node's bridge, an address.

As with kindnet the node's bridge address is the only neighbour a pod knows: even pods of one node are routed, so Services work on a node
whether or not bridged frames meet its packet filter.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from typing import Final

from pytest_submariner.errors import LabError
from pytest_submariner.lab import namespaces as ns
from pytest_submariner.lab import netlink
from pytest_submariner.lab.kernel import mac_of, ping_group_range, write_sysctls
from pytest_submariner.lab.netlink import CNI0, ETH0, FIRST_POD_VETH, LO, Batch
from pytest_submariner.lab.spec import NodeSpec

_FIRST_HOST: Final = 10
"""Pod addresses start here in each node's subnet, well apart from the bridge's own .1."""


@dataclass
class PodNetwork:
    """A pod's address and its network namespace (an fd owned by this object's maker)."""

    ip: str
    netns: int
    veth_index: int


class PodNetworks:
    """Hands out addresses and interface indexes per node; addresses rotate, so that a new pod rarely gets a dead one's."""

    def __init__(self, *, permanent_neighbours: bool) -> None:
        self._permanent_neighbours = permanent_neighbours
        self._used: dict[str, dict[str, int]] = {}
        self._next_host: dict[str, int] = {}
        self._next_index: dict[str, int] = {}

    def attach(self, node: NodeSpec, node_netlink: socket.socket, node_netns: int) -> PodNetwork:
        """LabError when the node's subnet is full."""
        ip = self._take_address(node)
        index = self._next_index.get(node.name, FIRST_POD_VETH)
        self._next_index[node.name] = index + 1
        netns, fabric = ns.new_network()
        try:
            write_sysctls(
                {
                    # The node forwards between pods on the device they came by, and would tell them to go straight.
                    "net.ipv4.conf.all.accept_redirects": "0",
                    "net.ipv4.conf.default.accept_redirects": "0",
                    "net.ipv6.conf.all.disable_ipv6": "1",
                    "net.ipv6.conf.default.disable_ipv6": "1",
                    "net.ipv4.ping_group_range": ping_group_range(),
                    "net.ipv4.ip_unprivileged_port_start": "0",
                }
            )
            own = netlink.open_socket()
        finally:
            ns.setns(fabric, ns.NEWNET)
            os.close(fabric)
        with own:
            outside = Batch().link_veth(
                f"veth{index}",
                index,
                peer="eth0",
                peer_index=ETH0,
                peer_netns=netns,
                peer_mac=mac_of(ip),
                mac=_port_mac(index),
            )
            outside.link_master(index, CNI0).link_up(index)
            inside = (
                Batch()
                .link_up(LO)
                .address(ETH0, ip, 32)
                .link_up(ETH0)
                .route(f"{node.cni_ip}/32", device=ETH0)
                .route("default", device=ETH0, gateway=node.cni_ip)
            )
            if self._permanent_neighbours:
                outside.neighbour(CNI0, ip, mac_of(ip))
                inside.neighbour(ETH0, node.cni_ip, mac_of(node.cni_ip))
            netlink.send(node_netlink, outside)
            netlink.send(own, inside)
        self._used[node.name][ip] = index
        return PodNetwork(ip, netns, index)

    def detach(self, node_netlink: socket.socket, pod: PodNetwork) -> None:
        try:
            netlink.send(node_netlink, Batch().link_delete(pod.veth_index))
        except netlink.NetlinkError as error:
            if error.errno != 19:  # ENODEV: it went with the namespace
                raise
        os.close(pod.netns)
        for used in self._used.values():
            if used.get(pod.ip) == pod.veth_index:
                del used[pod.ip]

    def _take_address(self, node: NodeSpec) -> str:
        subnet = ipaddress.IPv4Network(node.pod_cidr)
        used = self._used.setdefault(node.name, {})
        start = self._next_host.get(node.name, _FIRST_HOST)
        hosts = range(_FIRST_HOST, subnet.num_addresses - 1)
        for host in [*range(start, hosts.stop), *range(hosts.start, start)]:
            ip = str(subnet[host])
            if ip not in used:
                self._next_host[node.name] = host + 1 if host + 1 < hosts.stop else _FIRST_HOST
                used[ip] = -1
                return ip
        raise LabError(f"node {node.name}: its pod subnet {node.pod_cidr} is full ({len(used)} pods)")


def _port_mac(index: int) -> str:
    """MACs of bridge ports sort above the bridge's own, so that the bridge keeps its address (kernel: lowest port MAC wins)."""
    return f"fe:00:00:00:{index >> 8 & 255:02x}:{index & 255:02x}"

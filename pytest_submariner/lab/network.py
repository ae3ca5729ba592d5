"""The lab's network: an underlay bridge in the holder's own namespace, and a namespace per node with its CNI bridge and routes."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from typing import Final

from pytest_submariner.errors import LabError
from pytest_submariner.lab import namespaces as ns
from pytest_submariner.lab import netlink
from pytest_submariner.lab.kernel import mac_of, ping_group_range, write_sysctls
from pytest_submariner.lab.netlink import CNI0, ETH0, LO, Batch
from pytest_submariner.lab.podnetwork import PodNetwork, PodNetworks
from pytest_submariner.lab.spawner import ProcessSpec, Sandbox, Spawner
from pytest_submariner.lab.spec import UNDERLAY, UNDERLAY_GATEWAY, ClusterSpec, LabSpec, NodeSpec

__all__ = ["Network", "PodNetwork"]

_UNDERLAY_BRIDGE: Final = 2
_FIRST_PORT: Final = 10
"""Interface index of the first node's port on the underlay bridge."""
_MANY_NODES: Final = 20
"""From here on neighbours are permanent entries: the kernel has one neighbour table for all namespaces, 1,024 entries by default."""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NODE_SYSCTLS: Final = {
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.ip_forward": "1",
    "net.ipv4.ip_unprivileged_port_start": "0",
}
"""IPv6 is off: its router solicitations are noise in captures, and Submariner's data plane is IPv4 only."""


@dataclass
class _NodeNetwork:
    spec: NodeSpec
    netns: int
    netlink: socket.socket
    sandbox: Sandbox | None = None


class Network:
    """All nodes of a lab. `build()` once; the rest any time after it."""

    def __init__(self, spec: LabSpec, spawner: Spawner) -> None:
        self._spec = spec
        self._spawner = spawner
        self._nodes: dict[str, _NodeNetwork] = {}
        self._fabric = ns.current_network()
        self._fabric_netlink = netlink.open_socket()
        self._pods = PodNetworks(permanent_neighbours=len(spec.nodes) >= _MANY_NODES)
        self.passwd: dict[str, bytes] = {}
        """/etc/passwd, /etc/shadow for nodes, so that sshd accepts the lab's user whatever the host says of it."""
        self.binds: dict[str, str] = {}
        """More paths of the host that nodes see: target -> source."""

    async def build(self) -> None:
        """Underlay, nodes, CNI. LabError says what the kernel refused."""
        try:
            self._build_underlay()
            for port, node in enumerate(self._spec.nodes):
                self._build_node(node, port)
        except netlink.NetlinkError as error:
            raise LabError(f"the kernel refused a part of the lab's network: {error}") from error
        await asyncio.gather(*(self._furnish(node) for node in self._nodes.values()))
        if self._spec.profile == "issue-3134":
            await self._drop_class_e()

    def _build_underlay(self) -> None:
        write_sysctls({"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"})
        # Frames crossing the underlay bridge must not meet the fabric's own packet filter (kernels with br_netfilter built in).
        write_sysctls({"net.bridge.bridge-nf-call-iptables": "0"}, optional=True)
        batch = Batch().link_up(LO).link_bridge("underlay", _UNDERLAY_BRIDGE)
        batch.address(_UNDERLAY_BRIDGE, UNDERLAY_GATEWAY, UNDERLAY.prefixlen).link_up(_UNDERLAY_BRIDGE)
        netlink.send(self._fabric_netlink, batch)

    def _build_node(self, node: NodeSpec, port: int) -> None:
        netns, fabric = ns.new_network()
        try:
            write_sysctls(_NODE_SYSCTLS | {"net.ipv4.ping_group_range": ping_group_range()})
            # Pods of one node reach each other through the node's IP layer, as with kindnet: packets are filtered there, once.
            write_sysctls({"net.bridge.bridge-nf-call-iptables": "0"}, optional=True)
            own = netlink.open_socket()
        finally:
            ns.setns(fabric, ns.NEWNET)
            os.close(fabric)
        index = _FIRST_PORT + port
        outside = Batch().link_veth(
            node.name, index, peer="eth0", peer_index=ETH0, peer_netns=netns, peer_mac=mac_of(node.ip)
        )
        netlink.send(self._fabric_netlink, outside.link_master(index, _UNDERLAY_BRIDGE).link_up(index))
        netlink.send(own, self._node_batch(node))
        self._nodes[node.name] = _NodeNetwork(node, netns, own)

    def _node_batch(self, node: NodeSpec) -> Batch:
        """Devices, addresses and the CNI's routes to the other nodes' pod subnets (as a routed CNI such as kindnet makes them)."""
        batch = Batch().link_up(LO).address(ETH0, node.ip, UNDERLAY.prefixlen).link_up(ETH0)
        batch.route("default", device=ETH0, gateway=UNDERLAY_GATEWAY)
        batch.link_bridge("cni0", CNI0, mac=mac_of(node.cni_ip)).address(CNI0, node.cni_ip, 24).link_up(CNI0)
        for other in self._spec.cluster(node.cluster).nodes:
            if other.name != node.name:
                batch.route(other.pod_cidr, device=ETH0, gateway=other.ip)
        if len(self._spec.nodes) >= _MANY_NODES:
            for other in self._spec.nodes:
                if other.name != node.name:
                    batch.neighbour(ETH0, other.ip, mac_of(other.ip))
        return batch

    async def _furnish(self, node: _NodeNetwork) -> None:
        files = self.passwd | {"/etc/hostname": node.spec.name.encode() + b"\n", "/etc/hosts": hosts_file(node.spec)}
        node.sandbox = await self._spawner.sandbox(node.netns, hostname=node.spec.name, files=files, binds=self.binds)
        await self.restore(node.spec.name, iptables=masquerade_rules(self._spec.cluster(node.spec.cluster)))

    async def _drop_class_e(self) -> None:
        """Profile issue-3134: the fabric drops bare packets from or to 240.0.0.0/4, as many do; inside VXLAN nobody sees them."""
        fabric = await self.fabric_sandbox()
        for option in ("--ip-src", "--ip-dst"):
            argv = ("ebtables", "-A", "FORWARD", "-p", "IPv4", option, "240.0.0.0/4", "-j", "DROP")
            status, _, problem = await self._run(fabric, argv, b"")
            if status:
                raise LabError(
                    f"profile issue-3134: {' '.join(argv)} failed: {problem.decode(errors='replace').strip()}"
                )

    async def fabric_sandbox(self, shares: dict[str, str] | None = None) -> Sandbox:
        """A sandbox on the underlay itself, for what is neither node nor pod: the fabric's filter, a genuine control plane."""
        return await self._spawner.sandbox(self._fabric, hostname="underlay", shares=shares)

    def _node(self, name: str) -> _NodeNetwork:
        if name not in self._nodes:
            self._spec.node(name)  # LabError that lists the nodes
        return self._nodes[name]

    def node_sandbox(self, node: str) -> Sandbox:
        """The namespaces of a node, where its host-network processes run."""
        sandbox = self._node(node).sandbox
        if sandbox is None:
            raise LabError(f"node {node} is not built yet")
        return sandbox

    async def attach_pod(self, node: str) -> PodNetwork:
        """A namespace with eth0 on the node's CNI bridge, an address of the node's pod subnet and a default route."""
        found = self._node(node)
        return self._pods.attach(found.spec, found.netlink, found.netns)

    async def detach_pod(self, node: str, pod: PodNetwork) -> None:
        """Removes the pod's veth and gives its address back; a process still inside keeps the namespace, without a network."""
        self._pods.detach(self._node(node).netlink, pod)

    def listen(self, node: str, port: int) -> socket.socket:
        """A listening TCP socket on the node's own address, to be served from the holder."""
        found = self._node(node)
        with ns.inside_network(found.netns):
            return socket.create_server((found.spec.ip, port), backlog=128)

    def program(self, node: str, batch: Batch) -> None:
        """Sends netlink messages inside the node's namespace; NetlinkError names the refused one."""
        if len(batch):
            netlink.send(self._node(node).netlink, batch)

    def sysctl(self, node: str, values: dict[str, str]) -> None:
        """Writes dotted names in the node's namespace; LabError names one the kernel lacks or refuses."""
        with ns.inside_network(self._node(node).netns):
            write_sysctls(values)

    async def restore(self, node: str, *, iptables: str = "", ipset: str = "", flush: bool = False) -> None:
        """Feeds `ipset restore -exist`, then `iptables-restore` (without --noflush only when `flush`)."""
        if ipset:
            await self._must(node, ("ipset", "restore", "-exist"), ipset)
        if iptables:
            await self._must(node, ("iptables-restore", *(() if flush else ("--noflush",))), iptables)

    async def _must(self, node: str, argv: tuple[str, ...], text: str) -> None:
        status, _, problem = await self.run(node, *argv, stdin=text.encode())
        if status:
            raise LabError(
                f"{' '.join(argv)} on {node} ended with {status}: {problem.decode(errors='replace').strip()}"
            )

    async def run(self, node: str, *argv: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Any command in the node's namespaces: (exit status, stdout, stderr)."""
        return await self._run(self.node_sandbox(node), argv, stdin)

    async def run_in(self, sandbox: Sandbox, *argv: str) -> tuple[int, bytes, bytes]:
        """The same in another sandbox, such as the fabric's."""
        return await self._run(sandbox, argv, b"")

    async def _run(self, sandbox: Sandbox, argv: tuple[str, ...], stdin: bytes) -> tuple[int, bytes, bytes]:
        # Memory files instead of pipes: nothing can block, whatever the sizes.
        streams = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdin", "stdout", "stderr")]
        try:
            os.write(streams[0], stdin)
            os.lseek(streams[0], 0, os.SEEK_SET)
            spec = ProcessSpec(argv, {"PATH": PATH})
            process = await self._spawner.spawn(sandbox, spec, stdin=streams[0], stdout=streams[1], stderr=streams[2])
            status = await process.wait()
            out, err = (os.pread(fd, os.fstat(fd).st_size, 0) for fd in streams[1:])
            return status, out, err
        finally:
            for fd in streams:
                os.close(fd)


def hosts_file(node: NodeSpec) -> bytes:
    return f"127.0.0.1 localhost\n{node.ip} {node.name}\n".encode()


def masquerade_rules(cluster: ClusterSpec) -> str:
    """What kindnet's masquerade agent leaves on a node: pod traffic that leaves the cluster takes the node's address."""
    return f"""*nat
:KIND-MASQ-AGENT - [0:0]
-A POSTROUTING -s {cluster.pod_cidr} -m addrtype ! --dst-type LOCAL -j KIND-MASQ-AGENT
-A KIND-MASQ-AGENT -d {cluster.pod_cidr} -j RETURN
-A KIND-MASQ-AGENT -j MASQUERADE
COMMIT
"""

"""Route-netlink messages, packed into batches: a node's whole configuration is one send.

Why not a library: the lab's boot budget is a second, importing pyroute2 alone costs a quarter of it and encoding is
twenty times slower than `struct`; the subset needed here is small and fixed (kernel:
include/uapi/linux/{rtnetlink,if_link,neighbour,fib_rules}.h). Interface indexes are chosen by the caller
(`ifi_index` in RTM_NEWLINK), so that later messages of the same batch can name them."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from typing import Final

LO: Final = 1
ETH0: Final = 2
CNI0: Final = 3
VX_SUBMARINER: Final = 10
VXLAN_TUNNEL: Final = 11
FIRST_POD_VETH: Final = 100

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWNEIGH, RTM_DELNEIGH = (
    16,
    17,
    20,
    24,
    25,
    28,
    29,
)
RTM_NEWRULE, RTM_DELRULE = 32, 33
_REQUEST, _ACK, _REPLACE, _EXCL, _CREATE, _APPEND = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800
_NLMSG_ERROR = 2
_IFF_UP = 0x1
_MAX_SEND = 30_000
"""Bytes per send: the kernel processes one datagram at a time and bounds it by the socket's buffer."""
_RT_SCOPE_LINK, _RT_SCOPE_GLOBAL = 253, 0
_NUD_PERMANENT = 0x80
_NTF_SELF = 0x02
_RT_TABLE_COMPAT = 252
"""Written to the one-byte table field when the table number needs the attribute (kernel: RT_TABLE_COMPAT)."""


class NetlinkError(OSError):
    """The kernel refused a message; `errno` is its answer and the text says which message of the batch."""


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("HH", length, kind) + payload + b"\0" * (-length % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _u32(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("I", value))


def _ip(value: str) -> bytes:
    return socket.inet_aton(value)


def mac_bytes(mac: str) -> bytes:
    """`02:00:…` as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


class Batch:
    """Messages in order. Every method appends one and returns self; what each does is named like its `ip` command."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int, bytes, str]] = []

    def __len__(self) -> int:
        return len(self.messages)

    def _add(self, kind: int, flags: int, body: bytes, text: str) -> Batch:
        self.messages.append((kind, flags, body, text))
        return self

    def _link(
        self,
        name: str,
        index: int,
        info: bytes,
        *,
        mtu: int | None = None,
        mac: str | None = None,
        queue: int | None = None,
        text: str,
    ) -> Batch:
        body = struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + _text(3, name)
        if mac is not None:
            body += _attribute(1, mac_bytes(mac))
        if mtu is not None:
            body += _u32(4, mtu)
        if queue is not None:
            body += _u32(13, queue)
        return self._add(RTM_NEWLINK, _CREATE | _EXCL, body + _attribute(18, info), text)

    def link_bridge(self, name: str, index: int, *, mac: str | None = None) -> Batch:
        """IFLA_BR_FORWARD_DELAY and STP stay off: a bridge forwards at once."""
        return self._link(name, index, _text(1, "bridge"), mac=mac, text=f"link add {name} type bridge")

    def link_veth(
        self,
        name: str,
        index: int,
        *,
        peer: str,
        peer_index: int,
        peer_netns: int,
        mac: str | None = None,
        peer_mac: str | None = None,
        mtu: int = 1500,
    ) -> Batch:
        """A pair whose other end is born in `peer_netns` (an fd): moving it there later would cost 16 ms (RCU)."""
        other = struct.pack("BxHiII", socket.AF_UNSPEC, 0, peer_index, 0, 0) + _text(3, peer) + _u32(4, mtu)
        if peer_mac is not None:
            other += _attribute(1, mac_bytes(peer_mac))
        other += _u32(28, peer_netns)
        info = _text(1, "veth") + _attribute(2, _attribute(1, other))
        return self._link(name, index, info, mtu=mtu, mac=mac, text=f"link add {name} type veth peer {peer}")

    def link_vxlan(
        self,
        name: str,
        index: int,
        *,
        vni: int,
        port: int,
        mtu: int,
        remote: str | None = None,
        learning: bool = False,
        mac: str | None = None,
    ) -> Batch:
        """`ip link add NAME txqueuelen 0 type vxlan id VNI [remote IP] dstport PORT [no]learning`: the agents' library (Go,
        vishvananda/netlink) leaves the queue length 0 unless told, and they do not tell."""
        data = _u32(1, vni) + _attribute(15, struct.pack(">H", port)) + _attribute(7, bytes([learning]))
        if remote is not None:
            data += _attribute(2, _ip(remote))
        info = _text(1, "vxlan") + _attribute(2, data)
        text = f"link add {name} type vxlan id {vni} dstport {port}"
        return self._link(name, index, info, mtu=mtu, mac=mac, queue=0, text=text)

    def link_up(self, index: int, mtu: int | None = None) -> Batch:
        body = struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP)
        return self._add(RTM_NEWLINK, 0, body + (_u32(4, mtu) if mtu is not None else b""), f"link set #{index} up")

    def link_down(self, index: int) -> Batch:
        return self._add(
            RTM_NEWLINK, 0, struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, 0, _IFF_UP), f"link set #{index} down"
        )

    def link_master(self, index: int, master: int) -> Batch:
        body = struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + _u32(10, master)
        return self._add(RTM_NEWLINK, 0, body, f"link set #{index} master #{master}")

    def link_delete(self, index: int) -> Batch:
        return self._add(RTM_DELLINK, 0, struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, 0, 0), f"link del #{index}")

    def address(self, index: int, ip: str, prefix_length: int, *, broadcast: bool = False) -> Batch:
        """`broadcast`: with the network's broadcast address, as the agents' library adds addresses and `ip` does not."""
        body = (
            struct.pack("BBBBI", socket.AF_INET, prefix_length, 0, 0, index)
            + _attribute(2, _ip(ip))
            + _attribute(1, _ip(ip))
        )
        if broadcast:
            body += _attribute(4, ipaddress.IPv4Interface(f"{ip}/{prefix_length}").network.broadcast_address.packed)
        return self._add(RTM_NEWADDR, _CREATE | _EXCL, body, f"address add {ip}/{prefix_length} dev #{index}")

    def _route(
        self,
        kind: int,
        netlink_flags: int,
        destination: str,
        device: int | None,
        gateway: str | None,
        source: str | None,
        table: int,
        protocol: int,
        scope: int | None,
        metric: int | None,
        flags: int,
    ) -> Batch:
        network = ipaddress.IPv4Network("0.0.0.0/0" if destination == "default" else destination)
        if scope is None:
            scope = _RT_SCOPE_GLOBAL if gateway else _RT_SCOPE_LINK
        short = table if table < 256 else _RT_TABLE_COMPAT
        body = struct.pack("BBBBBBBBI", socket.AF_INET, network.prefixlen, 0, 0, short, protocol, scope, 1, flags)
        body += _u32(15, table)
        if network.prefixlen:
            body += _attribute(1, network.network_address.packed)
        if device is not None:
            body += _u32(4, device)
        if gateway is not None:
            body += _attribute(5, _ip(gateway))
        if source is not None:
            body += _attribute(7, _ip(source))
        if metric is not None:
            body += _u32(6, metric)
        verb = "add" if kind == RTM_NEWROUTE else "del"
        return self._add(
            kind, netlink_flags, body, f"route {verb} {destination} via {gateway} dev #{device} table {table}"
        )

    def route(
        self,
        destination: str,
        *,
        device: int | None,
        gateway: str | None = None,
        source: str | None = None,
        table: int = 254,
        protocol: int = 3,
        scope: int | None = None,
        metric: int | None = None,
        flags: int = 0,
    ) -> Batch:
        """Adds or replaces a unicast route; without a gateway the scope is link. `protocol` 3 is boot, 4 static
        (rtnetlink.h)."""
        return self._route(
            RTM_NEWROUTE,
            _CREATE | _REPLACE,
            destination,
            device,
            gateway,
            source,
            table,
            protocol,
            scope,
            metric,
            flags,
        )

    def route_delete(
        self,
        destination: str,
        *,
        device: int | None = None,
        gateway: str | None = None,
        table: int = 254,
        metric: int | None = None,
    ) -> Batch:
        """The kernel matches what is named: scope nowhere (255), protocol any (0)."""
        return self._route(RTM_DELROUTE, 0, destination, device, gateway, None, table, 0, 255, metric, 0)

    def rule(self, priority: int, table: int) -> Batch:
        """`ip rule add pref PRIORITY from all lookup TABLE`; EEXIST when it is there."""
        return self._add(
            RTM_NEWRULE, _CREATE | _EXCL, self._rule_body(priority, table), f"rule add pref {priority} lookup {table}"
        )

    def rule_delete(self, priority: int, table: int) -> Batch:
        return self._add(RTM_DELRULE, 0, self._rule_body(priority, table), f"rule del pref {priority} lookup {table}")

    @staticmethod
    def _rule_body(priority: int, table: int) -> bytes:
        short = table if table < 256 else _RT_TABLE_COMPAT
        return (
            struct.pack("BBBBBBBBI", socket.AF_INET, 0, 0, 0, short, 0, 0, 1, 0) + _u32(6, priority) + _u32(15, table)
        )

    def _neighbour(
        self, kind: int, netlink_flags: int, family: int, index: int, ip: str, mac: str, flags: int, text: str
    ) -> Batch:
        body = (
            struct.pack("BxHiHBB", family, 0, index, _NUD_PERMANENT, flags, 0)
            + _attribute(1, _ip(ip))
            + _attribute(2, mac_bytes(mac))
        )
        return self._add(kind, netlink_flags, body, text)

    def fdb_append(self, index: int, dst: str, mac: str = "00:00:00:00:00:00") -> Batch:
        """`bridge fdb append MAC dev # dst DST self permanent`."""
        return self._neighbour(
            RTM_NEWNEIGH,
            _CREATE | _APPEND,
            socket.AF_BRIDGE,
            index,
            dst,
            mac,
            _NTF_SELF,
            f"fdb append {mac} dev #{index} dst {dst}",
        )

    def fdb_delete(self, index: int, dst: str, mac: str = "00:00:00:00:00:00") -> Batch:
        return self._neighbour(
            RTM_DELNEIGH, 0, socket.AF_BRIDGE, index, dst, mac, _NTF_SELF, f"fdb del {mac} dev #{index} dst {dst}"
        )

    def neighbour(self, index: int, ip: str, mac: str) -> Batch:
        """A permanent entry: not counted in the machine-wide neighbour table, which 100 nodes would fill."""
        return self._neighbour(
            RTM_NEWNEIGH,
            _CREATE | _REPLACE,
            socket.AF_INET,
            index,
            ip,
            mac,
            0,
            f"neighbour replace {ip} lladdr {mac} dev #{index}",
        )


def open_socket() -> socket.socket:
    """A route-netlink socket of the namespace the caller stands in; it stays there whatever the caller does next."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    sock.bind((0, 0))
    return sock


def send(sock: socket.socket, batch: Batch) -> None:
    """Sends all messages, waits for the kernel to have done them. NetlinkError names the first that was refused.

    Only the last message of each datagram asks for an acknowledgement: the kernel works in order and reports errors
    of any."""
    pending = batch.messages
    while pending:
        chunk: list[bytes] = []
        size = taken = 0
        for kind, flags, body, _ in pending:
            length = 16 + len(body)
            padded = (length + 3) & ~3
            if taken and size + padded > _MAX_SEND:
                break
            chunk.append(
                struct.pack("IHHII", length, kind, flags | _REQUEST, taken + 1, 0) + body + b"\0" * (padded - length)
            )
            size += padded
            taken += 1
        header = struct.unpack_from("IHHII", chunk[-1])
        chunk[-1] = struct.pack("IHHII", header[0], header[1], header[2] | _ACK, header[3], 0) + chunk[-1][16:]
        sock.send(b"".join(chunk))
        _await_ack(sock, taken, [text for *_, text in pending[:taken]])
        pending = pending[taken:]


def _await_ack(sock: socket.socket, last: int, texts: list[str]) -> None:
    failure: NetlinkError | None = None
    while True:
        data = sock.recv(65536)
        offset = 0
        while offset < len(data):
            length, kind, _, sequence, _ = struct.unpack_from("IHHII", data, offset)
            if kind == _NLMSG_ERROR:
                code = -struct.unpack_from("i", data, offset + 16)[0]
                if code and failure is None:
                    what = texts[sequence - 1] if 0 < sequence <= len(texts) else "?"
                    failure = NetlinkError(code, f"{os.strerror(code)} ({errno.errorcode.get(code, code)}): {what}")
                if sequence == last:
                    if failure is not None:
                        raise failure
                    return
            offset += (length + 3) & ~3

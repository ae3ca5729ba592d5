"""Faults of vx-submariner, the overlay from nodes to their gateway."""

from __future__ import annotations

from functools import partial
from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import NODE
from pytest_submariner.lab.faults.steps import (
    FORGET_OVERLAY,
    ZERO_MAC,
    DeviceChanged,
    Shell,
    fabric_drops,
    fabric_filter,
    forwarding_entry_removed,
    route_replaced,
    running,
)

_fault: Final = partial(Fault, layer=Layer.OVERLAY)
_VX: Final = "vx-submariner"


def _aimed_at(ip: str) -> Shell:
    """The node's default destination is `ip`, not its gateway."""
    entry = f"{ZERO_MAC} dev {_VX} dst"
    return Shell(
        f"bridge fdb del {entry} $GIP self; bridge fdb append {entry} {ip} self permanent",
        f"bridge fdb del {entry} {ip} self; bridge fdb append {entry} $GIP self permanent",
    )


def _made_again(details: str, next_hop: str = "$GV") -> DeviceChanged:
    """The worker's device with the same address and other VXLAN details, and its routes to `next_hop`."""
    return DeviceChanged(
        _VX,
        f"""ip link del {_VX}
ip link add {_VX} type vxlan {details} nolearning
ip link set {_VX} mtu 1450
ip addr add $WV/8 dev {_VX}
ip link set {_VX} up
for cidr in $RPOD $RSVC; do ip route add $cidr via {next_hop} dev {_VX} proto static; done""",
    )


FAULTS: Final = (
    _fault(
        "overlay-udp4800-blocked",
        Role.FABRIC,
        "UDP/4800 towards the gateway is filtered between nodes",
        (fabric_drops("-p IPv4 --ip-proto udp --ip-dport 4800 --ip-dst $GIP"), FORGET_OVERLAY),
        NODE,
        otherwise=(fabric_filter("overlay", "udp dport 4800 ip daddr $GIP drop"), FORGET_OVERLAY),
    ),
    _fault(
        "overlay-fdb-wrong-gateway-ip",
        Role.NON_GATEWAY,
        "the node's VXLAN destination is not the gateway's address",
        (_aimed_at("172.18.250.250"), FORGET_OVERLAY),
        NODE,
        otherwise=(_made_again("id 100 dstport 4800 remote 172.18.99.77"), FORGET_OVERLAY),
    ),
    _fault(
        "overlay-fdb-stale-after-failover",
        Role.NON_GATEWAY,
        "the node still tunnels to the previous gateway",
        (
            _aimed_at("$OIP"),
            *(
                route_replaced(f"exact {cidr} table main", f"{cidr} via $OV dev {_VX} proto static")
                for cidr in ("$RPOD", "$RSVC")
            ),
            FORGET_OVERLAY,
        ),
        NODE,
        needs=("OTHER_GATEWAY",),
        otherwise=(
            _made_again("id 100 dstport 4800 remote $OIP", "$OV"),
            FORGET_OVERLAY,
        ),
    ),
    _fault(
        "overlay-fdb-worker-missing",
        Role.GATEWAY,
        "the gateway has no default destination for one node",
        (forwarding_entry_removed(_VX, "$WIP"), FORGET_OVERLAY),
        NODE,
        needs=("WORKER",),
        otherwise=(
            DeviceChanged(
                _VX,
                f"""kept=$(bridge fdb show dev {_VX} | grep ^{ZERO_MAC} | sed 's/.* dst \\([^ ]*\\) .*/\\1/' | grep -vxF $WIP)
ip link del {_VX}
ip link add {_VX} type vxlan id 100 dstport 4800 nolearning
ip link set {_VX} mtu 1450
ip addr add $GV/8 dev {_VX}
ip link set {_VX} up
echo 2 > /proc/sys/net/ipv4/conf/{_VX}/rp_filter
for ip in $kept; do bridge fdb append {ZERO_MAC} dev {_VX} dst $ip self permanent; done""",
            ),
            FORGET_OVERLAY,
        ),
    ),
    _fault(
        "overlay-link-down",
        Role.NON_GATEWAY,
        "vx-submariner is there but down",
        (DeviceChanged(_VX, f"ip link set {_VX} down"),),
        NODE,
        otherwise=(
            DeviceChanged(
                _VX,
                f"""ip link del {_VX}
ip link add {_VX} type vxlan id 100 dstport 4800 remote $GIP nolearning
ip link set {_VX} mtu 1450
ip addr add $WV/8 dev {_VX}""",
            ),
        ),
    ),
    _fault(
        "overlay-device-missing",
        Role.NON_GATEWAY,
        "vx-submariner is gone, the chains are there",
        (DeviceChanged(_VX, f"ip link del {_VX}"),),
        NODE,
        otherwise=(
            DeviceChanged(_VX, f"ip link set {_VX} down; ip link set {_VX} name vx-renamed"),
            Shell("ip link show vx-renamed", "ip link del vx-renamed"),
        ),
    ),
    _fault(
        "overlay-vni-or-port-mismatch",
        Role.NON_GATEWAY,
        "the VNI of the node's vx-submariner is not the gateway's",
        (_made_again("id 101 dstport 4800 remote $GIP"), FORGET_OVERLAY),
        NODE,
        otherwise=(_made_again("id 100 dstport 4789 remote $GIP"), FORGET_OVERLAY),
    ),
    _fault(
        "overlay-port-taken",
        Role.NON_GATEWAY,
        "another VXLAN device owns UDP/4800, vx-submariner cannot come up",
        (
            DeviceChanged(
                _VX,
                f"""ip link set {_VX} down
ip link add foreign.1 type vxlan id 1 dstport 4800 gbp
ip link set foreign.1 up
if ip link set {_VX} up; then exit 1; fi""",
            ),
            Shell("ip link show foreign.1", "ip link del foreign.1"),
        ),
        NODE,
        otherwise=(
            DeviceChanged(_VX, f"ip link set {_VX} down"),
            running(
                "port-taken",
                """import socket, time
taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taken.bind(("", 4800))
ready()
while True: time.sleep(60)""",
            ),
            Shell(f"if ip link set {_VX} up; then exit 1; fi", f"ip link set {_VX} down"),
        ),
    ),
    _fault(
        "overlay-duplicate-mac",
        Role.NON_GATEWAY,
        "vx-submariner has the same MAC on the node and its gateway",
        (
            DeviceChanged(
                _VX,
                f"""ping -c1 -W1 -q $GV > /dev/null || true
mac=$(ip neigh show $GV dev {_VX} | sed -n 's/.*lladdr \\([^ ]*\\).*/\\1/p')
ip link set {_VX} address $mac""",
            ),
            FORGET_OVERLAY,
        ),
        NODE,
        otherwise=(
            DeviceChanged(
                _VX,
                f"""ping -c1 -W1 -q $GV > /dev/null || true
mac=$(ip neigh show $GV dev {_VX} | sed -n 's/.*lladdr \\([^ ]*\\).*/\\1/p')
ip link del {_VX}
ip link add {_VX} address $mac type vxlan id 100 dstport 4800 remote $GIP nolearning
ip link set {_VX} mtu 1450
ip addr add $WV/8 dev {_VX}
ip link set {_VX} up
for cidr in $RPOD $RSVC; do ip route add $cidr via $GV dev {_VX} proto static; done""",
            ),
            FORGET_OVERLAY,
        ),
    ),
    _fault(
        "overlay-vtep-collision",
        Role.NON_GATEWAY,
        "the node derives the same 240.x address as its gateway",
        (DeviceChanged(_VX, f"ip addr del $WV/8 dev {_VX}; ip addr add $GV/8 dev {_VX}"), FORGET_OVERLAY),
        NODE,
        otherwise=(
            # As after a boot with that address: the kernel takes no route by a next hop that is its own.
            DeviceChanged(
                _VX,
                f"""ip link del {_VX}
ip link add {_VX} type vxlan id 100 dstport 4800 remote $GIP nolearning
ip link set {_VX} mtu 1450
ip addr add $GV/8 dev {_VX}
ip link set {_VX} up""",
            ),
            FORGET_OVERLAY,
        ),
    ),
    _fault(
        "overlay-neighbour-poisoned",
        Role.NON_GATEWAY,
        "a permanent neighbour entry for the gateway's 240.x address has a wrong MAC",
        (
            Shell(
                f"ip neigh replace $GV lladdr 02:de:ad:be:ef:00 dev {_VX} nud permanent",
                f"ip neigh del $GV dev {_VX}",
            ),
        ),
        NODE,
        otherwise=(
            Shell(
                f"ip neigh replace $GV lladdr 0a:00:00:00:00:99 dev {_VX} nud noarp",
                f"ip neigh del $GV dev {_VX}",
            ),
        ),
    ),
)

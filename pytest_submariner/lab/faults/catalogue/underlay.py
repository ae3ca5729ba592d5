"""Faults of the network between nodes."""

from __future__ import annotations

from functools import partial
from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import CABLE, INSIDE, NODE, NODE_LOCAL, Signature, maybe
from pytest_submariner.lab.faults.steps import (
    NO_SEGMENTATION,
    Place,
    Shell,
    fabric_drops,
    fabric_filter,
    nft,
    rule_first,
    running,
)

_fault: Final = partial(Fault, layer=Layer.UNDERLAY)
_TOO_LONG: Final = (
    NO_SEGMENTATION,
    Shell("ip link set vxlan-tunnel mtu 1500", "ip link set vxlan-tunnel mtu 1450", at=Place.BOTH_GATEWAYS),
    Shell("ip link set vx-submariner mtu 1500", "ip link set vx-submariner mtu 1450", at=Place.EVERY_NODE),
)
"""Devices that leave no room for their own headers: the node cuts what they send into fragments."""
_CLAIMS: Final = """import socket, time
device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
device.bind((sys.argv[2], 0))
mac, ip = device.getsockname()[4], socket.inet_aton(sys.argv[3])
everybody = bytes([255] * 6)
claim = everybody + mac + bytes.fromhex("08060001080006040002") + mac + ip + everybody + ip
for count in range(10**9):
    device.send(claim)
    if count == 4:
        ready()
    time.sleep(0.5)"""
"""Says by ARP, to everybody, that an address is at a device."""
_FRAGMENT: Final = "ip frag-off & 0x3fff != 0 drop"

FAULTS: Final = (
    _fault(
        "underlay-source-check",
        Role.FABRIC,
        "the fabric drops packets whose source is not the sending node's",
        tuple(fabric_drops(f"-i $GATEWAY -p IPv4 --ip-src {cidr}") for cidr in ("$RPOD", "$RSVC")),
        NODE,
        otherwise=(fabric_filter("source-check", "iifname $GATEWAY ip saddr { $RPOD, $RSVC } drop"),),
    ),
    _fault(
        "underlay-packet-loss",
        Role.NON_GATEWAY,
        "the node's link loses a third of what it receives",
        (rule_first("mangle", "PREROUTING", "-i $UL -m statistic --mode random --probability 0.3 -j DROP"),),
        maybe(NODE | NODE_LOCAL),
        otherwise=(
            nft(
                "loss",
                "netdev",
                "filter hook egress device $NODE priority 0",
                "numgen random mod 100 < 30 drop",
                at=Place.FABRIC,
            ),
        ),
    ),
    _fault(
        "underlay-duplicate-ip",
        Role.FABRIC,
        "another host answers for the gateway's address",
        (
            Shell("ip addr add $GIP/32 dev underlay", "ip addr del $GIP/32 dev underlay", at=Place.FABRIC),
            running("rogue", _CLAIMS, "underlay $GIP", at=Place.FABRIC),
            Shell("ip neigh flush dev $UL", "ip neigh flush dev $UL", at=Place.EVERY_NODE),
        ),
        maybe(CABLE | INSIDE),
        otherwise=(
            Shell(
                "ip link add rogue0 type veth peer name rogue1; ip link set rogue0 master underlay up;"
                " ip addr add $GIP/32 dev rogue1; ip link set rogue1 up",
                "ip link del rogue0",
                at=Place.FABRIC,
            ),
            running("rogue-too", _CLAIMS, "rogue1 $GIP", at=Place.FABRIC),
            Shell("ip neigh flush dev $UL", "ip neigh flush dev $UL", at=Place.EVERY_NODE),
        ),
    ),
    _fault(
        "underlay-throttled",
        Role.GATEWAY,
        "the gateway's bandwidth is far below what is needed",
        (Shell("tc qdisc add dev $UL root tbf rate 256kbit burst 4kb latency 50ms", "tc qdisc del dev $UL root"),),
        maybe(CABLE | INSIDE),
        otherwise=(
            Shell("tc qdisc add dev $UL root tbf rate 200kbit burst 3kb limit 6kb", "tc qdisc del dev $UL root"),
        ),
    ),
    _fault(
        "underlay-fragments-dropped",
        Role.FABRIC,
        "the fabric drops IP fragments, and the cable's packets are too long for one",
        (*_TOO_LONG, fabric_filter("fragments", _FRAGMENT)),
        Signature(
            (), ("*.{a}--*.{b}--*--bulk", "*.{b}--*.{a}--*--bulk", "*.{a}--*.{b}--*--pmtu", "*.{b}--*.{a}--*--pmtu")
        ),
        otherwise=(
            *_TOO_LONG,
            nft("fragments", "netdev", "filter hook ingress device $GATEWAY priority 0", _FRAGMENT, at=Place.FABRIC),
            nft("fragments-to", "netdev", "filter hook egress device $GATEWAY priority 0", _FRAGMENT, at=Place.FABRIC),
        ),
    ),
)

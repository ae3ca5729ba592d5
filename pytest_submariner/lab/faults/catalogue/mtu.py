"""Faults of packet sizes."""

from __future__ import annotations

from functools import partial
from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import NOTHING, Signature
from pytest_submariner.lab.faults.steps import (
    NO_SEGMENTATION,
    DeviceChanged,
    Place,
    Shell,
    fabric_filter,
    nft,
    rule_first,
    rule_removed,
)

_fault: Final = partial(Fault, layer=Layer.MTU)


def _mtu(device: str, value: int, at: Place = Place.NODE) -> Shell:
    return Shell(
        f"ip link set {device} mtu {value}",
        f"ip link set {device} mtu $KEPT",
        keep=f"ip -o link show {device} | sed 's/.* mtu \\([0-9]*\\) .*/\\1/'",
        at=at,
    )


def _longer_dropped(port: str) -> Shell:
    """What is too long for 1,400 bytes from or to a node, without a word. `port`: the fabric's, to the node."""
    return fabric_filter("long", f"iifname {port} ip length > 1400 drop", f"oifname {port} ip length > 1400 drop")


_MEMBERS: Final = "ipset save SUBMARINER-LOCALCIDRS | grep ^add"
_INSIDE: Final = Signature(
    ("{{pod,hostpod}}.gw.{a}--*.ngw.{a}--tcp", "{{pod,hostpod}}.ngw.{a}--{{pod,svc,hostpod}}.gw.{a}--tcp")
)
"""A natively routed CNI uses the same link with frames of full size."""
_CLAMP: Final = rule_removed("mangle", "SUBMARINER-POSTROUTING", "-j TCPMSS")

_SPOILED: Final = "udp dport 4800 @th,312,8 6 udp checksum set 0xbeef"
"""Byte 39 after the start of the UDP header is the protocol of the packet inside; 6 is TCP."""
_CHECKSUMS_BY_HAND: Final = rule_first(
    "mangle", "POSTROUTING", "-o $UL -p udp --dport 4800 -j CHECKSUM --checksum-fill"
)
"""Between namespaces the kernel else hands packets on with their checksums unfinished, and believes them."""

FAULTS: Final = (
    _fault(
        "mtu-cable-blackhole",
        Role.FABRIC,
        "the path to the gateway silently carries less than the cable assumes",
        (NO_SEGMENTATION, _mtu("$GATEWAY", 1400, Place.FABRIC)),
        Signature(("*.{b}--*.{a}--tcp", "*.{a}--*.{b}--tcp")) | _INSIDE,
        otherwise=(NO_SEGMENTATION, _longer_dropped("$GATEWAY")),
    ),
    _fault(
        "mtu-node-underlay-low",
        Role.FABRIC,
        "one node's link carries less than its interface says",
        (NO_SEGMENTATION, _mtu("$NODE", 1400, Place.FABRIC)),
        Signature(("{{pod,hostpod}}.ngw.{a}--*.{b}--tcp", "*.{b}--{{pod,svc}}.ngw.{a}--tcp")) | _INSIDE,
        near=Role.NON_GATEWAY,
        otherwise=(NO_SEGMENTATION, _longer_dropped("$NODE")),
    ),
    _fault(
        "mtu-vx-too-large",
        Role.NON_GATEWAY,
        "vx-submariner's MTU leaves no room for its own header",
        (DeviceChanged("vx-submariner", "ip link set vx-submariner mtu 1500"),),
        NOTHING,
        otherwise=(_mtu("vx-submariner", 1480),),
    ),
    _fault(
        "mtu-stale-after-change",
        Role.NON_GATEWAY,
        "the NIC's MTU was lowered after vx-submariner was made",
        (_mtu("$UL", 1400),),
        NOTHING,
        otherwise=(_mtu("$UL", 1380),),
    ),
    _fault(
        "mtu-mss-clamp-missing",
        Role.GATEWAY,
        "no TCPMSS rule on the gateway, and path-MTU discovery is blocked",
        (
            NO_SEGMENTATION,
            _CLAMP,
            _CLAMP,
            _mtu("vxlan-tunnel", 1300),
            rule_first("filter", "OUTPUT", "-p icmp --icmp-type fragmentation-needed -j DROP"),
        ),
        Signature(("pod.*.{a}--*.{b}--tcp", "hostpod.ngw.{a}--*.{b}--tcp", "*.{b}--{{pod,svc}}.*.{a}--tcp")),
        otherwise=(
            NO_SEGMENTATION,
            Shell("ipset flush SUBMARINER-LOCALCIDRS", 'echo "$KEPT" | ipset restore -exist', keep=_MEMBERS),
            _mtu("vxlan-tunnel", 1300),
            nft(
                "no-pmtu", "ip", "filter hook output priority -10", "icmp type destination-unreachable icmp code 4 drop"
            ),
        ),
    ),
    _fault(
        "offload-vxlan-checksum",
        Role.NON_GATEWAY,
        "the node's link spoils the outer checksum of encapsulated TCP",
        (
            _CHECKSUMS_BY_HAND,
            nft("offload", "netdev", "filter hook ingress device $NODE priority 0", _SPOILED, at=Place.FABRIC),
        ),
        Signature(("{{pod,hostpod}}.ngw.{a}--*.{b}--tcp*", "*.{b}--{{pod,svc}}.ngw.{a}--tcp*")),
        otherwise=(_CHECKSUMS_BY_HAND, fabric_filter("offload", f"ip saddr $IP {_SPOILED.replace('beef', '0bad')}")),
    ),
)

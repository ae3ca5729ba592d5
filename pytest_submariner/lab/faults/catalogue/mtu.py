"""Faults of packet sizes."""

from __future__ import annotations

from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import NOTHING, Signature
from pytest_submariner.lab.faults.steps import NO_SEGMENTATION, DeviceChanged, Place, Shell, rule_first, rule_removed


def _mtu(device: str, value: int, at: Place = Place.NODE) -> Shell:
    return Shell(
        f"ip link set {device} mtu {value}",
        f"ip link set {device} mtu $KEPT",
        keep=f"ip -o link show {device} | sed 's/.* mtu \\([0-9]*\\) .*/\\1/'",
        at=at,
    )


_INSIDE: Final = Signature(
    ("{{pod,hostpod}}.gw.{a}--*.ngw.{a}--tcp", "{{pod,hostpod}}.ngw.{a}--{{pod,svc,hostpod}}.gw.{a}--tcp")
)
"""A natively routed CNI uses the same link with frames of full size."""
_CLAMP: Final = rule_removed("mangle", "SUBMARINER-POSTROUTING", "-j TCPMSS")

FAULTS: Final = (
    Fault(
        "mtu-cable-blackhole",
        Layer.MTU,
        Role.FABRIC,
        "the path to the gateway silently carries less than the cable assumes",
        (NO_SEGMENTATION, _mtu("$GATEWAY", 1400, Place.FABRIC)),
        Signature(("*.{b}--*.{a}--tcp", "*.{a}--*.{b}--tcp")) | _INSIDE,
    ),
    Fault(
        "mtu-node-underlay-low",
        Layer.MTU,
        Role.FABRIC,
        "one node's link carries less than its interface says",
        (NO_SEGMENTATION, _mtu("$NODE", 1400, Place.FABRIC)),
        Signature(("{{pod,hostpod}}.ngw.{a}--*.{b}--tcp", "*.{b}--{{pod,svc}}.ngw.{a}--tcp")) | _INSIDE,
        near=Role.NON_GATEWAY,
    ),
    Fault(
        "mtu-vx-too-large",
        Layer.MTU,
        Role.NON_GATEWAY,
        "vx-submariner's MTU leaves no room for its own header",
        (DeviceChanged("vx-submariner", "ip link set vx-submariner mtu 1500"),),
        NOTHING,
    ),
    Fault(
        "mtu-stale-after-change",
        Layer.MTU,
        Role.NON_GATEWAY,
        "the NIC's MTU was lowered after vx-submariner was made",
        (_mtu("$UL", 1400),),
        NOTHING,
    ),
    Fault(
        "mtu-mss-clamp-missing",
        Layer.MTU,
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
    ),
)

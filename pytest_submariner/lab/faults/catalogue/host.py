"""Faults of nodes and their kernels."""

from __future__ import annotations

from functools import partial
from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import FORWARDING, INSIDE, NODE, NODE_OUT, Signature, maybe
from pytest_submariner.lab.faults.steps import (
    FORGET_OVERLAY,
    ZERO_MAC,
    DeviceChanged,
    ObjectChanged,
    Place,
    Shell,
    Step,
    nft,
    rule_first,
    sysctl,
)

_fault: Final = partial(Fault, layer=Layer.HOST)


_AS_GATEWAY: Final = NODE_OUT | Signature(
    ("pod.*.{b}--{{pod,svc}}.ngw.{a}--*", "hostpod.*.{b}--svc.ngw.{a}--*", "hostpod.*.{b}--pod.ngw.{a}--tcp*"),
    ("hostpod.*.{b}--pod.ngw.{a}--{{udp,icmp}}*",),
)
"""The node is cut off; but its table 150 leads straight to the underlay, where other nodes answer for their CNI addresses if it is one
network."""


def _node_ip(ip: str) -> tuple[Step, ...]:
    """The Node says `ip`, and the gateway believes it; the node itself uses its own."""
    entry = f"{ZERO_MAC} dev vx-submariner dst"
    said = [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": "$NODE"}]
    return (
        ObjectChanged("/api/v1/nodes/$NODE", {"status": {"addresses": said}}, subresource="status"),
        Shell(
            f"bridge fdb del {entry} $WIP self; bridge fdb append {entry} {ip} self permanent",
            f"bridge fdb del {entry} {ip} self; bridge fdb append {entry} $WIP self permanent",
            at=Place.GATEWAY,
        ),
        FORGET_OVERLAY,
    )


FAULTS: Final = (
    _fault(
        "host-ip-forward-off",
        Role.GATEWAY,
        "the gateway does not forward",
        (sysctl("net/ipv4/ip_forward", "0"),),
        FORWARDING | maybe(INSIDE),
        otherwise=tuple(
            sysctl(f"net/ipv4/conf/{device}/forwarding", "0") for device in ("vx-submariner", "vxlan-tunnel", "$CNI")
        ),
    ),
    _fault(
        "host-rpfilter-strict-vx",
        Role.GATEWAY,
        "the reverse-path filter of the gateway's vx-submariner is strict",
        (sysctl("net/ipv4/conf/vx-submariner/rp_filter", "1"),),
        NODE,
        otherwise=(
            sysctl("net/ipv4/conf/vx-submariner/rp_filter", "0"),
            sysctl("net/ipv4/conf/all/rp_filter", "1"),
        ),
    ),
    _fault(
        "host-duplicate-hostname",
        Role.NON_GATEWAY,
        "the node has the gateway's hostname and set itself up as gateway",
        (
            DeviceChanged(
                "vx-submariner",
                f"""ip link del vx-submariner
ip link add vx-submariner type vxlan id 100 dstport 4800 nolearning
ip addr add $WV/8 dev vx-submariner
ip link set vx-submariner mtu 1450 up
for ip in $GIP $WIP; do bridge fdb append {ZERO_MAC} dev vx-submariner dst $ip self permanent; done""",
            ),
            Shell(
                "for cidr in $RPOD $RSVC; do ip route add $cidr dev $UL proto static src $CIP table 150; done;"
                " ip rule add prio 150 lookup 150",
                "ip rule del prio 150; ip route flush table 150",
            ),
        ),
        _AS_GATEWAY,
        otherwise=(
            DeviceChanged(
                "vx-submariner",
                """ip link del vx-submariner
ip link add vx-submariner type vxlan id 100 dstport 4800 nolearning
ip link set vx-submariner mtu 1450 up
ip addr add $WV/8 dev vx-submariner""",
            ),
            Shell(
                "ip rule add prio 150 lookup 150; ip route add $RPOD dev $UL src $CIP table 150",
                "ip route flush table 150; ip rule del prio 150",
            ),
        ),
    ),
    _fault(
        "host-node-ip-mismatch",
        Role.NON_GATEWAY,
        "the Node's InternalIP is not the address the node uses for Submariner",
        _node_ip("172.18.250.250"),
        NODE,
        modes=("modelled",),
        otherwise=_node_ip("172.18.99.77"),
    ),
    _fault(
        "host-conntrack-full",
        Role.GATEWAY,
        "half of all new flows through the gateway are dropped, as with a full connection table",
        (
            rule_first(
                "filter",
                "FORWARD",
                "-m conntrack --ctstate NEW -m statistic --mode random --probability 0.5 -j DROP",
            ),
        ),
        maybe(FORWARDING | INSIDE),
        otherwise=(
            nft(
                "full",
                "ip",
                "filter hook forward priority -10",
                "ct state new numgen random mod 100 < 50 counter drop",
            ),
        ),
    ),
)

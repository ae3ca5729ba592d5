"""Faults of nodes and their kernels."""

from __future__ import annotations

from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import FORWARDING, INSIDE, NODE, maybe
from pytest_submariner.lab.faults.steps import (
    FORGET_OVERLAY,
    ZERO_MAC,
    DeviceChanged,
    ObjectChanged,
    Place,
    Shell,
    rule_first,
    sysctl,
)

FAULTS: Final = (
    Fault(
        "host-ip-forward-off",
        Layer.HOST,
        Role.GATEWAY,
        "the gateway does not forward",
        (sysctl("net/ipv4/ip_forward", "0"),),
        FORWARDING | maybe(INSIDE),
    ),
    Fault(
        "host-rpfilter-strict-vx",
        Layer.HOST,
        Role.GATEWAY,
        "the reverse-path filter of the gateway's vx-submariner is strict",
        (sysctl("net/ipv4/conf/vx-submariner/rp_filter", "1"),),
        NODE,
    ),
    Fault(
        "host-duplicate-hostname",
        Layer.HOST,
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
        NODE,
    ),
    Fault(
        "host-node-ip-mismatch",
        Layer.HOST,
        Role.NON_GATEWAY,
        "the Node's InternalIP is not the address the node uses for Submariner",
        (
            ObjectChanged(
                "/api/v1/nodes/$NODE",
                {
                    "status": {
                        "addresses": [
                            {"type": "InternalIP", "address": "172.18.250.250"},
                            {"type": "Hostname", "address": "$NODE"},
                        ]
                    }
                },
                subresource="status",
            ),
            Shell(
                f"bridge fdb del {ZERO_MAC} dev vx-submariner dst $WIP self;"
                f" bridge fdb append {ZERO_MAC} dev vx-submariner dst 172.18.250.250 self permanent",
                f"bridge fdb del {ZERO_MAC} dev vx-submariner dst 172.18.250.250 self;"
                f" bridge fdb append {ZERO_MAC} dev vx-submariner dst $WIP self permanent",
                at=Place.GATEWAY,
            ),
            FORGET_OVERLAY,
        ),
        NODE,
        modes=("modelled",),
    ),
    Fault(
        "host-conntrack-full",
        Layer.HOST,
        Role.GATEWAY,
        "half of all new flows through the gateway are dropped, as with a full connection table",
        (
            rule_first(
                "filter",
                "FORWARD",
                "-m conntrack --ctstate NEW -m statistic --mode random --probability 0.5 -j DROP",
            ),
        ),
        maybe(FORWARDING),
    ),
)

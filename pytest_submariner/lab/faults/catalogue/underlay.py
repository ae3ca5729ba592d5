"""Faults of the network between nodes."""

from __future__ import annotations

from typing import Final

from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import CABLE, INSIDE, NODE, NODE_LOCAL, maybe
from pytest_submariner.lab.faults.steps import Place, Shell, fabric_drops, rule_first

FAULTS: Final = (
    Fault(
        "underlay-source-check",
        Layer.UNDERLAY,
        Role.FABRIC,
        "the fabric drops packets whose source is not the sending node's",
        (fabric_drops("-p IPv4 --ip-src $RPOD"),),
        NODE,
    ),
    Fault(
        "underlay-packet-loss",
        Layer.UNDERLAY,
        Role.NON_GATEWAY,
        "the node's link loses a third of what it receives",
        (rule_first("mangle", "PREROUTING", "-i $UL -m statistic --mode random --probability 0.3 -j DROP"),),
        maybe(NODE | NODE_LOCAL),
    ),
    Fault(
        "underlay-duplicate-ip",
        Layer.UNDERLAY,
        Role.FABRIC,
        "another host answers for the gateway's address",
        (
            Shell("ip addr add $GIP/32 dev underlay", "ip addr del $GIP/32 dev underlay", at=Place.FABRIC),
            Shell("ip neigh flush dev $UL", "ip neigh flush dev $UL", at=Place.EVERY_NODE),
        ),
        maybe(CABLE | INSIDE),
    ),
    Fault(
        "underlay-throttled",
        Layer.UNDERLAY,
        Role.GATEWAY,
        "the gateway's bandwidth is far below what is needed",
        (Shell("tc qdisc add dev $UL root tbf rate 256kbit burst 4kb latency 50ms", "tc qdisc del dev $UL root"),),
        maybe(CABLE | INSIDE),
    ),
)

"""Faults of the cable between gateways."""

from __future__ import annotations

from typing import Final

from pytest_submariner.lab.faults.catalogue.kubernetes import ENDPOINT
from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import CABLE, NOTHING
from pytest_submariner.lab.faults.steps import (
    FORGET_CABLE,
    DeviceChanged,
    ObjectChanged,
    Shell,
    fabric_drops,
    forwarding_entry_removed,
    route_replaced,
    rule_first,
)

_TUNNEL: Final = "-p IPv4 --ip-proto udp --ip-dport 4500"

FAULTS: Final = (
    Fault(
        "cable-tunnel-port-blocked",
        Layer.CABLE,
        Role.FABRIC,
        "the cable's UDP port is filtered between gateways",
        (fabric_drops(f"{_TUNNEL} --ip-src $GIP"), fabric_drops(f"{_TUNNEL} --ip-dst $GIP"), FORGET_CABLE),
        CABLE,
    ),
    Fault(
        "cable-one-way-acl",
        Layer.CABLE,
        Role.FABRIC,
        "only one direction of the cable's UDP port is allowed",
        (fabric_drops(f"{_TUNNEL} --ip-src $GIP"),),
        CABLE,
    ),
    Fault(
        "cable-peer-fdb-missing",
        Layer.CABLE,
        Role.GATEWAY,
        "the vxlan cable lacks its default destination for the peer",
        (forwarding_entry_removed("vxlan-tunnel", "$RGIP"),),
        CABLE,
    ),
    Fault(
        "cable-vtep-from-public-ip",
        Layer.CABLE,
        Role.GATEWAY,
        "the next hop is not the peer's tunnel address",
        tuple(
            route_replaced(
                f"exact {cidr} table 100", f"{cidr} via 241.99.0.7 dev vxlan-tunnel src $CIP metric 100 table 100"
            )
            for cidr in ("$RPOD", "$RSVC")
        ),
        CABLE,
    ),
    Fault(
        "cable-udp-port-mismatch",
        Layer.CABLE,
        Role.GATEWAY,
        "the gateway listens on another UDP port than its Endpoint says",
        (
            DeviceChanged(
                "vxlan-tunnel",
                """routes=$(ip route show table 100 dev vxlan-tunnel)
own=$(ip -o -4 addr show dev vxlan-tunnel | sed 's/.* inet \\([^ ]*\\) .*/\\1/')
ip link del vxlan-tunnel
ip link add vxlan-tunnel type vxlan id 1000 dstport 4501 nolearning
ip addr add $own dev vxlan-tunnel
ip link set vxlan-tunnel up
echo 2 > /proc/sys/net/ipv4/conf/vxlan-tunnel/rp_filter
bridge fdb append 00:00:00:00:00:00 dev vxlan-tunnel dst $RGIP self permanent
echo "$routes" | while read -r route; do ip route add $route dev vxlan-tunnel table 100; done""",
            ),
        ),
        CABLE,
    ),
    Fault(
        "cable-peer-inside-own-tunnel",
        Layer.CABLE,
        Role.GATEWAY,
        "the remote gateway's address is routed into its own tunnel",
        (
            Shell(
                "ip route add $RGIP via $RT dev vxlan-tunnel table 100; ip rule add prio 99 to $RGIP lookup 100",
                "ip rule del prio 99; ip route del $RGIP table 100",
            ),
        ),
        CABLE,
    ),
    Fault(
        "cable-private-ip-wrong-nic",
        Layer.CABLE,
        Role.GATEWAY,
        "the Endpoint's private address is of a NIC the peers cannot reach",
        (
            Shell(
                "ip link add eth1 type bridge; ip addr add 192.168.77.2/24 dev eth1; ip link set eth1 up",
                "ip link del eth1",
            ),
            ObjectChanged(ENDPOINT, {"spec": {"private_ip": "192.168.77.2"}}),
        ),
        CABLE,
        modes=("modelled",),
    ),
    Fault(
        "cable-private-ip-duplicate",
        Layer.CABLE,
        Role.CLUSTER,
        "two gateways publish the same private address",
        (ObjectChanged(ENDPOINT, {"spec": {"private_ip": "$RGIP"}}),),
        CABLE,
        modes=("modelled",),
    ),
    Fault(
        "cable-healthcheck-icmp-filtered",
        Layer.CABLE,
        Role.GATEWAY,
        "the health check's ping is dropped, data is not",
        (rule_first("filter", "INPUT", "-p icmp --icmp-type echo-request -d $CIP -j DROP"),),
        NOTHING,
    ),
)

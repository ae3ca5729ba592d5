"""Faults of the cable between gateways."""

from __future__ import annotations

from functools import partial
from typing import Final

from pytest_submariner.lab.faults.catalogue.kubernetes import ENDPOINT, GROUP
from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import CABLE, NOTHING
from pytest_submariner.lab.faults.steps import (
    FORGET_CABLE,
    ZERO_MAC,
    DeviceChanged,
    ObjectChanged,
    Place,
    Shell,
    Whose,
    fabric_drops,
    fabric_filter,
    forwarding_entry_removed,
    nft,
    route_replaced,
    rule_first,
)

_fault: Final = partial(Fault, layer=Layer.CABLE)
_TUNNEL: Final = "-p IPv4 --ip-proto udp --ip-dport 4500"
_PEER: Final = f"bridge fdb append {ZERO_MAC} dev vxlan-tunnel dst $RGIP self permanent"


def _tunnel_again(details: str, entry: str) -> DeviceChanged:
    """The cable's device with the same address and routes, other VXLAN details, and the forwarding entry that `entry` makes."""
    return DeviceChanged(
        "vxlan-tunnel",
        f"""routes=$(ip route show table 100 dev vxlan-tunnel)
ip link del vxlan-tunnel
ip link add vxlan-tunnel type vxlan id 1000 {details}
ip link set vxlan-tunnel mtu 1450
ip addr add $TV/8 dev vxlan-tunnel
ip link set vxlan-tunnel up
echo 2 > /proc/sys/net/ipv4/conf/vxlan-tunnel/rp_filter
{entry}
echo "$routes" | while read -r route; do ip route add $route dev vxlan-tunnel table 100; done""",
    )


FAULTS: Final = (
    _fault(
        "cable-tunnel-port-blocked",
        Role.FABRIC,
        "the cable's UDP port is filtered between gateways",
        (fabric_drops(f"{_TUNNEL} --ip-src $GIP"), fabric_drops(f"{_TUNNEL} --ip-dst $GIP"), FORGET_CABLE),
        CABLE,
        otherwise=(
            fabric_filter("tunnel-port", "udp dport 4500 ip saddr $GIP drop", "udp dport 4500 ip daddr $GIP drop"),
            FORGET_CABLE,
        ),
    ),
    _fault(
        "cable-one-way-acl",
        Role.FABRIC,
        "only one direction of the cable's UDP port is allowed",
        (fabric_drops(f"{_TUNNEL} --ip-src $GIP"),),
        CABLE,
        otherwise=(
            nft(
                "one-way",
                "netdev",
                "filter hook ingress device $GATEWAY priority 0",
                "udp dport 4500 drop",
                at=Place.FABRIC,
            ),
        ),
    ),
    _fault(
        "cable-peer-fdb-missing",
        Role.GATEWAY,
        "the vxlan cable lacks its default destination for the peer",
        (forwarding_entry_removed("vxlan-tunnel", "$RGIP"),),
        CABLE,
        otherwise=(_tunnel_again("dstport 4500 nolearning", ""), FORGET_CABLE),
    ),
    _fault(
        "cable-vtep-from-public-ip",
        Role.GATEWAY,
        "the next hop is not the peer's tunnel address",
        tuple(
            route_replaced(
                f"exact {cidr} table 100", f"{cidr} via 241.99.0.7 dev vxlan-tunnel src $CIP metric 100 table 100"
            )
            for cidr in ("$RPOD", "$RSVC")
        ),
        CABLE,
        otherwise=tuple(
            route_replaced(
                f"exact {cidr} table 100",
                f"{cidr} via 241.203.113.9 dev vxlan-tunnel onlink src $CIP metric 100 proto static table 100",
            )
            for cidr in ("$RPOD", "$RSVC")
        ),
    ),
    _fault(
        "cable-udp-port-mismatch",
        Role.GATEWAY,
        "the gateway listens on another UDP port than its Endpoint says",
        (_tunnel_again("dstport 4501 nolearning", _PEER),),
        CABLE,
        otherwise=(_tunnel_again("dstport 4600 learning", _PEER),),
    ),
    _fault(
        "cable-peer-inside-own-tunnel",
        Role.GATEWAY,
        "the remote gateway's address is routed into its own tunnel",
        (
            Shell(
                "ip route add $RGIP via $RT dev vxlan-tunnel table 100; ip rule add prio 99 to $RGIP lookup 100",
                "ip rule del prio 99; ip route del $RGIP table 100",
            ),
        ),
        CABLE,
        otherwise=(Shell("ip route add $RGIP/32 via $RT dev vxlan-tunnel", "ip route del $RGIP/32 dev vxlan-tunnel"),),
    ),
    _fault(
        "cable-private-ip-wrong-nic",
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
        otherwise=(
            Shell(
                "ip link add ens9 type bridge; ip addr add 10.77.0.9/16 dev ens9; ip link set ens9 up",
                "ip link del ens9",
            ),
            ObjectChanged(ENDPOINT, {"spec": {"private_ip": "10.77.0.9"}}),
        ),
    ),
    _fault(
        "cable-private-ip-duplicate",
        Role.CLUSTER,
        "two gateways publish the same private address",
        (ObjectChanged(ENDPOINT, {"spec": {"private_ip": "$RGIP"}}),),
        CABLE,
        modes=("modelled",),
        otherwise=(
            ObjectChanged(f"{GROUP}/endpoints/$RENDPOINT", {"spec": {"private_ip": "$GIP"}}, whose=Whose.REMOTE),
        ),
    ),
    _fault(
        "cable-healthcheck-icmp-filtered",
        Role.GATEWAY,
        "the health check's ping is dropped, data is not",
        (rule_first("filter", "INPUT", "-p icmp --icmp-type echo-request -d $CIP -j DROP"),),
        NOTHING,
        otherwise=(
            nft("no-echo", "inet", "filter hook input priority -10", "ip daddr $CIP icmp type echo-request drop"),
        ),
    ),
)

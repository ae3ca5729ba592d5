"""Healthy states that look like faults, those a lab can be put into. What a lab shows anyway needs no row here: a ping between
240.x addresses, nodes that know no 240.x neighbour but the gateway, entries of a gateway for itself, missing remote routes in
its main table, counters that stand still, neighbours that are STALE."""

from __future__ import annotations

from typing import Final

from pytest_submariner.lab.faults.fault import LookAlike, Role
from pytest_submariner.lab.faults.steps import Shell, fabric_drops, sysctl

LOOK_ALIKES: Final[tuple[LookAlike, ...]] = (
    LookAlike(
        "healthy-fabric-drops-class-e",
        Role.FABRIC,
        "the fabric drops 240.0.0.0/4",
        (fabric_drops("-p IPv4 --ip-src 240.0.0.0/4"), fabric_drops("-p IPv4 --ip-dst 240.0.0.0/4")),
        why="class-E addresses exist inside VXLAN only",
    ),
    LookAlike(
        "healthy-rpfilter-off",
        Role.GATEWAY,
        "the gateway's vx-submariner has no reverse-path filter",
        (sysctl("net/ipv4/conf/vx-submariner/rp_filter", "0"),),
        why="only a strict filter drops what Submariner carries",
    ),
    LookAlike(
        "healthy-rpfilter-strict-by-default",
        Role.GATEWAY,
        "the reverse-path filter is strict for all devices, loose for those of Submariner and the CNI",
        (sysctl("net/ipv4/conf/all/rp_filter", "1"),),
        why="the higher of the two values counts, and 2 is loose",
    ),
    LookAlike(
        "healthy-rpfilter-strict-on-worker-overlay",
        Role.NON_GATEWAY,
        "the reverse-path filter of a worker's vx-submariner is strict",
        (sysctl("net/ipv4/conf/vx-submariner/rp_filter", "1"),),
        why="replies come by the CNI: nothing enters there",
    ),
    LookAlike(
        "healthy-rules-repeated",
        Role.GATEWAY,
        "several policy rules lead to table 150",
        (
            Shell(
                "for n in $(seq 151 170); do ip rule add prio $n lookup 150; done",
                "for n in $(seq 151 170); do ip rule del prio $n; done",
            ),
        ),
        why="agents that start anew may leave one each; the first that matches does the work",
    ),
    LookAlike(
        "healthy-both-iptables-backends",
        Role.NON_GATEWAY,
        "both iptables backends have tables, one of them nothing that acts",
        (
            Shell(
                "iptables-legacy -t nat -N DOCKER; iptables-legacy -t filter -N DOCKER-USER",
                "iptables-legacy -t nat -X DOCKER; iptables-legacy -t filter -X DOCKER-USER",
            ),
        ),
        why="chains that nobody enters change no packet",
    ),
)

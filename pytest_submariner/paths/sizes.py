"""How much a path is asked to carry: tags of sizes, and the arithmetic of what Submariner leaves of an MTU."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_submariner.model.path import PathCase

PMTU = "pmtu"
"""The largest packet that is not fragmented."""
BULK = "bulk"
"""A mebibyte each way, which meets every limit that a short exchange slips through."""
SIZE_TAGS = (PMTU, BULK)
BULK_BYTES = 1 << 20
LARGEST = 65535
"""Bytes of an IPv4 packet (RFC 791)."""

VXLAN_OVERHEAD = 50
"""Of vx-submariner, and of the cable driver vxlan: both take it off the MTU of the default device (`submariner:pkg/vxlan/vxlan.go`)."""
IPSEC_OVERHEAD = 80
"""What Submariner reckons with for libreswan and WireGuard (`submariner:pkg/routeagent_driver/handlers/mtu/mtuhandler.go`)."""


def size_tag(case: PathCase) -> str | None:
    """The tag of `case` that is a size; None when it asks the usual few bytes."""
    return next((tag for tag in case.tags if tag in SIZE_TAGS), None)


def overhead(cable_driver: str) -> int:
    """Bytes that a path between clusters takes off the MTU. The two tunnels of a path come one after the other, not one inside
    the other, so the larger overhead counts."""
    return VXLAN_OVERHEAD if cable_driver == "vxlan" else max(VXLAN_OVERHEAD, IPSEC_OVERHEAD)


def must_carry(underlays: Sequence[Sequence[int]], cable_driver: str, ends: int = LARGEST) -> int | None:
    """Bytes of the largest IP packet that must get through unfragmented; None when nobody told an MTU.

    `underlays` are the MTUs of nodes, by cluster: the nodes of one share a network, whose MTU is the largest of theirs, and the
    smaller one of two clusters limits what goes between them. `ends` is the MTU of the pods at both ends, the smaller one: nothing
    larger leaves the source or comes in at the target.
    """
    known = [max(mtus) for mtus in underlays if mtus]
    if not known:
        return None
    return min(min(known) - overhead(cable_driver), ends)

"""Globalnet's chains of the nat table, as a node has them (submariner:pkg/globalnet/constants/constants.go)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytest_submariner.dataplane.constants import POSTROUTING_CHAIN
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.model.nodestate import PacketFilterRule

INGRESS: Final = "SUBMARINER-GN-INGRESS"
EGRESS: Final = "SUBMARINER-GN-EGRESS"
MARK: Final = "SUBMARINER-GN-MARK"
EGRESS_DEFAULT: Final = "SM-GN-EGRESS-CLUSTER"
"""The last of the egress chains: what no object has an address for gets the cluster's."""


def is_readable(sight: NodeSight) -> bool:
    """Whether Submariner's nat chain was read (its rules could be in a table of nftables' own), so that absence means something."""
    return any(("nat", POSTROUTING_CHAIN) in filters.policies for filters in sight.before.packet_filters or ())


def calls(sight: NodeSight, chain: str, target: str) -> bool:
    """Whether `chain` jumps to `target`, in any backend."""
    return any(rule.target == target for rule in _rules(sight, chain))


def populated(sight: NodeSight, chain: str) -> bool:
    return any(True for _ in _rules(sight, chain))


def wanted(sight: NodeSight, chain: str, target: str, option: str) -> tuple[str, ...]:
    """What rules with a target ask for by `option` (`-d`, `-s`), "" where they do not ask."""
    return tuple(_after(rule, option) for rule in _rules(sight, chain) if rule.target == target)


def translations(sight: NodeSight, chain: str, target: str) -> Iterator[tuple[str, str]]:
    """(source, new source) of SNAT rules, (destination, new destination) of DNAT ones; of the latter only those for every protocol: the
    health check's is for ICMP alone."""
    option, to = ("-s", "--to-source") if target == "SNAT" else ("-d", "--to-destination")
    for rule in _rules(sight, chain):
        if rule.target == target and (target == "SNAT" or not _after(rule, "-p")):
            yield _after(rule, option), _after(rule, to)


def _rules(sight: NodeSight, chain: str) -> Iterator[PacketFilterRule]:
    return (rule for rules in sight.rule_lists("nat", chain) for rule in rules)


def _after(rule: PacketFilterRule, option: str) -> str:
    words = rule.text.split()
    return words[words.index(option) + 1] if option in words[:-1] else ""

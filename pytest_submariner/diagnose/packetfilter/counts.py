"""By how much rules and policies counted between two readings of a node."""

from __future__ import annotations

import re

from pytest_submariner.diagnose.packetfilter.chains import Step
from pytest_submariner.model.filters import NftRule, PacketFilterRule
from pytest_submariner.model.nodestate import NodeState

_NUMBERS = re.compile(r"counter packets \d+ bytes \d+")


def risen(before: NodeState, after: NodeState | None, step: Step) -> int | None:
    """Packets that a step's rule, or its chain's policy, counted meanwhile; None for a rule without a counter, or read once."""
    if after is None:
        return None
    then, now = _count(before, step), _count(after, step)
    return None if then is None or now is None else now - then


def _count(state: NodeState, step: Step) -> int | None:
    rule = step.rule
    if isinstance(rule, NftRule):
        found = [r for r in _native(state, step) if _plain(r) == _plain(rule) and r.packets is not None]
        return sum(r.packets or 0 for r in found) if found else None
    filters = [f for f in state.packet_filters or () if f.backend == step.backend]
    if isinstance(rule, PacketFilterRule):
        rules = [r for f in filters for r in f.rules if r == rule and r.packets is not None]
        return sum(r.packets or 0 for r in rules) if rules else None
    counts = [f.policy_packets[step.table, step.chain] for f in filters if (step.table, step.chain) in f.policy_packets]
    return sum(counts) if counts else None


def _native(state: NodeState, step: Step) -> tuple[NftRule, ...]:
    tables = (table for table in state.native_tables or () if f"{table.family} {table.name}" == step.table)
    return tuple(rule for table in tables for chain in table.chains if chain.name == step.chain for rule in chain.rules)


def _plain(rule: NftRule) -> str:
    return _NUMBERS.sub("counter", rule.text)

"""How a node's state differs from the one Submariner should have made, element by element."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.wording import describe
from pytest_submariner.model.nodestate import IpSet, NodeState, PacketFilter, PacketFilterRule, Route, Rule

OWN_DEVICES = frozenset({c.VX_SUBMARINER, c.VXLAN_TUNNEL})
OWN_TABLES = frozenset({c.CABLE_TABLE, c.HOST_NETWORK_TABLE})
OWN_SETS = frozenset({c.LOCAL_CIDRS_SET, c.REMOTE_CIDRS_SET})
_CALICO = "cali-"
_DECIDING = {
    "nat": frozenset({"ACCEPT", "MASQUERADE", "SNAT", "NETMAP"}),
    "filter": frozenset({"DROP", "REJECT"}),
    "mangle": frozenset({"ACCEPT", "DROP"}),
}
"""Targets after which a packet is not seen by later rules of the hook."""
STRICT, LOOSE, OFF = "1", "2", "0"
"""Values of rp_filter (kernel: Documentation/networking/ip-sysctl.rst)."""
T = TypeVar("T")


class Kind(StrEnum):
    MISSING = "missing"
    """Expected, not there."""
    UNEXPECTED = "unexpected"
    """Submariner's by name or place, but not expected: stale, or somebody else's."""
    MISPLACED = "misplaced"
    """There, but behind rules it has to precede."""
    UNREAD = "unread"
    """That part of the state could not be read; `element` is the reason."""


@dataclass(frozen=True)
class Difference:
    """One deviation. `part` is a field of NodeState (links, routes, …); `element` what is missing or unexpected."""

    part: str
    kind: Kind
    element: object

    def __str__(self) -> str:
        return f"{self.part}: {self.kind} {describe(self.element)}"


def differences(expected: NodeState, observed: NodeState) -> tuple[Difference, ...]:
    """Every deviation of `observed` within what Submariner owns, missing elements first; empty when the node is as
    it should be.

    Foreign elements (CNI, kube-proxy, kernel) are not looked at; `owned` says which those are. Packet-filter rules are
    compared as multisets per chain, since the order of Endpoint events decides their order, plus the position of the
    jumps that must come first. Policy rules and forwarding entries are sets: agents add them again after a restart. What is
    healthy all the same is no difference: `_is_harmless`."""
    own = owned(observed, expected)
    found: list[Difference] = []
    for part in ("links", "addresses", "fdb", "routes", "rules"):
        found += _compare(part, getattr(expected, part), getattr(own, part), observed)
    found += _compare("packet_filters", _rules(expected.packet_filters), _rules(own.packet_filters), observed)
    found += _compare("packet_filters", _chains(expected.packet_filters), _chains(own.packet_filters), observed)
    found += _misplaced(observed.packet_filters)
    found += _compare("ipsets", _members(expected.ipsets), _members(own.ipsets), observed)
    found += _compare("sysctls", _settings(expected.sysctls), _settings(own.sysctls, observed), observed)
    order = list(Kind)
    told = (d for d in dict.fromkeys(found) if not _is_harmless(d, expected, observed))
    return tuple(sorted(told, key=lambda d: order.index(d.kind)))


def owned(state: NodeState, expected: NodeState) -> NodeState:
    """The part of `state` that Submariner answers for: its devices and what is on them, its tables with their rules,
    its chains and the jumps to them, its ipsets, and the settings that `expected` names (others on its devices are
    the kernel's defaults)."""
    wanted = expected.sysctls or {}
    return NodeState(
        node=state.node,
        links=_keep(state.links, lambda link: link.name in OWN_DEVICES),
        addresses=_keep(state.addresses, lambda address: address.device in OWN_DEVICES),
        fdb=_keep(state.fdb, lambda entry: entry.device in OWN_DEVICES),
        routes=_keep(state.routes, _is_own_route),
        rules=_keep(state.rules, lambda rule: rule.table in OWN_TABLES),
        packet_filters=None if state.packet_filters is None else tuple(map(_own_filter, state.packet_filters)),
        ipsets=_keep(state.ipsets, lambda ipset: ipset.name in OWN_SETS),
        sysctls=None
        if state.sysctls is None
        else {key: value for key, value in state.sysctls.items() if key in wanted},
        unread=state.unread,
    )


def _keep(elements: tuple[T, ...] | None, is_wanted: Callable[[T], bool]) -> tuple[T, ...] | None:
    return None if elements is None else tuple(filter(is_wanted, elements))


def _compare(
    part: str, expected: Iterable[Hashable] | None, own: Iterable[Hashable] | None, observed: NodeState
) -> Iterator[Difference]:
    if own is None:
        yield Difference(part, Kind.UNREAD, observed.unread.get(part, "not read"))
        return
    want, have = Counter(expected or ()), Counter(own)
    if part in ("fdb", "rules"):
        want, have = Counter(set(want)), Counter(set(have))
    yield from (Difference(part, Kind.MISSING, element) for element in (want - have))
    yield from (Difference(part, Kind.UNEXPECTED, element) for element in (have - want))


def _is_harmless(difference: Difference, expected: NodeState, observed: NodeState) -> bool:
    """A rule that leads to an empty table: a former gateway keeps rule 100
    (submariner:pkg/routeagent_driver/handlers/kubeproxy/gw_transition.go)."""
    element = difference.element
    if difference.kind is not Kind.UNEXPECTED or not isinstance(element, Rule):
        return False
    is_used = any(route.table == element.table for route in observed.routes or ())
    return not is_used and not any(route.table == element.table for route in expected.routes or ())


def _is_own_route(route: Route) -> bool:
    return route.table in OWN_TABLES or (route.table == "main" and route.device in OWN_DEVICES)


def _own_filter(state: PacketFilter) -> PacketFilter:
    rules = tuple(rule for rule in state.rules if _is_own_rule(rule))
    chains = {chain: policy for chain, policy in state.policies.items() if chain in c.OWN_CHAINS}
    return PacketFilter(rules, chains, state.backend)


def _is_own_rule(rule: PacketFilterRule) -> bool:
    target = _target(rule)
    if target.startswith(c.GLOBALNET_CHAIN_PREFIX):
        return False
    return (rule.table, rule.chain) in c.OWN_CHAINS or (rule.table, target) in c.OWN_CHAINS


def _target(rule: PacketFilterRule) -> str:
    words = rule.text.split()
    return words[words.index("-j") + 1] if "-j" in words[:-1] else ""


def _rules(filters: tuple[PacketFilter, ...] | None) -> list[PacketFilterRule] | None:
    # Both backends (legacy, nft) count: the agents pick one when they start, and rules in either are in force.
    return None if filters is None else [rule for state in filters for rule in state.rules]


def _chains(filters: tuple[PacketFilter, ...] | None) -> set[tuple[str, str]] | None:
    return None if filters is None else {chain for state in filters for chain in state.policies}


def _misplaced(filters: tuple[PacketFilter, ...] | None) -> Iterator[Difference]:
    for table, chain, text, position in c.HOOKS:
        jump = PacketFilterRule(table, chain, text)
        if position is c.Position.FIRST and rules_ahead_of(jump, filters):
            yield Difference("packet_filters", Kind.MISPLACED, jump)


def rules_ahead_of(jump: PacketFilterRule, filters: tuple[PacketFilter, ...] | None) -> tuple[PacketFilterRule, ...]:
    """Foreign rules before `jump` in its chain that can decide about packets, themselves or by the chain they lead to."""
    found: list[PacketFilterRule] = []
    for state in filters or ():
        rules = state.chain(jump.table, jump.chain)
        before = rules[: rules.index(jump)] if jump in rules else ()
        found += (rule for rule in before if not _is_own_rule(rule) and _takes_packets(rule, state))
    return tuple(found)


def _takes_packets(rule: PacketFilterRule, state: PacketFilter, depth: int = 8) -> bool:
    """Whether a rule, or the chain it leads to, can decide about packets before Submariner's rules see them. An accept in a
    chain of nat ends it as much as a rewrite does.

    Calico always keeps its jump first; there, IPPools of the remote CIDRs keep it from rewriting."""
    target = _target(rule)
    if target.startswith(_CALICO):
        return False
    if target in _DECIDING.get(rule.table, ()):
        return True
    return depth > 0 and any(_takes_packets(inner, state, depth - 1) for inner in state.chain(rule.table, target))


def _members(ipsets: tuple[IpSet, ...] | None) -> list[tuple[str, str]] | None:
    """Sets as (name, type) and (name, member) pairs, so that one missing member is one difference."""
    if ipsets is None:
        return None
    return [(s.name, f"type {s.type}") for s in ipsets] + [
        (s.name, member) for s in ipsets for member in sorted(s.members)
    ]


def _settings(sysctls: dict[str, str] | None, observed: NodeState | None = None) -> list[tuple[str, str, str]] | None:
    """Of an observed node, rp_filter 0 counts as the 2 that agents write, unless `all` makes it strict: the kernel takes
    the greater of both, and no packet is dropped by either."""
    if sysctls is None:
        return None
    is_strict = ((observed.sysctls if observed else None) or {}).get("net.ipv4.conf.all.rp_filter") == STRICT
    return [
        (key, "=", LOOSE if observed and not is_strict and key.endswith(".rp_filter") and value == OFF else value)
        for key, value in sysctls.items()
    ]

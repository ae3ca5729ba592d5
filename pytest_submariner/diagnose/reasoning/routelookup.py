"""Which route a node's kernel takes for a packet, computed from its rules and tables: pure, so that it can be asked offline, of any
address, and says who decided.

Rules that ask for more than addresses (a mark, a device) are taken not to match: probes carry no mark. Local addresses are
not looked up: what is the node's own never leaves it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from pytest_submariner.model.nodestate import NodeState, Route, Rule

MAIN_TABLES = frozenset({"local", "main", "default", "255", "254", "253"})


@dataclass(frozen=True)
class Decision:
    """`routes` that serve alike (several next hops of one route), by the `rule` that led to their table."""

    rule: Rule
    routes: tuple[Route, ...]

    @property
    def route(self) -> Route:
        return self.routes[0]

    @property
    def refuses(self) -> bool:
        """A blackhole, or the like."""
        return self.route.kind != "unicast"

    @property
    def by_policy(self) -> bool:
        """Decided by a table of its own, before the main one is asked."""
        return not self.rule.action and self.rule.table not in MAIN_TABLES


def lookup(state: NodeState, destination: str, source: str = "") -> Decision | None:
    """None when no route leads there. Rules and routes must have been read. `source` "" is that of a process which has not
    chosen one: rules that ask for a source do not match it."""
    rules, routes = state.rules or (), state.routes or ()
    for rule in sorted(rules, key=lambda rule: rule.priority):
        if rule.selector or not _asks(rule.source, source) or not _asks(rule.destination, destination):
            continue
        if rule.action:
            asked = "default" if rule.destination == "all" else rule.destination
            return Decision(rule, (Route(asked, "", table="", kind=rule.action),))
        best = longest(destination, (route for route in routes if route.table == rule.table))
        if best and best[0].kind != "throw":
            return Decision(rule, best)
    return None


def longest(destination: str, routes: Iterable[Route]) -> tuple[Route, ...]:
    """Of the routes of one table those the kernel takes: longest prefix, then lowest metric. Several for several next
    hops."""
    address = IPv4Address(destination)
    fitting = [(net, route) for route in routes if (net := network(route.destination)) is not None and address in net]
    if not fitting:
        return ()
    best = max((net.prefixlen, -route.metric) for net, route in fitting)
    return tuple(route for net, route in fitting if (net.prefixlen, -route.metric) == best)


@lru_cache(maxsize=65536)
def network(destination: str) -> IPv4Network | None:
    """`default`, `10.9.0.0/16`, `10.9.0.1`; None for what is no IPv4 network."""
    try:
        return IPv4Network("0.0.0.0/0" if destination == "default" else destination, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        return None


def in_any(ip: str, networks: Iterable[str]) -> bool:
    """Whether an address is in one of these; an empty one is in none."""
    if not ip:
        return False
    address = IPv4Address(ip)
    return any(net is not None and address in net for net in map(network, networks))


def rules_for(rules: Sequence[Rule], table: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.table == table)


def _asks(wanted: str, ip: str) -> bool:
    return wanted in ("all", "0/0", "0.0.0.0/0") or in_any(ip, (wanted,))

"""Routes, rules, neighbours, and what the kernel decides for one destination, from `ip -j`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_submariner.model.nodestate import Neighbour, Route, Rule
from pytest_submariner.nodestate.section import Section, json_list
from pytest_submariner.transport.node import NodeExec

ROUTES = "ip -j -4 route show table all"
RULES = "ip -j -4 rule show"
REFUSING = ("blackhole", "unreachable", "prohibit")
"""Actions of policy routing rules (linux/fib_rules.h)."""
# Without `nud all` those that need no ARP are left out, also where somebody wrote them.
NEIGHBOURS = "ip -j -4 neigh show nud all"
_SELECTORS = ("not", "fwmark", "fwmask", "iif", "oif", "tos", "ipproto", "sport", "dport", "l3mdev", "uid_start")
KINDS = frozenset({"unicast", "blackhole", "unreachable", "prohibit", "throw"})
"""Types of routes that are read; the others (local, broadcast, multicast) the kernel keeps for itself."""


@dataclass(frozen=True)
class Decision:
    """Where the kernel sends packets for `destination`, and the source it gives those that have none. `table` None is
    main."""

    destination: str
    device: str
    source: str | None = None
    gateway: str | None = None
    table: str | None = None


def routes(section: Section, device: str | None = None) -> tuple[Route, ...]:
    """IPv4 routes of all tables that forward or refuse packets, a multipath route as one per next hop. `device` for output
    of `ip route show dev X`, which does not name it."""
    found: list[Route] = []
    for entry in json_list(section, "ip"):
        if entry.get("type", "unicast") in KINDS and not _is_ipv6(entry):
            found += (_route(entry, hop, device) for hop in entry.get("nexthops") or (entry,))
    return tuple(found)


def rules(section: Section) -> tuple[Rule, ...]:
    """Policy routing rules that lead to a table, and those that refuse packets; others (goto, nop) are left out."""
    return tuple(
        Rule(
            int(entry["priority"]),
            str(entry.get("table", "")),
            _prefix(entry, "src"),
            _prefix(entry, "dst"),
            _selector(entry),
            "" if "table" in entry else entry["action"],
        )
        for entry in json_list(section, "ip")
        if "table" in entry or entry.get("action") in REFUSING
    )


def neighbours(section: Section) -> tuple[Neighbour, ...]:
    """Without the kernel's own for broadcast, multicast and loopback."""
    return tuple(
        Neighbour(entry["dev"], entry["dst"], entry.get("lladdr"), " ".join(entry.get("state") or ()))
        for entry in json_list(section, "ip")
        if ":" not in entry["dst"] and not ("NOARP" in (entry.get("state") or ()) and _is_no_host(entry.get("lladdr")))
    )


def route_get(node: NodeExec, destination: str, *, source: str | None = None, device: str | None = None) -> Decision:
    """What the kernel decides for a packet to `destination`. With `source` and incoming `device`, for one it forwards.

    CommandFailed when there is no route; its result has the kernel's words.
    """
    argv = ["ip", "-j", "route", "get", destination]
    argv += ["from", source] if source else []
    argv += ["iif", device] if device else []
    entry: dict[str, Any] = node.json(argv)[0]
    return Decision(destination, entry["dev"], entry.get("prefsrc"), entry.get("gateway"), entry.get("table"))


def _is_no_host(mac: str | None) -> bool:
    """Zero, or with the bit of groups."""
    return mac is None or not mac.strip("0:") or bool(int(mac.split(":")[0], 16) & 1)


def _route(entry: dict[str, Any], hop: dict[str, Any], device: str | None) -> Route:
    return Route(
        destination=entry["dst"],
        device=hop.get("dev") or device or "",
        table=str(entry.get("table", "main")),
        gateway=hop.get("gateway"),
        source=entry.get("prefsrc"),
        metric=int(entry.get("metric", 0)),
        protocol=entry.get("protocol", "boot"),  # iproute2 prints neither boot nor global
        scope=entry.get("scope", "global"),
        kind=entry.get("type", "unicast"),
    )


def _is_ipv6(entry: dict[str, Any]) -> bool:
    hops: Iterator[Any] = (hop.get("gateway", "") for hop in (entry, *(entry.get("nexthops") or ())))
    # An IPv6 default route says so by its next hop, and by `pref`, which IPv4 routes never have.
    return ":" in entry["dst"] or "pref" in entry or any(":" in str(gateway) for gateway in hops)


def _selector(entry: dict[str, Any]) -> str:
    words = ((key, entry[key]) for key in _SELECTORS if key in entry)
    return " ".join(key if value is None else f"{key} {value}" for key, value in words)


def _prefix(entry: dict[str, Any], key: str) -> str:
    value = str(entry.get(key, "all"))
    length = entry.get(f"{key}len")
    return f"{value}/{length}" if length is not None else value

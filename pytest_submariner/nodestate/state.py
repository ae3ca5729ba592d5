"""The whole state of a node in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pytest_submariner.model.nodestate import NodeState
from pytest_submariner.nodestate import (
    conntrack,
    counters,
    ipsets,
    links,
    nftables,
    packetfilter,
    qdiscs,
    routes,
    sockets,
    sysctls,
    tunnels,
)
from pytest_submariner.nodestate.section import Section, Unreadable, read_sections
from pytest_submariner.transport.node import NodeExec

_SIMPLE: dict[str, tuple[str, Callable[[Section], Any]]] = {
    "links": (links.LINKS, links.links),
    "addresses": (links.ADDRESSES, links.addresses),
    "fdb": (links.FDB, links.fdb),
    "neighbours": (routes.NEIGHBOURS, routes.neighbours),
    "routes": (routes.ROUTES, routes.routes),
    "rules": (routes.RULES, routes.rules),
    "ipsets": (ipsets.IPSETS, ipsets.ipsets),
    "sysctls": (sysctls.SYSCTLS, sysctls.sysctls),
    "hostname": (counters.HOSTNAME, counters.hostname),
    "clock_s": (counters.CLOCK, counters.clock_s),
    "counters": (counters.COUNTERS, counters.counters),
    "qdiscs": (qdiscs.QDISCS, qdiscs.qdiscs),
    "native_tables": (nftables.RULESET, nftables.native_tables),
    "xfrm_states": (tunnels.STATES, tunnels.xfrm_states),
    "xfrm_policies": (tunnels.POLICIES, tunnels.xfrm_policies),
    "wireguard": (tunnels.WIREGUARD, tunnels.wireguard),
    "conntrack_stats": (conntrack.STATS, conntrack.stats),
    "unanswered": (conntrack.UNANSWERED, conntrack.unanswered),
}
_FILTERS = {"nft": packetfilter.NFT, "legacy": packetfilter.LEGACY, "plain": packetfilter.PLAIN}
_SOCKETS = {"ss": sockets.PROGRAM, "files": sockets.FILES}
PARTS = (*_SIMPLE, "packet_filters", "sockets")
"""The fields of NodeState that can be read."""


def read_state(node: NodeExec, parts: Collection[str] = PARTS, *, timeout: float = 30) -> NodeState:
    """Read `parts` of a node's state in one exec. A part that could not be read, or was not asked for, is None, with
    the reason in `unread`; when only one packet-filter backend could not be read, its reason is under
    `packet_filters/BACKEND`.

    ProbeInconclusive when the reading broke off; TransportErrors pass through.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise ValueError(f"no part of a node's state is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    commands = {part: command for part, (command, _) in _SIMPLE.items() if part in parts}
    if "packet_filters" in parts:
        commands.update(_FILTERS)
    if "sockets" in parts:
        commands.update(_SOCKETS)
    sections = read_sections(node, commands, timeout=timeout)
    values: dict[str, Any] = {}
    unread = {part: "not asked for" for part in PARTS if part not in parts}
    for part in parts:
        try:
            if part == "packet_filters":
                values[part], missing = packetfilter.packet_filters(*(sections[name] for name in _FILTERS))
                unread |= {f"packet_filters/{backend}": reason for backend, reason in missing.items()}
            elif part == "sockets":
                values[part] = sockets.sockets(*(sections[name] for name in _SOCKETS))
            else:
                values[part] = _SIMPLE[part][1](sections[part])
        except Unreadable as error:
            unread[part] = str(error)
    return NodeState(node.node.name, **{part: values.get(part) for part in PARTS}, unread=unread)

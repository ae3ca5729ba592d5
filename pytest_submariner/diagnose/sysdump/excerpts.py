"""Excerpts of a node's state as text, as the tools print it: routes, tunnels, packet filter. Bounded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_submariner.dataplane.addresses import contains, ipv4_cidrs, overlap
from pytest_submariner.dataplane.constants import CABLE_TABLE, HOST_NETWORK_TABLE
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.tracing.ladder import OVN_DEVICE, TUNNEL_DEVICES
from pytest_submariner.model.nodestate import Link, PacketFilter, Route

LINES = 60
WIDTH = 240
_OWN_TABLES = frozenset({CABLE_TABLE, HOST_NETWORK_TABLE, "149", "220"})
"""Submariner's (vxlan cable, host network, OVN), and that of IPsec daemons (libreswan with VTI, strongSwan)."""
_HOOKS = (
    ("raw", "PREROUTING"),
    ("mangle", "PREROUTING"),
    ("nat", "PREROUTING"),
    ("mangle", "FORWARD"),
    ("filter", "INPUT"),
    ("filter", "FORWARD"),
    ("filter", "OUTPUT"),
    ("mangle", "POSTROUTING"),
    ("nat", "POSTROUTING"),
)
"""In the order in which a forwarded packet meets them."""
_PER_SERVICE = ("KUBE-SVC-", "KUBE-SEP-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-", "KUBE-SERVICES", "KUBE-NODEPORTS")
"""kube-proxy's chains that grow with the cluster (k8s.io/kubernetes/pkg/proxy/iptables/proxier.go)."""


def bounded(lines: Iterable[str], most: int = LINES) -> str:
    """Of many or long lines the first, and how many more there are."""
    found = [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines]
    more = len(found) - most
    return "\n".join([*found[:most], *([f"… and {more} more lines"] if more > 0 else [])])


def routes(sight: NodeSight, wanted: Sequence[str]) -> str:
    """Policy rules, and of the routes Submariner's tables, defaults, those of tunnels and those that cover or lie in `wanted` (CIDRs)."""
    state = sight.before
    if state.routes is None or state.rules is None:
        return bounded(_unread(sight, "routes", "rules"))
    lines = [f"{r.priority}: from {r.source} to {r.destination} lookup {r.table}" for r in state.rules]
    lines += [_route(route) for route in state.routes if _concerns(route, wanted)]
    return bounded(lines)


def tunnels(sight: NodeSight) -> str:
    """Devices of overlay and cable with their counters, forwarding entries and neighbours; IPsec and WireGuard where there."""
    state = sight.before
    after = {link.name: link for link in (sight.after.links if sight.after is not None else None) or ()}
    lines = list(_unread(sight, "links", "fdb", "neighbours"))
    lines += [
        _link(link, after.get(link.name)) for link in state.links or () if link.name in TUNNEL_DEVICES | {OVN_DEVICE}
    ]
    if state.links is not None and not lines:
        lines.append(f"none of {', '.join(sorted(TUNNEL_DEVICES))} is there")
    lines += [f"fdb {e.mac} dev {e.device} dst {e.dst} {e.state}" for e in state.fdb or ()]
    lines += [
        f"neigh {n.ip} dev {n.device} lladdr {n.mac or '-'} {n.state}"
        for n in state.neighbours or ()
        if n.device in TUNNEL_DEVICES
    ]
    for device in state.wireguard or ():
        lines.append(f"wireguard {device.name} port {device.port}")
        lines += [
            f"  peer {p.public_key} endpoint {p.endpoint or '-'} allowed {', '.join(p.allowed_ips)} handshake "
            f"{p.latest_handshake or 'never'} received {p.received} sent {p.sent} bytes"
            for p in device.peers
        ]
    lines += [
        f"xfrm state {s.source} > {s.destination} {s.protocol} spi {s.spi} {s.mode} {s.encapsulation or ''} packets {s.packets}"
        for s in state.xfrm_states or ()
    ]
    lines += [
        f"xfrm policy {p.direction} {p.source} > {p.destination} {p.action} "
        + ", ".join(f"tmpl {t.source} > {t.destination} {t.mode}" for t in p.templates)
        for p in state.xfrm_policies or ()
    ]
    return bounded(lines)


def packet_filter(sight: NodeSight) -> str:
    """The chains a packet passes, both backends, with packets counted and by how many more while probes ran (`[12 +3]`), and native
    nftables tables. kube-proxy's chains of single Services are left out."""
    lines = list(_unread(sight, "packet_filters"))
    for filters in sight.before.packet_filters or ():
        if not filters.rules and len(sight.before.packet_filters or ()) > 1:
            continue
        lines.append(f"# iptables, {filters.backend} backend")
        seen: set[tuple[str, str]] = set()
        for table, chain in _HOOKS:
            lines += _chain(sight, filters, table, chain, seen)
    for native in sight.before.native_tables or ():
        lines.append(f"# nft table {native.family} {native.name}")
        for part in native.chains:
            hook = f" hook {part.hook} priority {part.priority} policy {part.policy}" if part.hook else ""
            lines.append(f"chain {part.name}{hook}")
            lines += [f"  {rule.text}" for rule in part.rules]
    return bounded(lines, 2 * LINES)


def _unread(sight: NodeSight, *parts: str) -> Iterator[str]:
    for part in parts:
        if getattr(sight.before, part) is None:
            yield f"{part} could not be read: {sight.before.unread.get(part, 'no reason given')}"


def _concerns(route: Route, wanted: Sequence[str]) -> bool:
    if route.table in _OWN_TABLES or route.device in TUNNEL_DEVICES or route.destination == "default":
        return True
    own = ipv4_cidrs(wanted)
    if "/" not in route.destination:
        return any(contains(cidr, route.destination) for cidr in own)
    return overlap([route.destination], own)


def _route(route: Route) -> str:
    words = [route.kind] if route.kind != "unicast" else []
    words += [route.destination]
    words += ["via", route.gateway] if route.gateway else []
    words += ["dev", route.device] if route.device else []
    words += ["src", route.source] if route.source else []
    words += ["metric", str(route.metric)] if route.metric else []
    return " ".join([*words, "proto", route.protocol, "table", route.table])


def _link(link: Link, after: Link | None) -> str:
    words = [f"{link.name}: {link.kind} {'UP' if link.up else 'DOWN'} mtu {link.mtu} mac {link.mac or '-'}"]
    if link.vni is not None:
        words.append(f"id {link.vni} dstport {link.port}")
    words += [f"remote {link.remote}"] if link.remote else []
    if (now := (after or link).stats) is not None:
        words.append(f"received {now.rx_packets} sent {now.tx_packets} dropped {now.rx_dropped}/{now.tx_dropped}")
        if after is not None and link.stats is not None:
            words.append(
                f"(+{now.rx_packets - link.stats.rx_packets}/+{now.tx_packets - link.stats.tx_packets} while probes ran)"
            )
    return " ".join(words)


def _chain(
    sight: NodeSight, filters: PacketFilter, table: str, chain: str, seen: set[tuple[str, str]]
) -> Iterator[str]:
    """A chain, then those it calls, each once."""
    if (table, chain) in seen:
        return
    seen.add((table, chain))
    rules, policy = filters.chain(table, chain), filters.policies.get((table, chain))
    if not rules and policy in (None, "-", "ACCEPT"):
        return
    if policy == "-":
        yield f"-t {table} -N {chain}"
    else:
        counted = filters.policy_packets.get((table, chain))
        yield f"-t {table} -P {chain} {policy}{_count(counted, sight.policy_rise(table, chain))}"
    for rule in rules:
        yield f"-t {table} -A {chain} {rule.text}{_count(rule.packets, sight.rises(rule))}"
    for rule in rules:
        if (table, rule.target) in filters.policies and not rule.target.startswith(_PER_SERVICE):
            yield from _chain(sight, filters, table, rule.target, seen)


def _count(packets: int | None, rise: int | None) -> str:
    return "" if packets is None else f" [{packets}{f' +{rise}' if rise else ''}]"

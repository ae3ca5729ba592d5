"""The state of a node as text, in the words of the programs that show it: for people who read a sysdump or a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from pytest_submariner.model.filters import IpSet, NftTable, PacketFilter, PacketFilterRule
from pytest_submariner.model.nodestate import (
    Address,
    FdbEntry,
    Link,
    Neighbour,
    NodeState,
    Qdisc,
    Route,
    Rule,
    Socket,
)
from pytest_submariner.model.tunnels import WireGuardDevice, XfrmPolicy, XfrmState

UNREAD: Final = "(not read)"


def state_text(state: NodeState) -> str:
    """Every part under a heading; a part that could not be read says why."""
    head = [f"# {state.node}" + (f", hostname {state.hostname}" if state.hostname else "")]
    if state.clock_s is not None:
        head.append(f"# clock {state.clock_s:.3f} s since 1970")
    parts = [_section(title, getattr(state, name), show, state.unread.get(name)) for name, title, show in _PARTS]
    return "\n".join([*head, "", *("\n".join(part) + "\n" for part in parts if part)])


def rule_text(rule: PacketFilterRule) -> str:
    """As iptables-save -c prints it: counters first, where they were read."""
    counted = "" if rule.packets is None else f"[{rule.packets}:{rule.octets or 0}] "
    return f"{counted}-A {rule.chain} {rule.text}"


def filter_lines(found: PacketFilter, chains: Callable[[str, str], bool] = lambda table, chain: True) -> Iterator[str]:
    """The chains for which `chains(table, chain)` holds, table by table."""
    tables = dict.fromkeys([t for t, _ in found.policies] + [rule.table for rule in found.rules])
    for table in tables:
        shown = [(t, c) for t, c in found.policies if t == table and chains(t, c)]
        rules = [rule for rule in found.rules if rule.table == table and chains(table, rule.chain)]
        if not (shown or rules):
            continue
        yield f"*{table} (iptables-{found.backend})"
        for key in shown:
            counted = found.policy_packets.get(key)
            yield f":{key[1]} {found.policies[key]}" + ("" if counted is None else f" [{counted} packets]")
        yield from (rule_text(rule) for rule in rules)


def link_text(link: Link) -> str:
    words = [link.name, link.kind, "up" if link.up else "down", f"mtu {link.mtu}"]
    words += [f"master {link.master}"] if link.master else []
    words += [f"mac {link.mac}"] if link.mac else []
    words += [f"id {link.vni}"] if link.vni is not None else []
    words += [f"dstport {link.port}"] if link.port is not None else []
    words += [f"local {link.local}"] if link.local else []
    words += [f"remote {link.remote}"] if link.remote else []
    if link.stats is not None:
        s = link.stats
        words.append(f"rx {s.rx_packets} dropped {s.rx_dropped} errors {s.rx_errors}")
        words.append(f"tx {s.tx_packets} dropped {s.tx_dropped} errors {s.tx_errors}")
    return " ".join(words)


def route_text(route: Route) -> str:
    words = [route.kind] if route.kind != "unicast" else []
    words += [route.destination]
    words += [f"via {route.gateway}"] if route.gateway else []
    words += [f"dev {route.device}"] if route.device else []
    words += [f"src {route.source}"] if route.source else []
    words += [f"metric {route.metric}"] if route.metric else []
    return " ".join([*words, f"proto {route.protocol}", f"scope {route.scope}", f"table {route.table}"])


def rule_line(rule: Rule) -> str:
    words = [f"{rule.priority}:", f"from {rule.source}", f"to {rule.destination}", rule.selector]
    return " ".join(word for word in [*words, f"lookup {rule.table}"] if word)


def _address(address: Address) -> str:
    return f"{address.device} {address.ip}/{address.prefix_length}"


def fdb_text(entry: FdbEntry) -> str:
    return f"{entry.mac} dev {entry.device} dst {entry.dst} {entry.state}"


def neighbour_text(entry: Neighbour) -> str:
    return f"{entry.ip} dev {entry.device} lladdr {entry.mac or '(none)'} {entry.state}"


def _socket(socket: Socket) -> str:
    holder = "kernel" if socket.kernel else socket.process
    return " ".join(filter(None, (socket.protocol, f"{socket.ip}:{socket.port}", holder)))


def _qdisc(qdisc: Qdisc) -> str:
    counts = f"dropped {qdisc.dropped} overlimits {qdisc.overlimits}"
    return " ".join(filter(None, (qdisc.device, qdisc.kind, qdisc.text, counts)))


def _ipset(found: IpSet) -> str:
    return "\n".join([f"{found.name} {found.type}", *(f"  {member}" for member in sorted(found.members))])


def _filters(found: PacketFilter) -> str:
    return "\n".join(filter_lines(found))


def _table(table: NftTable) -> str:
    lines = [f"table {table.family} {table.name}"]
    for chain in table.chains:
        base = f" type {chain.kind} hook {chain.hook} priority {chain.priority} policy {chain.policy}"
        lines.append(f"  chain {chain.name}" + (base if chain.hook else ""))
        lines += [f"    {rule.text}" for rule in chain.rules]
    return "\n".join(lines)


def xfrm_state_text(state: XfrmState) -> str:
    words = [f"src {state.source} dst {state.destination} proto {state.protocol} spi {state.spi} mode {state.mode}"]
    words += [f"reqid {state.reqid}"] + ([f"encap {state.encapsulation}"] if state.encapsulation else [])
    words += [f"{state.packets} packets {state.octets} octets"] if state.packets is not None else []
    return " ".join(words)


def xfrm_policy_text(policy: XfrmPolicy) -> str:
    head = f"src {policy.source} dst {policy.destination} dir {policy.direction} priority {policy.priority} {policy.action}"
    return "\n".join(
        [
            head,
            *(f"  tmpl {t.source} {t.destination} {t.protocol} {t.mode} reqid {t.reqid}" for t in policy.templates),
        ]
    )


def wireguard_text(device: WireGuardDevice) -> str:
    lines = [f"{device.name} port {device.port} public key {device.public_key}"]
    for peer in device.peers:
        shaken = "never" if peer.latest_handshake is None else f"{peer.latest_handshake} s since 1970"
        lines.append(
            f"  peer {peer.public_key} endpoint {peer.endpoint or '(none)'} allowed {', '.join(peer.allowed_ips)} "
            f"handshake {shaken} received {peer.received} sent {peer.sent}"
        )
    return "\n".join(lines)


def _named(item: tuple[str, object]) -> str:
    return f"{item[0]} = {item[1]}"


_PARTS: Final[tuple[tuple[str, str, Callable[[Any], str]], ...]] = (
    ("links", "Devices", link_text),
    ("addresses", "Addresses", _address),
    ("rules", "Routing rules", rule_line),
    ("routes", "Routes", route_text),
    ("fdb", "Forwarding entries of VXLAN devices", fdb_text),
    ("neighbours", "Neighbours", neighbour_text),
    ("packet_filters", "Packet filter (iptables)", _filters),
    ("native_tables", "Packet filter (nftables)", _table),
    ("ipsets", "ipsets", _ipset),
    ("xfrm_states", "XFRM states (without keys)", xfrm_state_text),
    ("xfrm_policies", "XFRM policies", xfrm_policy_text),
    ("wireguard", "WireGuard (without private keys)", wireguard_text),
    ("sockets", "Sockets", _socket),
    ("qdiscs", "Queueing disciplines", _qdisc),
    ("sysctls", "Kernel settings", _named),
    ("counters", "Kernel counters", _named),
    ("conntrack_stats", "Connection tracking", _named),
)


def _section(title: str, found: object, show: Callable[[Any], str], why: str | None) -> list[str]:
    if found is None:
        return [f"## {title}", f"{UNREAD}: {why}" if why else UNREAD]
    entries: Iterable[Any] = sorted(found.items()) if isinstance(found, dict) else found  # type: ignore[assignment]
    lines = [show(entry) for entry in entries]
    return [f"## {title}", *lines] if lines else []

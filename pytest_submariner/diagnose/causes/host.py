"""Causes: what a node's kernel lets through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_submariner.dataplane.constants import VX_SUBMARINER, VXLAN_TUNNEL
from pytest_submariner.dataplane.sysctls import conf
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.spokes import carried_by, has_overlay
from pytest_submariner.model.filters import PacketFilter
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Node, Role

_NEARLY_FULL = 0.95
_NEW = ("--ctstate NEW", "--state NEW", "--syn", "SYN,RST,ACK SYN", "ct state new", "ct state { new")
"""How rules ask for the first packet of a connection."""


@dataclass(frozen=True)
class Limit:
    """A rule that refuses new connections by count or by chance; `packets` it dropped, `rise` while probes ran (None: not read)."""

    rule: str
    packets: int
    rise: int | None


@cause(
    "HOST_IP_FORWARD_OFF",
    title="A node does not forward packets",
    symptom="On a gateway: pods of the whole cluster reach no other cluster while the gateway's own processes do, and pods on it do not "
    "reach other nodes. On another node: its pods reach nothing outside of it.",
    mechanism="The kernel drops what is not addressed to the node when forwarding is off for the device it came in by "
    "(net.ipv4.ip_forward, which sets all devices, or net.ipv4.conf.DEVICE.forwarding).",
    evidence="The setting; IpInAddrErrors rises with each probe, IpForwDatagrams stands still.",
    remedy="`sysctl -w net.ipv4.ip_forward=1`, and persistently in /etc/sysctl.d; look for a hardening profile or daemon that "
    "clears it.",
    effects=(
        "CNI_INTRA_CLUSTER_BROKEN",
        "CNI_INGRESS_PATH_MISSING",
        "NF_FORWARD_DROP_GATEWAY",
        "NF_FORWARD_DROP_WORKER",
    ),
    sources=("Submariner release notes 0.15.3, 0.16.0", "Linux: Documentation/networking/ip-sysctl.rst"),
)
def host_ip_forward_off(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        off = _not_forwarding(sight)
        if not off or not has_overlay(sight.cluster):
            continue
        whole = sight.setting("net.ipv4.ip_forward") == "0"
        rise, forwarded = sight.rise("IpInAddrErrors"), sight.rise("IpForwDatagrams")
        yield Suspicion(
            sight.node,
            "sysctl net.ipv4.ip_forward" if whole else f"sysctl {conf(off[0], 'forwarding')}",
            (
                f"{sight.name}: net.ipv4.ip_forward={sight.setting('net.ipv4.ip_forward')}; does not forward what arrives by "
                f"{', '.join(off)}",
            ),
            carried_by(seen, sight.node) if off == [VX_SUBMARINER] else _forwarded_by(sight.node),
            traffic=(
                f"{sight.name}: IpInAddrErrors rose by {rise}, IpForwDatagrams by {forwarded or 0} while probes ran",
            )
            if rise
            else (),
            remedy=""
            if whole
            else f"On {sight.name}: " + ", ".join(f"`sysctl -w {conf(device, 'forwarding')}=1`" for device in off),
        )


@cause(
    "HOST_RPFILTER_STRICT_VX",
    title="The reverse-path filter of the gateway's vx-submariner is strict",
    symptom="All non-gateway nodes are cut off from other clusters; their packets arrive at the gateway's vx-submariner and vanish.",
    mechanism="Packets of other nodes' pods come in by vx-submariner and the way back to them is the CNI's, so a strict filter "
    "drops them. The route agent sets the device to loose when it makes it; the larger of `all` and the device's value counts.",
    evidence="Effective rp_filter 1; TcpExtIPReversePathFilter rises with each probe.",
    remedy="`sysctl -w net.ipv4.conf.vx-submariner.rp_filter=2` on the gateway; find what writes sysctls on link events (systemd-udevd, "
    "tuned, a hardening role).",
    sources=("submariner issue 2422", "Linux: Documentation/networking/ip-sysctl.rst"),
)
def host_rpfilter_strict_vx(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.gateways():
        every, own = sight.setting(conf("all", "rp_filter")), sight.setting(conf(VX_SUBMARINER, "rp_filter"))
        if sight.link(VX_SUBMARINER) is None or every is None or own is None or max(int(every), int(own)) != 1:
            continue
        rise = sight.rise("TcpExtIPReversePathFilter")
        yield Suspicion(
            sight.node,
            f"sysctl {conf(VX_SUBMARINER, 'rp_filter')}",
            (f"{sight.name}: rp_filter of {VX_SUBMARINER} is {own}, of all {every}: 1 (strict) is in effect",),
            carried_by(seen, sight.node),
            traffic=(f"{sight.name}: TcpExtIPReversePathFilter rose by {rise} while probes ran",) if rise else (),
        )


@cause(
    "HOST_CONNTRACK_FULL",
    title="A node refuses new connections by number",
    symptom="New connections through the node fail at random; established ones live on.",
    mechanism="When the connection table is full the kernel drops packets that would add an entry. A packet-filter rule that limits new "
    "connections, by count or by chance, does the same.",
    evidence="Entries near the limit and drop, early_drop or insert_failed rising; or such a rule, and its counter.",
    remedy="Raise net.netfilter.nf_conntrack_max, and find the source of connections (`conntrack -L | sort`); lift the limiting rule.",
    sources=("Linux: Documentation/networking/nf_conntrack-sysctl.rst",),
)
def host_conntrack_full(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        full, limits = _table_full(sight), _limits(sight)
        if full:
            everything = _forwarded_by(sight.node) | scope.at_node(sight.node)
            yield Suspicion(sight.node, "connection table", (full,), everything, latent=True)
        elif limits:
            state = tuple(_limit_text(sight, limit) for limit in limits)
            yield Suspicion(sight.node, "; ".join(x.rule for x in limits), state, _forwarded_by(sight.node))


def _not_forwarding(sight: NodeSight) -> list[str]:
    """Devices by which packets arrive that this node has to forward, and where it does not."""
    facts = sight.facts
    if facts is None:
        return []
    devices: Iterable[str | None] = (facts.underlay_device, facts.cni_device)
    if sight.node.role is Role.GATEWAY:
        devices = (*devices, VX_SUBMARINER, VXLAN_TUNNEL)
    present = {link.name for link in sight.before.links or ()}
    return [d for d in devices if d in present and d is not None and sight.setting(conf(d, "forwarding")) == "0"]


def _forwarded_by(node: Node) -> scope.Scope:
    """On an active gateway all that crosses but its own processes' traffic; on every node what its pods have with others."""

    def holds(flow: Flow) -> bool:
        if flow.is_status:
            return False
        ends = [(flow.source, flow.case.source.kind), (flow.target, flow.case.target.kind)]
        own = [kind for end, kind in ends if end == node]
        if own:
            # Between two pods of the node: those that a CNI routes and does not bridge, and what goes by a Service.
            return all(kind in (Kind.POD, Kind.SVC) for kind in own)
        return node.role is Role.GATEWAY and flow.crosses and any(end.cluster == node.cluster for end, _ in ends)

    return scope.Scope(f"whose packets {node.name} forwards", holds)


def _table_full(sight: NodeSight) -> str:
    """A sentence when it is, or refused entries while probes ran; else ""."""
    stats = sight.before.conntrack_stats or {}
    later = (sight.after.conntrack_stats if sight.after is not None else None) or {}
    count, limit = stats.get("count", 0), stats.get("max", 0)
    rises = {
        name: later[name] - stats.get(name, 0) for name in ("drop", "early_drop", "insert_failed") if name in later
    }
    if not limit or (count < _NEARLY_FULL * limit and not rises.get("drop") and not rises.get("early_drop")):
        return ""
    risen = ", ".join(f"{name} rose by {rise}" for name, rise in rises.items() if rise)
    return f"{sight.name}: {count} connections of {limit} at most" + (f"; {risen} while probes ran" if risen else "")


def _limits(sight: NodeSight) -> tuple[Limit, ...]:
    """Rules on the way of forwarded packets that refused some new connections and not others."""
    found = [
        Limit(f"{rule.table}/{rule.chain} {rule.text}", rule.packets or 0, sight.rises(rule))
        for filters in sight.before.packet_filters or ()
        for rule in filters.rules
        if rule.target in ("DROP", "REJECT") and _is_limit(rule.text) and rule.chain in _forwarding(filters, rule.table)
    ]
    found += [
        Limit(f"nft {table.family} {table.name} {chain.name} {rule.text}", rule.packets or 0, None)
        for table in sight.before.native_tables or ()
        for chain in table.chains
        for rule in chain.rules
        if rule.verdict in ("drop", "reject")
        and chain.hook in ("forward", "prerouting", "ingress")
        and _is_limit(rule.text)
    ]
    return tuple(limit for limit in found if limit.packets or limit.rise)


def _forwarding(filters: PacketFilter, table: str) -> frozenset[str]:
    """Chains that forwarded packets come to: by the hooks, and by jumps from there."""
    reached, asked = set[str](), ["FORWARD", "PREROUTING"]
    while asked:
        chain = asked.pop()
        if chain not in reached:
            reached.add(chain)
            asked += (rule.target for rule in filters.chain(table, chain))
    return frozenset(reached)


def _is_limit(text: str) -> bool:
    if any(word in text for word in ("-m connlimit", "ct count over")):
        return True
    by_chance = "-m statistic" in text or "numgen" in text
    return by_chance and any(word in text for word in _NEW)


def _limit_text(sight: NodeSight, limit: Limit) -> str:
    rise = f", {limit.rise} of them while probes ran" if limit.rise else ""
    return f"{sight.name}: `{limit.rule}` dropped {limit.packets + (limit.rise or 0)} packets{rise}"

"""What to tell the kernel about devices, routes and rules so that a node goes from one state to another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.lab import netlink
from pytest_submariner.lab.kernel import mac_of
from pytest_submariner.lab.netlink import Batch
from pytest_submariner.model.nodestate import Link, NodeState, Route, Rule

_INDEX: Final = {
    "eth0": netlink.ETH0,
    "cni0": netlink.CNI0,
    c.VX_SUBMARINER: netlink.VX_SUBMARINER,
    c.VXLAN_TUNNEL: netlink.VXLAN_TUNNEL,
}
_TABLE: Final = {"main": 254}
_PROTOCOL: Final = {"boot": 3, "static": 4}
"""rtnetlink.h: RTPROT_BOOT, RTPROT_STATIC."""
_SCOPE: Final = {"global": 0, "link": 253}
"""rtnetlink.h: RT_SCOPE_UNIVERSE, RT_SCOPE_LINK."""
LEFT_BEHIND: Final = Rule(int(c.CABLE_TABLE), c.CABLE_TABLE)
"""A gateway that loses its role keeps this rule; only Submariner's uninstall removes it."""


def change(old: NodeState, new: NodeState) -> Batch:
    """Messages that lead from `old` to `new`. A device that differs in anything, or whose addresses do, is removed
    and made anew, and with it go its routes and forwarding entries: as when a route agent sees its gateway move."""
    batch = Batch()
    renewed = _renewed_devices(old, new)
    for link in old.links or ():
        if link.name in renewed:
            batch.link_delete(_INDEX[link.name])
    _remove(batch, old, new, renewed)
    for link in new.links or ():
        if link.name in renewed:
            _add_link(batch, link, new)
    _add(batch, old, new, renewed)
    return batch


def neighbours(state: NodeState) -> Batch:
    """Permanent neighbours for the next hops on VXLAN devices. Every frame an active gateway sends on vx-submariner
    goes to all of its cluster's nodes, so a large lab's first ARP exchanges are a storm that costs some of them the
    answer, and a second."""
    batch = Batch()
    hops = {(route.device, route.gateway) for route in state.routes or () if route.gateway is not None}
    for device, ip in sorted(hops):
        if device in (c.VX_SUBMARINER, c.VXLAN_TUNNEL):
            batch.neighbour(_INDEX[device], ip, mac_of(ip))
    return batch


def build(state: NodeState) -> Batch:
    """Messages that make `state` where nothing of it exists."""
    return change(NodeState(state.node), state)


def clear_commands(state: NodeState) -> str:
    """Lines for `ip -force -batch -` which remove all that Submariner could have left, whatever its shape: devices
    by name, tables, rules. What is not there is no error with -force."""
    devices = [f"link del {name}" for name in (c.VX_SUBMARINER, c.VXLAN_TUNNEL)]
    tables = [f"route flush table {table}" for table in (c.CABLE_TABLE, c.HOST_NETWORK_TABLE)]
    rules = [f"rule del pref {table}" for table in (c.CABLE_TABLE, c.HOST_NETWORK_TABLE)]
    routes = [f"route del {subnet} table main" for subnet in sorted(_remote_subnets(state))]
    return "\n".join((*devices, *tables, *rules * _DUPLICATES, *routes, ""))


_DUPLICATES: Final = 4
"""`ip rule del` removes one of several equal rules at a time."""


def _remote_subnets(state: NodeState) -> Iterable[str]:
    return {route.destination for route in state.routes or () if route.protocol != "kernel"}


def _renewed_devices(old: NodeState, new: NodeState) -> set[str]:
    links = set(old.links or ()) ^ set(new.links or ())
    addresses = set(old.addresses or ()) ^ set(new.addresses or ())
    return {link.name for link in links} | {address.device for address in addresses}


def _remove(batch: Batch, old: NodeState, new: NodeState, renewed: set[str]) -> None:
    kept = {_route_key(route) for route in new.routes or ()}
    for route in old.routes or ():
        if route.device not in renewed and route.protocol != "kernel" and _route_key(route) not in kept:
            table, metric = _table(route), route.metric or None
            batch.route_delete(route.destination, device=_INDEX[route.device], table=table, metric=metric)
    for entry in old.fdb or ():
        if entry.device not in renewed and entry not in (new.fdb or ()):
            batch.fdb_delete(_INDEX[entry.device], entry.dst, entry.mac)
    for rule in old.rules or ():
        if rule not in (new.rules or ()):
            batch.rule_delete(rule.priority, int(rule.table))


def _add_link(batch: Batch, link: Link, state: NodeState) -> None:
    """The MAC is made of the address, so that a device made anew is still what its neighbours remember."""
    if link.vni is None or link.port is None:
        raise ValueError(f"{link.name} is not a VXLAN device: the lab knows no other of Submariner's")
    index = _INDEX[link.name]
    ip = next((address.ip for address in state.addresses or () if address.device == link.name), None)
    mac = None if ip is None else mac_of(ip)
    batch.link_vxlan(link.name, index, vni=link.vni, port=link.port, mtu=link.mtu, remote=link.remote, mac=mac)
    if link.up:
        batch.link_up(index)


def _add(batch: Batch, old: NodeState, new: NodeState, renewed: set[str]) -> None:
    implied = {(link.name, link.remote) for link in new.links or ()}
    for address in new.addresses or ():
        if address.device in renewed:
            batch.address(_INDEX[address.device], address.ip, address.prefix_length, broadcast=True)
    for entry in new.fdb or ():
        is_new = entry.device in renewed or entry not in (old.fdb or ())
        if is_new and (entry.device, entry.dst) not in implied:
            batch.fdb_append(_INDEX[entry.device], entry.dst, entry.mac)
    for route in new.routes or ():
        if route.protocol != "kernel" and (route.device in renewed or route not in (old.routes or ())):
            _add_route(batch, route)
    for rule in new.rules or ():
        if rule not in (old.rules or ()):
            batch.rule(rule.priority, int(rule.table))


def _add_route(batch: Batch, route: Route) -> None:
    batch.route(
        route.destination,
        device=_INDEX[route.device],
        gateway=route.gateway,
        source=route.source,
        table=_table(route),
        protocol=_PROTOCOL[route.protocol],
        scope=_SCOPE[route.scope],
        metric=route.metric or None,
    )


def _table(route: Route) -> int:
    return _TABLE.get(route.table) or int(route.table)


def _route_key(route: Route) -> tuple[str, str, int]:
    """What the kernel tells routes apart by; equal keys are replaced in place."""
    return route.table, route.destination, route.metric

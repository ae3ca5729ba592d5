"""Dumps of a node (the output of ip -j, bridge -j, iptables-save, ipset save, sysctl) as NodeState."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_submariner.model.nodestate import (
    Address,
    FdbEntry,
    IpSet,
    Link,
    NodeState,
    PacketFilter,
    PacketFilterRule,
    Route,
    Rule,
)

DEVICES = ("vx-submariner", "vxlan-tunnel")


def read(dump: Mapping[str, str], node: str) -> NodeState:
    """IPv4, unicast, without table local. Keys of `dump`: links, addresses, routes, rules, fdb-DEVICE, iptables,
    ipsets, sysctls."""
    sets: dict[str, tuple[str, list[str]]] = {}
    for line in dump["ipsets"].splitlines():
        verb, name, rest = line.split(" ", 2)
        if verb == "create":
            sets[name] = (rest.split()[0], [])
        else:
            sets[name][1].append(rest)
    return NodeState(
        node=node,
        links=tuple(_link(link) for link in json.loads(dump["links"])),
        addresses=tuple(
            Address(link["ifname"], address["local"], address["prefixlen"])
            for link in json.loads(dump["addresses"])
            for address in link["addr_info"]
            if address["family"] == "inet"
        ),
        fdb=tuple(
            FdbEntry(device, entry["mac"], entry["dst"], entry["state"])
            for device in DEVICES
            for entry in json.loads(dump.get(f"fdb-{device}") or "[]")
        ),
        routes=tuple(
            _route(route)
            for route in json.loads(dump["routes"])
            if ":" not in route["dst"] and route.get("table") != "local"
        ),
        rules=tuple(Rule(rule["priority"], rule["table"], rule["src"]) for rule in json.loads(dump["rules"])),
        packet_filters=(_packet_filter(dump["iptables"]),),
        ipsets=tuple(IpSet(name, kind, frozenset(members)) for name, (kind, members) in sets.items()),
        sysctls=dict(line.split(" = ", 1) for line in dump["sysctls"].splitlines()),
    )


def _link(link: dict[str, Any]) -> Link:
    info = link.get("linkinfo", {})
    data = info.get("info_data", {}) if info.get("info_kind") == "vxlan" else {}
    details = (data.get("id"), data.get("port"), data.get("remote"), data.get("learning"))
    return Link(link["ifname"], info.get("info_kind", ""), link["mtu"], "UP" in link["flags"], *details)


def _route(route: dict[str, Any]) -> Route:
    return Route(
        destination=route["dst"],
        device=route["dev"],
        table=route.get("table", "main"),
        gateway=route.get("gateway"),
        source=route.get("prefsrc"),
        metric=route.get("metric", 0),
        protocol=route.get("protocol", "boot"),
        scope=route.get("scope", "global"),
    )


def _packet_filter(text: str) -> PacketFilter:
    rules: list[PacketFilterRule] = []
    policies: dict[tuple[str, str], str] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            chain, policy, _ = line[1:].split()
            policies[table, chain] = policy
        elif line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            rules.append(PacketFilterRule(table, chain, rule))
    return PacketFilter(tuple(rules), policies)

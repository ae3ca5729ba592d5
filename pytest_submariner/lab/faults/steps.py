"""What faults are made of: steps that know how to undo themselves. Data; `injector` runs them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

Object = dict[str, Any]


class Place(StrEnum):
    """Where a step runs."""

    NODE = "node"
    """The node the fault is injected at."""
    GATEWAY = "gateway"
    """The active gateway of its cluster."""
    REMOTE_GATEWAY = "remote-gateway"
    """The active gateway of the first other cluster."""
    BOTH_GATEWAYS = "both-gateways"
    """The active gateways of its cluster and of the first other one."""
    CLUSTER = "cluster"
    """Every node of its cluster."""
    EVERY_NODE = "every-node"
    FABRIC = "fabric"
    """The network between nodes."""


@dataclass(frozen=True)
class Shell:
    """Commands of sh, with `Values` as variables; a command that fails ends the step. What `keep` prints before is
    $KEPT in `undo`; `keep` that prints nothing means that what the step works on is not there."""

    do: str
    undo: str
    keep: str = ""
    at: Place = Place.NODE


@dataclass(frozen=True)
class DeviceChanged:
    """Commands that change or remove a VXLAN device and with it its routes; undone by making all of it again."""

    device: str
    do: str
    at: Place = Place.NODE


class Whose(StrEnum):
    """The API an object is in."""

    OWN = "own"
    """That of the cluster the fault is in."""
    REMOTE = "remote"
    """That of the first other cluster."""
    BROKER = "broker"


@dataclass(frozen=True)
class ObjectChanged:
    """A merge patch of an object; undone by putting the changed parts of metadata, spec or status back. `path` and
    strings of the patch may use `Values` as $NAME. `takes`: path of an object that the
    lab's own parts remove because of it, and make again."""

    path: str
    patch: Object
    subresource: str = ""
    takes: str = ""
    whose: Whose = Whose.OWN


@dataclass(frozen=True)
class ObjectRemoved:
    """An object that should be there; undone by making it again, unless somebody has."""

    path: str


@dataclass(frozen=True)
class ObjectAdded:
    """An object that should not be there."""

    collection: str
    body: Object
    whose: Whose = Whose.OWN


@dataclass(frozen=True)
class EveryNamespace:
    """Objects in every namespace of users, those that are made later too, as a platform's template puts them there.
    `resource`: `networking.k8s.io/v1/networkpolicies`."""

    resource: str
    bodies: tuple[Object, ...]


@dataclass(frozen=True)
class Paused:
    """The processes of one of Submariner's pods on the node are stopped, and go on afterwards. `app`: the pod's label."""

    app: str


Step = Shell | DeviceChanged | ObjectChanged | ObjectRemoved | ObjectAdded | EveryNamespace | Paused


def sysctl(name: str, value: str, at: Place = Place.NODE) -> Shell:
    """`name` with slashes below /proc/sys, as device names may hold dots."""
    file = f"/proc/sys/{name}"
    return Shell(f"echo {value} > {file}", f"echo $KEPT > {file}", keep=f"cat {file}", at=at)


def rule_removed(table: str, chain: str, text: str, at: Place = Place.NODE) -> Shell:
    """The first iptables rule of a chain that contains `text`; undone at the same position."""
    find = f"iptables -t {table} -S {chain} | grep '^-A' | grep -nF -m1 -e \"{text}\""
    return Shell(
        do=f'found=$({find}); iptables -t {table} -D {chain} "${{found%%:*}}"',
        undo=f'rule=${{KEPT#*:-A {chain} }}; eval "iptables -t {table} -I {chain} ${{KEPT%%:*}} $rule" 2>/dev/null'
        f' || eval "iptables -t {table} -A {chain} $rule"',
        keep=find,
        at=at,
    )


def rule_replaced(table: str, chain: str, text: str, rule: str, at: Place = Place.NODE) -> Shell:
    """The first rule of a chain that contains `text` becomes `rule`, in its place."""
    find = f"iptables -t {table} -S {chain} | grep '^-A' | grep -nF -m1 -e \"{text}\""
    return Shell(
        do=f'found=$({find}); iptables -t {table} -R {chain} "${{found%%:*}}" {rule}',
        undo=f"iptables -t {table} -D {chain} {rule}; rule=${{KEPT#*:-A {chain} }};"
        f' eval "iptables -t {table} -I {chain} ${{KEPT%%:*}} $rule"',
        keep=find,
        at=at,
    )


def chain_removed(table: str, chain: str, at: Place = Place.NODE) -> Shell:
    """An iptables chain with its rules; nothing may jump there any more."""
    return Shell(
        do=f"iptables -t {table} -F {chain}; iptables -t {table} -X {chain}",
        undo=f'echo "$KEPT" | while read -r line; do eval "iptables -t {table} $line"; done',
        keep=f"iptables -t {table} -S {chain}",
        at=at,
    )


def rule_first(table: str, chain: str, rule: str, at: Place = Place.NODE, program: str = "iptables") -> Shell:
    """A rule before all others of a chain."""
    return Shell(f"{program} -t {table} -I {chain} 1 {rule}", f"{program} -t {table} -D {chain} {rule}", at=at)


def rule_last(table: str, chain: str, rule: str, program: str = "iptables") -> Shell:
    return Shell(f"{program} -t {table} -A {chain} {rule}", f"{program} -t {table} -D {chain} {rule}")


def policy_drop(chain: str) -> Shell:
    return Shell(f"iptables -P {chain} DROP", f"iptables -P {chain} ACCEPT")


def route_removed(route: str, at: Place = Place.NODE) -> Shell:
    """`route`: arguments of `ip route show` that select exactly one (`exact $RPOD table main`)."""
    table = route.partition(" table ")[2] or "main"
    return Shell(f"ip route del {route.removeprefix('exact ')}", _route_back(table), keep=_route_kept(route), at=at)


def route_replaced(route: str, new: str, at: Place = Place.NODE) -> Shell:
    """The one route that `route` selects becomes `new` (arguments of `ip route add`)."""
    table = route.partition(" table ")[2] or "main"
    remove = f"ip route del {route.removeprefix('exact ')}"
    return Shell(
        f"{remove}; ip route add {new}", f"ip route del {new}; {_route_back(table)}", keep=_route_kept(route), at=at
    )


def _route_kept(route: str) -> str:
    return f"ip route show {route} | sed 's/ linkdown//; s/ dead//'"


def _route_back(table: str) -> str:
    return f"ip route add $KEPT table {table}"


def forwarding_entry_removed(device: str, destination: str, at: Place = Place.NODE) -> Shell:
    """The default entry of a VXLAN device for one peer."""
    entry = f"{ZERO_MAC} dev {device} dst {destination} self"
    return Shell(f"bridge fdb del {entry}", f"bridge fdb append {entry} permanent", at=at)


def fabric_drops(match: str) -> Shell:
    """Frames between nodes; `match` as ebtables has it."""
    return Shell(f"ebtables -A FORWARD {match} -j DROP", f"ebtables -D FORWARD {match} -j DROP", at=Place.FABRIC)


def nft(name: str, family: str, hook: str, *rules: str, at: Place = Place.NODE) -> Shell:
    """A table of nftables of its own, with one chain. `hook`: `filter hook forward priority -5`; `rules` as nft has them."""
    table = f"{family} {name}-$NODE"
    commands = [f"add table {table}", f"add chain {table} packets {{ type {hook}; }}"]
    commands += [f"add rule {table} packets {rule}" for rule in rules]
    return Shell(f'nft "{"; ".join(commands)}"', f"nft delete table {table}", at=at)


def fabric_filter(name: str, *rules: str) -> Shell:
    """As `fabric_drops`, by nftables."""
    return nft(name, "bridge", "filter hook forward priority 0", *rules, at=Place.FABRIC)


def running(name: str, program: str, arguments: str = "", at: Place = Place.NODE) -> Shell:
    """A program in Python, without single quotes, that runs until the fault is healed. It calls `ready()` once what it does is
    done for the first time; `sys.argv[2:]` are the arguments."""
    pid = f"/run/{name}.pid"
    return Shell(
        f"rm -f {pid}\n"
        f"{PYTHON_PROGRAM} -c '{_READY}{program}' {pid} {arguments} < /dev/null > /dev/null 2>&1 &\n"
        f"for try in $(seq 200); do [ -s {pid} ] && break; sleep 0.05; done; kill -0 $(cat {pid})",
        f"kill $(cat {pid}); rm {pid}",
        at=at,
    )


def forget_neighbours(device: str, at: Place = Place.EVERY_NODE) -> Shell:
    """What nodes know of each other would hide a fault for minutes, and a repair for seconds."""
    flush = f"if [ -e /proc/sys/net/ipv4/conf/{device} ]; then ip neigh flush dev {device}; fi"
    return Shell(flush, flush, at=at)


_READY: Final = """import os, sys
def ready():
    with open(sys.argv[1], "w") as file:
        file.write(str(os.getpid()))
"""
PYTHON_PROGRAM: Final = "/run/toolset/python/bin/python3"
ZERO_MAC: Final = "00:00:00:00:00:00"
NO_SEGMENTATION: Final = Shell(
    "ip link set $UL gso_max_segs 1", "ip link set $UL gso_max_segs 65535", at=Place.EVERY_NODE
)
"""Frames of more than one segment pass every check of an MTU, as no wire would carry them."""
FORGET_OVERLAY: Final = forget_neighbours("vx-submariner")
FORGET_CABLE: Final = forget_neighbours("vxlan-tunnel")

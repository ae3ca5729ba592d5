"""Everything the kernel tells about a node's network, as text elements that can be compared one by one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from running_lab import RunningLab

Elements = dict[str, Counter[str]]
"""Part of the state -> its elements; equal ones are counted."""
_MARK = "=+= "


@dataclass(frozen=True)
class Attribute:
    """What may differ between two labs that are alike: the text that the group of `pattern` finds in elements of `part`."""

    part: str
    pattern: str
    why: str

    def blot(self, element: str) -> str:
        found = re.search(self.pattern, element)
        return element if found is None else f"{element[: found.start(1)]}…{element[found.end(1) :]}"


ATTRIBUTES = (
    Attribute("links", r" (?:ifindex|link_index|link_netnsid)=(.*)", "numbers given in the order of making"),
    Attribute("links", r" address=(.*)", "MAC addresses"),
    Attribute("links", r"_id=(.*)", "a bridge's number is made of its MAC"),
    Attribute("links", r"_timer=(.*)", "running timers"),
    Attribute("links", r"^cni0 tso_max_\w+=(.*)", "what a bridge keeps of pods it has had"),
    Attribute("ipsets", r" initval (\S+)", "seed of a hash table"),
    Attribute("sysctls", r"(?:_count|_key|stable_secret) = (.*)", "counters and secrets"),
)
"""The only differences that are no difference. Counters and handles are not read at all (iptables-save without -c)."""


def read_node(lab: RunningLab, node: str) -> Elements:
    """One command on the node; every part of PARTS, its attributes blotted out."""
    script = "; ".join(f"echo '{_MARK}{part}'; {command} 2>/dev/null" for part, (command, _) in PARTS.items())
    done = lab.run(node, "sh", "-c", f"{script}; true")
    assert done.returncode == 0, f"{node}: {done.stderr.decode()}"
    texts: dict[str, list[str]] = {}
    for line in done.stdout.decode().splitlines():
        if line.startswith(_MARK):
            texts[line.removeprefix(_MARK)] = []
        else:
            texts[next(reversed(texts))].append(line)
    return {part: Counter(blot(part, e) for e in elements(texts[part])) for part, (_, elements) in PARTS.items()}


def blot(part: str, element: str) -> str:
    for attribute in ATTRIBUTES:
        if attribute.part == part:
            element = attribute.blot(element)
    return element


def _json(lines: list[str]) -> list[dict[str, Any]]:
    return [item for line in lines if line.strip() for item in json.loads(line)]


def _links(lines: list[str]) -> Iterator[str]:
    for link in _json(lines):
        yield from (f"{link['ifname']} {key}={value}" for key, value in flat(link))


def _addresses(lines: list[str]) -> Iterator[str]:
    for link in _json(lines):
        yield from (f"{link['ifname']} {_text(address)}" for address in link["addr_info"])


def _objects(lines: list[str]) -> Iterator[str]:
    return map(_text, _json(lines))


def _packet_filter(lines: list[str]) -> Iterator[str]:
    """Policies and rules. In built-in chains each with its place, in Submariner's own without: there the order is that of the
    events about Endpoints."""
    table, places = "", Counter[str]()
    for line in lines:
        if line.startswith("*"):
            table, places = line[1:], Counter()
        elif line.startswith(":"):
            yield f"{table} {line.rpartition(' ')[0]}"
        elif line.startswith("-A "):
            chain = line.split()[1]
            places[chain] += 1
            place = "" if chain.startswith("SUBMARINER-") else f" #{places[chain]}"
            yield f"{table}{place} {line}"


def _lines(lines: list[str]) -> Iterator[str]:
    return (line for line in lines if line)


def _text(item: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in flat(item))


def flat(item: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Leaves of nested dicts as (dotted key, value), lists as they are, sorted by key."""
    for key, value in sorted(item.items()):
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


PARTS: dict[str, tuple[str, Callable[[list[str]], Iterator[str]]]] = {
    "links": ("ip -j -d link", _links),
    "addresses": ("ip -j addr", _addresses),
    "fdb": ("bridge -j fdb show", _objects),
    "routes": ("ip -j route show table all; ip -6 -j route show table all", _objects),
    "rules": ("ip -j rule; ip -6 -j rule", _objects),
    "packet filter": ("iptables-save", _packet_filter),
    "packet filter (legacy)": ("iptables-legacy-save", _packet_filter),
    "packet filter (IPv6)": ("ip6tables-save", _packet_filter),
    "ipsets": ("ipset save", _lines),
    "XFRM": ("ip xfrm policy; ip xfrm state", _lines),
    "sysctls": ("sysctl -a -r ^net[.]", _lines),
}
"""How each part is read, and its elements. Neighbours and connections are left out: they are made by traffic."""

"""nftables tables that are not iptables-nft's, from `nft -a -y list ruleset`.

The text and not the JSON form: people read rules as nft prints them, and one reading has both text and counters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from pytest_submariner.model.nodestate import NftChain, NftRule, NftTable
from pytest_submariner.nodestate.section import Section, Unreadable

RULESET = "nft -a -y list ruleset"  # handles end each rule, however many lines it takes; priorities are numbers
_TABLE = re.compile(r"table (?P<family>\w+) (?P<name>\S+) \{.*")
_BLOCK = re.compile(r"\t(?P<kind>\w+) (?P<name>\S+) \{.*")
_BASE = re.compile(
    r"type (?P<kind>\w+) hook (?P<hook>\w+)(?: devices?(?: =)? (?P<device>\{[^}]*\}|\S+))? "
    r"priority (?P<priority>-?\d+);(?: policy (?P<policy>\w+);)?"
)
_HANDLE = re.compile(r" # handle \d+$")
_COUNTER = re.compile(r"\bcounter packets (?P<packets>\d+) bytes (?P<octets>\d+)")
_NO_WORDS = re.compile(r'"[^"]*"|\{[^}]*\}')
"""Names, comments, and the elements of sets and maps."""
_VERDICTS = (
    *("accept", "drop", "reject", "queue", "return", "jump", "goto"),
    *("masquerade", "redirect", "snat", "dnat", "vmap"),
)
_IPTABLES_FAMILIES = frozenset({"ip", "ip6", "arp", "bridge"})
_IPTABLES_TABLES = frozenset({"filter", "nat", "mangle", "raw", "security", "broute"})
_IPTABLES_CHAINS = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", "BROUTING"})


def native_tables(section: Section) -> tuple[NftTable, ...]:
    """Tables in the kernel's order. Left out are those iptables-save prints: a table of iptables' name whose base chains
    all have iptables' names; with any other base chain in it, iptables-nft refuses to print it (nft_is_table_compatible)."""
    if section.error:
        raise Unreadable(section.error)
    return tuple(table for table in map(_table, _tables(section.text)) if not _is_of_iptables(table))


def _tables(text: str) -> Iterator[list[str]]:
    lines: list[str] = []
    for line in text.splitlines():
        if _TABLE.fullmatch(line):
            lines = [line]
        elif line == "}" and lines:
            yield lines
            lines = []
        elif lines:
            lines.append(line)


def _table(lines: list[str]) -> NftTable:
    head = _TABLE.fullmatch(lines[0])
    if head is None:
        raise Unreadable(f"nft prints no table in {lines[0]!r}")
    chains: list[NftChain] = []
    body: list[str] = []
    name: str | None = None
    for line in lines[1:]:
        block = _BLOCK.fullmatch(line)
        if block is not None:
            name, body = (block["name"] if block["kind"] == "chain" else None), []
        elif line == "\t}":
            if name is not None:
                chains.append(_chain(name, body))
            name = None
        else:
            body.append(line.strip())
    return NftTable(head["family"], head["name"], tuple(chains))


def _chain(name: str, body: list[str]) -> NftChain:
    base = next(filter(None, map(_BASE.match, body)), None)
    rules, text = [], ""
    for line in body:
        if not line or (not text and (_BASE.match(line) or line.startswith(("comment ", "flags ")))):
            continue
        text = f"{text} {line}".strip()
        if _HANDLE.search(text):
            rules.append(_rule(_HANDLE.sub("", text)))
            text = ""
    if base is None:
        return NftChain(name, tuple(rules))
    device = (
        " ".join(base["device"].strip("{} ").replace(",", " ").replace('"', "").split()) if base["device"] else None
    )
    return NftChain(name, tuple(rules), base["kind"], base["hook"], int(base["priority"]), base["policy"], device)


def _rule(text: str) -> NftRule:
    words = _NO_WORDS.sub("", text).split()
    # Statements come last; `type redirect` is a match of ICMP.
    decides = [word for before, word in pairwise(["", *words]) if word in _VERDICTS and before != "type"]
    counter = _COUNTER.search(text)
    return NftRule(
        text,
        decides[-1] if decides else "",
        int(counter["packets"]) if counter is not None else None,
        int(counter["octets"]) if counter is not None else None,
    )


def _is_of_iptables(table: NftTable) -> bool:
    hooked = {chain.name for chain in table.chains if chain.hook is not None}
    return table.family in _IPTABLES_FAMILIES and table.name in _IPTABLES_TABLES and hooked <= _IPTABLES_CHAINS

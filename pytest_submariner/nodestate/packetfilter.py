"""Rules with their counters, from iptables-save of either backend.

Legacy and nft rules are in force side by side; a node may have tools for one, for both, or only a plain
`iptables-save` that is one of them. Submariner picks its own when it starts (dataplane: the packet-filter backend may
differ from the host's).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_submariner.model.nodestate import PacketFilter, PacketFilterRule
from pytest_submariner.nodestate.section import Section, Unreadable

NFT = "iptables-nft-save -c"
LEGACY = "iptables-legacy-save -c"
PLAIN = "iptables-save -c"
_RULE = re.compile(r"(?:\[(?P<packets>\d+):(?P<octets>\d+)\] )?-A (?P<chain>\S+) ?(?P<text>.*)")


def parse(text: str, backend: str | None = None) -> PacketFilter:
    """What one iptables-save printed, with or without `-c`. `backend` None: as its first line says."""
    table, rules, policies = "", [], {}
    policy_packets: dict[tuple[str, str], int] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            chain, policy, *counters = line[1:].split()
            policies[table, chain] = policy
            if policy != "-" and counters:
                policy_packets[table, chain] = int(counters[0].strip("[").partition(":")[0])
        elif match := _RULE.fullmatch(line.strip()):
            packets, octets = match["packets"], match["octets"]
            rules.append(
                PacketFilterRule(
                    table,
                    match["chain"],
                    match["text"],
                    None if packets is None else int(packets),
                    None if octets is None else int(octets),
                )
            )
    return PacketFilter(tuple(rules), policies, backend or _backend(text), policy_packets)


def packet_filters(nft: Section, legacy: Section, plain: Section) -> tuple[tuple[PacketFilter, ...], dict[str, str]]:
    """The backends that have any table, and by backend the reason why one could not be read.

    Unreadable when none could be.
    """
    read = [(name, section) for name, section in (("nft", nft), ("legacy", legacy)) if not section.error]
    if not read and not plain.error:
        found = parse(plain.text)
        return ((found,) if found.policies else ()), {}
    if not read:
        raise Unreadable(nft.error if nft.error == legacy.error else f"{nft.error}; {legacy.error}")
    filters = (parse(section.text, name) for name, section in read)
    unread = {name: section.error for name, section in (("nft", nft), ("legacy", legacy)) if section.error}
    return tuple(f for f in filters if f.policies), unread


def find_rules(
    filters: Iterable[PacketFilter] | None, table: str, chain: str, *words: str
) -> tuple[PacketFilterRule, ...]:
    """Rules of a chain, in all backends, whose text has every one of `words`: `find_rules(f, "nat",
    "SUBMARINER-POSTROUTING", "-s 240.0.0.0/8", "-j SNAT")`."""
    return tuple(r for f in filters or () for r in f.chain(table, chain) if all(word in r.text for word in words))


def _backend(text: str) -> str:
    """`iptables-save v1.8.9 (nf_tables)`; versions before 1.8 knew no other than legacy and did not say so."""
    first = text.lstrip().split("\n", 1)[0]
    return "nft" if "(nf_tables)" in first or "xtables-save" in first else "legacy"

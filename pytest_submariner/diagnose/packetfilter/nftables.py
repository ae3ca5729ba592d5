"""Rules of native nftables tables, from the text `nft list ruleset` prints, as matches and a verdict.

The grammar is nft's (nft(8)); what is not read here (maps, payload expressions, named sets, limits) is a "may"."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from pytest_submariner.diagnose.packetfilter import matches as m
from pytest_submariner.diagnose.packetfilter.packet import Answer, every
from pytest_submariner.diagnose.packetfilter.rule import Match, Understood, may, never, unless
from pytest_submariner.model.filters import NftRule

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\{[^}]*\}|[^\s"{}]+')
_VERDICTS = {
    "accept": "ACCEPT",
    "drop": "DROP",
    "reject": "REJECT",
    "queue": "QUEUE",
    "return": "RETURN",
    "masquerade": "MASQUERADE",
    "snat": "SNAT",
    "dnat": "DNAT",
    "redirect": "REDIRECT",
    "vmap": "UNKNOWN",
}
_NO_IPV4 = frozenset({"ip6", "icmpv6", "arp", "ether", "vlan"})
_OPERATORS = frozenset({"==", "!=", "<", ">", "<=", ">="})
_SKIPPED = {
    "counter": 0,
    "packets": 1,
    "bytes": 1,
    "continue": 0,
    "flow": 2,
    "log": 0,
    "prefix": 1,
    "level": 1,
    "group": 1,
}
"""Words that decide nothing -> how many words belong to them."""
_FIELDS: dict[tuple[str, ...], Callable[..., Match]] = {
    ("ip", "saddr"): m.source_in,
    ("ip", "daddr"): m.destination_in,
    ("ip", "protocol"): m.protocol_is,
    ("meta", "l4proto"): m.protocol_is,
    ("iifname",): m.device_in,
    ("meta", "iifname"): m.device_in,
    ("iif",): m.device_in,
    ("meta", "iif"): m.device_in,
    ("oifname",): m.device_out,
    ("meta", "oifname"): m.device_out,
    ("oif",): m.device_out,
    ("meta", "oif"): m.device_out,
    ("th", "dport"): m.destination_port,
    ("th", "sport"): m.source_port,
    ("ct", "state"): m.state_in,
    ("icmp", "type"): m.icmp_type,
}
_OF_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})


@lru_cache(maxsize=65536)
def understand(rule: NftRule) -> Understood:
    words = _TOKEN.findall(rule.text)
    found: list[Match] = []
    verdict, to = "", ""
    marks: Callable[[int | None], int | None] | None = None
    i = 0
    while i < len(words):
        word = words[i]
        if word in ("jump", "goto") and i + 1 < len(words):
            verdict, to = word.upper(), words[i + 1]
            break
        if word in _VERDICTS:
            verdict = _VERDICTS[word]
            to = next((text.partition(":")[0] for text in words[i + 1 :] if "." in text), "")
            break
        if word == "comment":
            break
        if word in _SKIPPED:
            i += 1 + _SKIPPED[word]
        elif word in ("meta", "mark", "ct") and "set" in words[i : i + 3]:
            marks = _unknown if word != "ct" else marks
            i = words.index("set", i) + 2
        elif words[i : i + 4] == ["tcp", "option", "maxseg", "size"] and "set" in words[i : i + 5]:
            verdict = "TCPMSS"
            break
        elif words[i] in ("udp", "tcp", "ip") and words[i + 1 : i + 3] in (
            ["checksum", "set"],
            ["ttl", "set"],
            ["dscp", "set"],
        ):
            i += 4
        else:
            match, i = _match(words, i)
            found.append(match)
    return Understood(rule, tuple(found), verdict, to, marks)


def _match(words: list[str], at: int) -> tuple[Match, int]:
    """One relation: field, operator, value; and where the next begins."""
    if words[at] in _NO_IPV4:
        return never, len(words)
    if words[at] in _OF_PROTOCOLS and words[at + 1 : at + 2] in (["dport"], ["sport"]):
        port, end = _match(["th", *words[at + 1 :]], 0)
        return _of(words[at], port), at + end
    for length in (2, 1):
        make = _FIELDS.get(tuple(words[at : at + length]))
        if make is not None:
            return _relation(words, at + length, make)
    if words[at : at + 2] == ["meta", "nfproto"] and at + 2 < len(words):
        return (_always if words[at + 2] == "ipv4" else never), at + 3
    if words[at : at + 4] in (["fib", "daddr", "type", "local"], ["fib", "saddr", "type", "local"]):
        return m.destination_local() if words[at + 1] == "daddr" else m.source_local(), at + 4
    return may, at + 1


def _relation(words: list[str], at: int, make: Callable[..., Match]) -> tuple[Match, int]:
    is_negated = False
    if at < len(words) and words[at] in _OPERATORS:
        if words[at] not in ("==", "!="):
            return may, at + 2
        is_negated = words[at] == "!="
        at += 1
    if at >= len(words) or words[at] in ("vmap", "map", "and", "&", "."):
        return may, at + 1 if at < len(words) and words[at] == "." else at
    value = words[at]
    if value.startswith("@"):
        return may, at + 1
    texts = [text.strip().strip('"') for text in value.strip("{} ").split(",")]
    if any(":" in text for text in texts) or "." in texts:
        return may, at + 1
    return unless(is_negated, make(*texts)), at + 1


def _of(protocol: str, match: Match) -> Match:
    is_it = m.protocol_is(protocol)
    return lambda packet, known: every((is_it(packet, known), match(packet, known)))


def _always(packet: object, known: object) -> Answer:
    return Answer.YES


def _unknown(mark: int | None) -> int | None:
    return None

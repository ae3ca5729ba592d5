"""Rules of iptables-save, as matches and a verdict."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import lru_cache

from pytest_submariner.diagnose.packetfilter import matches as m
from pytest_submariner.diagnose.packetfilter.rule import ENDS, Match, Understood, may, negated, never, unless
from pytest_submariner.model.filters import PacketFilterRule

_HARMLESS = frozenset(
    {"comment", "tcp", "udp", "icmp", "conntrack", "state", "mark", "set", "addrtype", "multiport", "iprange"}
)
"""Extensions whose options are all of `_OPTIONS`, or ignored; any other extension makes its rule a "may"."""
_GO_ON = frozenset(
    {
        *(
            "AUDIT",
            "CHECKSUM",
            "CLASSIFY",
            "CONNMARK",
            "CONNSECMARK",
            "CT",
            "DSCP",
            "ECN",
            "HMARK",
            "IDLETIMER",
            "LED",
            "LOG",
        ),
        *(
            "MARK",
            "NFLOG",
            "NOTRACK",
            "RATEEST",
            "SECMARK",
            "SET",
            "TCPMSS",
            "TCPOPTSTRIP",
            "TEE",
            "TOS",
            "TRACE",
            "TTL",
            "ULOG",
        ),
    }
)
"""Targets after which the next rule is asked (iptables-extensions(8))."""
_MASKED = 0xFFFFFFFF


@lru_cache(maxsize=65536)
def understand(rule: PacketFilterRule) -> Understood:
    """A rule that cannot be split into words may match, and its verdict is UNKNOWN."""
    try:
        words = shlex.split(rule.text)
    except ValueError:
        return Understood(rule, (may,), "UNKNOWN")
    at = next((i for i, word in enumerate(words) if word in ("-j", "-g", "--jump", "--goto")), len(words))
    found = _matches(words[:at])
    if at + 1 >= len(words):
        return Understood(rule, found, "")
    target, options = words[at + 1], words[at + 2 :]
    if words[at] in ("-g", "--goto"):
        return Understood(rule, found, "GOTO", target)
    if target == "MARK":
        return Understood(rule, found, target, marks=_marks(options))
    if target == "CONNMARK" and "--restore-mark" in options:
        return Understood(rule, found, target, marks=lambda mark: None)
    if target == "NFQUEUE":
        return Understood(rule, found, "QUEUE")
    if target in ENDS or target == "RETURN" or target in _GO_ON:
        return Understood(rule, found, target, _translated_to(options))
    if target in ("TPROXY", "SYNPROXY", "MIRROR"):
        return Understood(rule, found, "UNKNOWN")
    return Understood(rule, found, "JUMP", target)


def _matches(words: list[str]) -> tuple[Match, ...]:
    found: list[Match] = []
    extension, is_negated = "", False
    i = 0
    while i < len(words):
        word = words[i]
        i += 1
        if word == "!":
            is_negated = True
            continue
        if word == "--comment":  # may look like an option
            i += 1
            continue
        values = []
        while i < len(words) and words[i] != "!" and not (words[i].startswith("-") and len(words[i]) > 1):
            values.append(words[i])
            i += 1
        if word in ("-m", "--match"):
            extension = values[0] if values else ""
            if extension not in _HARMLESS:
                found.append(may)
        elif word in ("-f", "--fragment"):
            found.append(unless(is_negated, never))
        else:
            found.append(unless(is_negated, _option(word, extension, values)))
        is_negated = False
    return tuple(found)


def _option(word: str, extension: str, values: list[str]) -> Match:
    if word == "--syn":
        return m.tcp_flags(("FIN", "SYN", "RST", "ACK"), ("SYN",))
    if not values:
        return may
    if word == "--mark":
        return _mark(values[0]) if extension == "mark" else may
    if word == "--match-set":
        return _member(values)
    if word in ("--dst-type", "--src-type"):
        return _local(word, values[0])
    if word == "--tcp-flags" and len(values) == 2:
        return m.tcp_flags(values[0].split(","), values[1].split(","))
    make = _OPTIONS.get(word)
    return make(*values[0].split(",")) if make is not None else may


_OPTIONS: dict[str, Callable[..., Match]] = {
    "-s": m.source_in,
    "--source": m.source_in,
    "-d": m.destination_in,
    "--destination": m.destination_in,
    "--src-range": m.source_in,
    "--dst-range": m.destination_in,
    "-i": m.device_in,
    "--in-interface": m.device_in,
    "-o": m.device_out,
    "--out-interface": m.device_out,
    "-p": m.protocol_is,
    "--protocol": m.protocol_is,
    "--dport": m.destination_port,
    "--destination-port": m.destination_port,
    "--dports": m.destination_port,
    "--sport": m.source_port,
    "--source-port": m.source_port,
    "--sports": m.source_port,
    "--ports": m.any_port,
    "--ctstate": m.state_in,
    "--state": m.state_in,
    "--icmp-type": m.icmp_type,
}


def _mark(text: str) -> Match:
    asked = _value_mask(text)
    return may if asked is None else m.mark_is(*asked)


def _member(values: list[str]) -> Match:
    """One direction per dimension; with more than one dimension a set asks for more than addresses."""
    directions = values[1].split(",") if len(values) > 1 else []
    if directions == ["src"]:
        return m.source_member(values[0])
    return m.destination_member(values[0]) if directions == ["dst"] else may


def _local(word: str, kinds: str) -> Match:
    local = m.destination_local() if word == "--dst-type" else m.source_local()
    if kinds == "LOCAL":
        return local
    return negated(local) if kinds == "UNICAST" else may


def _marks(options: list[str]) -> Callable[[int | None], int | None]:
    """iptables-save prints every form as `--set-xmark VALUE/MASK`: clear the bits of the mask, then xor."""
    asked = _value_mask(options[1]) if len(options) == 2 else None
    if asked is not None and options[0] in ("--set-xmark", "--set-mark"):
        value, mask = asked
        if options[0] == "--set-xmark":
            return lambda mark: None if mark is None else (mark & ~mask & _MASKED) ^ value
        return lambda mark: None if mark is None else (mark & ~mask & _MASKED) | value
    return lambda mark: None


def _value_mask(text: str) -> tuple[int, int] | None:
    value, _, mask = text.partition("/")
    try:
        return int(value, 0), int(mask, 0) if mask else _MASKED
    except ValueError:
        return None


def _translated_to(options: list[str]) -> str:
    for name in ("--to-source", "--to-destination", "--to", "--to-ports"):
        if name in options[:-1]:
            return options[options.index(name) + 1]
    return ""

"""XFRM states and policies, WireGuard devices and their peers. Keys never leave the node: what prints them is told not
to, or cut before it travels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from pytest_submariner.model.nodestate import WireGuardDevice, WireGuardPeer, XfrmPolicy, XfrmState, XfrmTemplate
from pytest_submariner.nodestate.section import Section, Unreadable

STATES = "ip -s xfrm state list nokeys"  # iproute2 before 5.1 does not know nokeys: then nothing is read
POLICIES = "ip xfrm policy list"
# A device's line has five fields, the second its private key; a peer's has nine, the third its preshared key.
WIREGUARD = (
    'sh -c \'d=$(wg show all dump) || exit; [ -n "$d" ] || exit 0; '
    'printf "%s\\n" "$d" | while read -r i a b c d e f g h; do '
    'if [ -n "$e" ]; then echo "$i $a $c $d $e $f $g"; else echo "$i $b $c"; fi; done\''
)
_OCTETS = re.compile(r"(\d+)\(bytes\), (\d+)\(packets\)")


def xfrm_states(section: Section) -> tuple[XfrmState, ...]:
    return tuple(map(_state, _blocks(section)))


def xfrm_policies(section: Section) -> tuple[XfrmPolicy, ...]:
    """Policies that select packets; those of sockets (`socket in`, `socket out`) are left out."""
    return tuple(_policy(block) for block in _blocks(section) if _after(block, "dir") in ("in", "out", "fwd"))


def wireguard(section: Section) -> tuple[WireGuardDevice, ...]:
    if section.error:
        raise Unreadable(section.error)
    devices: dict[str, tuple[str, int]] = {}
    peers: dict[str, list[WireGuardPeer]] = {}
    for words in map(str.split, section.text.splitlines()):
        if len(words) == 3:
            devices[words[0]] = words[1], int(words[2])
        elif len(words) == 7:
            peers.setdefault(words[0], []).append(_peer(words[1:]))
    return tuple(WireGuardDevice(name, *facts, tuple(peers.get(name, ()))) for name, facts in devices.items())


def _peer(words: list[str]) -> WireGuardPeer:
    key, endpoint, allowed, handshake, received, sent = words
    return WireGuardPeer(
        key,
        None if endpoint == "(none)" else endpoint,
        () if allowed == "(none)" else tuple(allowed.split(",")),
        int(handshake) or None,
        int(received),
        int(sent),
    )


def _blocks(section: Section) -> Iterator[list[str]]:
    """The words of each entry: it begins at the start of a line with `src`, what follows is indented."""
    if section.error:
        raise Unreadable(section.error)
    block: list[str] = []
    for line in section.text.splitlines():
        if line.startswith("src ") and block:
            yield block
            block = []
        block += line.split()
    if block:
        yield block


def _after(words: list[str], key: str, default: str = "") -> str:
    return words[words.index(key) + 1] if key in words[:-1] else default


def _state(words: list[str]) -> XfrmState:
    encap = words.index("encap") if "encap" in words else None
    lifetime = _OCTETS.search(" ".join(words).partition("lifetime current:")[2])
    return XfrmState(
        source=_after(words, "src"),
        destination=_after(words, "dst"),
        protocol=_after(words, "proto"),
        spi=_after(words, "spi").partition("(")[0],
        mode=_after(words, "mode"),
        reqid=int(_after(words, "reqid", "0").partition("(")[0]),
        encapsulation=" ".join((words[encap + 2], words[encap + 4], words[encap + 6])) if encap is not None else None,
        packets=int(lifetime[2]) if lifetime else None,
        octets=int(lifetime[1]) if lifetime else None,
    )


def _policy(words: list[str]) -> XfrmPolicy:
    starts = [at for at, word in enumerate(words) if word == "tmpl"]
    templates = (words[start:end] for start, end in pairwise([*starts, len(words)]))
    return XfrmPolicy(
        source=_after(words, "src"),
        destination=_after(words, "dst"),
        direction=_after(words, "dir"),
        priority=int(_after(words, "priority", "0")),
        action="block" if _after(words, "action") == "block" else "allow",
        templates=tuple(
            XfrmTemplate(
                _after(t, "src"), _after(t, "dst"), _after(t, "proto"), _after(t, "mode"), int(_after(t, "reqid", "0"))
            )
            for t in templates
        ),
    )

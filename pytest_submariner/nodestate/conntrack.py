"""Connections as the kernel tracks them: what a packet looked like before and after address translation.

The original direction of an entry has the source the sender chose; the reply direction is addressed to what the source
was rewritten to. For the ping of submariner issue 3134: `src=240.18.0.3 dst=240.18.0.2 … src=240.18.0.2 dst=10.8.1.1`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_submariner.model.nodestate import Unanswered
from pytest_submariner.nodestate.section import Section, Unreadable, read_sections
from pytest_submariner.transport.node import NodeExec

# Neither needs the other: the file wants CONFIG_NF_CONNTRACK_PROCFS, the program a package; both print the same words.
_COMMANDS = {"file": "cat /proc/net/nf_conntrack", "program": "conntrack -L -o extended"}

# The file of sums wants CONFIG_NF_CONNTRACK_PROCFS; the two numbers are there wherever connections are tracked.
STATS = (
    "sh -c 'cat /proc/sys/net/netfilter/nf_conntrack_count /proc/sys/net/netfilter/nf_conntrack_max || exit 1; "
    "cat /proc/net/stat/nf_conntrack 2>/dev/null; :'"
)


# Of Submariner's tunnel addresses only: a busy node has tens of thousands of others.
UNANSWERED = (
    "sh -c 'if [ -r /proc/net/nf_conntrack ]; then cat /proc/net/nf_conntrack; else conntrack -L -o extended; fi "
    '| grep -F "[UNREPLIED]" | grep -E "=24[01][.]" | head -n 200; '
    "[ -r /proc/net/nf_conntrack ] || command -v conntrack > /dev/null'"
)


@dataclass(frozen=True)
class Flow:
    """One direction. Ports are None for ICMP; `icmp_id` and `icmp_type` are None for others."""

    source: str
    destination: str
    source_port: int | None = None
    destination_port: int | None = None
    icmp_id: int | None = None
    icmp_type: int | None = None


@dataclass(frozen=True)
class Tracked:
    """A connection. `has_reply` is whether a packet came back."""

    protocol: str
    original: Flow
    reply: Flow
    has_reply: bool

    @property
    def rewritten_source(self) -> str | None:
        """The source after translation, None where it was left alone."""
        return self.reply.destination if self.reply.destination != self.original.source else None


def connections(
    node: NodeExec, *, protocol: str | None = None, source: str | None = None, destination: str | None = None
) -> tuple[Tracked, ...]:
    """IPv4 connections tracked in the node's network namespace, filtered by their original direction.

    Unreadable when the node offers neither way of reading them.
    """
    sections = read_sections(node, _COMMANDS)
    section = next((s for s in sections.values() if not s.error), None)
    if section is None:
        raise Unreadable("; ".join(f"{_COMMANDS[name].split()[0]}: {s.error}" for name, s in sections.items()))
    return tuple(
        t
        for t in map(parse_line, section.text.splitlines())
        if t is not None
        and protocol in (None, t.protocol)
        and source in (None, t.original.source)
        and destination in (None, t.original.destination)
    )


def parse_line(line: str) -> Tracked | None:
    """One line of either; None for what is not an IPv4 connection."""
    words = line.split()
    if len(words) < 4 or words[0] != "ipv4":
        return None
    directions: list[dict[str, str]] = []
    for word in words[4:]:
        key, separator, value = word.partition("=")
        if separator and key == "src":
            directions.append({})
        if separator and directions:
            directions[-1].setdefault(key, value)
    if len(directions) != 2:
        return None
    return Tracked(words[2], _flow(directions[0]), _flow(directions[1]), "[UNREPLIED]" not in words)


def stats(section: Section) -> dict[str, int]:
    """`count` and `max` entries, and every sum over all processors the kernel keeps: `drop` (table full), `early_drop`,
    `insert_failed`, `invalid`, …"""
    if section.error:
        raise Unreadable(section.error)
    count, limit, *rest = section.text.split("\n", 3)
    found = {"count": int(count), "max": int(limit)}
    header, *rows = "\n".join(rest).splitlines() or [""]
    for at, name in enumerate(header.split()):
        if name != "entries":  # the same for each processor: no sum
            found[name] = sum(int(row.split()[at], 16) for row in rows)
    return found


def unanswered(section: Section) -> tuple[Unanswered, ...]:
    """Of either way of reading, in the kernel's order; the remaining seconds are the fifth word."""
    if section.error:
        raise Unreadable(section.error)
    found = []
    for line in section.text.splitlines():
        tracked, words = parse_line(line), line.split()
        if tracked is not None and not tracked.has_reply and words[4].isdigit():
            asked, answer = tracked.original, tracked.reply
            ports = (asked.source_port, asked.destination_port)
            found.append(
                Unanswered(tracked.protocol, asked.source, asked.destination, *ports, answer.destination, int(words[4]))
            )
    return tuple(found)


def _flow(fields: dict[str, str]) -> Flow:
    def number(key: str) -> int | None:
        return int(fields[key]) if key in fields else None

    return Flow(fields["src"], fields["dst"], number("sport"), number("dport"), number("id"), number("type"))

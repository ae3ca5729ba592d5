"""What the kernel counted, and the node's name and clock, from files below /proc."""

from __future__ import annotations

from itertools import pairwise

from pytest_submariner.nodestate.section import Section, Unreadable

COUNTERS = "cat /proc/net/snmp /proc/net/netstat"
HOSTNAME = "cat /proc/sys/kernel/hostname"
CLOCK = "date +%s.%N"


def counters(section: Section) -> dict[str, int]:
    """By nstat's names: `IpInAddrErrors`, `UdpNoPorts`, `TcpExtIPReversePathFilter` (packets the reverse-path filter
    dropped), since boot."""
    if section.error:
        raise Unreadable(section.error)
    lines = section.text.splitlines()
    found: dict[str, int] = {}
    for names, values in pairwise(lines):
        prefix, _, header = names.partition(":")
        other, _, numbers = values.partition(":")
        if prefix == other and not header.split()[0].lstrip("-").isdigit():
            found |= {prefix + name: int(number) for name, number in zip(header.split(), numbers.split(), strict=True)}
    return found


def hostname(section: Section) -> str:
    if section.error:
        raise Unreadable(section.error)
    return section.text.strip()


def clock_s(section: Section) -> float:
    """Unix seconds; whole ones where `date` has no %N (busybox)."""
    seconds, _, fraction = section.text.strip().partition(".")
    if section.error or not seconds.isdigit():
        raise Unreadable(section.error or f"date prints {section.text.strip()!r}")
    return float(f"{seconds}.{fraction}") if fraction.isdigit() else float(seconds)

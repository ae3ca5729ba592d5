"""ipsets and their members, from `ipset save`."""

from __future__ import annotations

from pytest_submariner.model.nodestate import IpSet
from pytest_submariner.nodestate.section import Section, Unreadable

IPSETS = "ipset save"


def ipsets(section: Section) -> tuple[IpSet, ...]:
    """Sets in the order they were made; members without their options."""
    if section.error:
        raise Unreadable(section.error)
    types: dict[str, str] = {}
    members: dict[str, set[str]] = {}
    for line in section.text.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == "create":
            types[words[1]] = words[2]
            members[words[1]] = set()
        elif len(words) >= 3 and words[0] == "add":
            members.setdefault(words[1], set()).add(words[2])
    return tuple(IpSet(name, kind, frozenset(members[name])) for name, kind in types.items())

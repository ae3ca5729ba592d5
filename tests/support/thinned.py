"""A node state with one element left out, for every element there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_submariner.model.nodestate import IpSet, NodeState


def without_each_element(state: NodeState) -> Iterator[tuple[str, NodeState]]:
    """(part and element left out, the state without it) for every single element, chains, set members and all."""
    for part in ("links", "addresses", "fdb", "routes", "rules", "ipsets"):
        items = getattr(state, part)
        for index, item in enumerate(items):
            what = f"{item.name} and all its members" if isinstance(item, IpSet) else item
            yield f"{part} {what}", replace(state, **{part: items[:index] + items[index + 1 :]})
    for index, ipset in enumerate(state.ipsets or ()):
        for member in sorted(ipset.members):
            sets = list(state.ipsets or ())
            sets[index] = replace(ipset, members=ipset.members - {member})
            yield f"ipsets {ipset.name} {member}", replace(state, ipsets=tuple(sets))
    (firewall,) = state.packet_filters or ()
    for index, rule in enumerate(firewall.rules):
        left = replace(firewall, rules=firewall.rules[:index] + firewall.rules[index + 1 :])
        yield f"{rule.table} -A {rule.chain} {rule.text}", replace(state, packet_filters=(left,))
    for chain in firewall.policies:
        left = replace(firewall, policies={k: v for k, v in firewall.policies.items() if k != chain})
        yield f"chain {chain}", replace(state, packet_filters=(left,))
    for key in state.sysctls or {}:
        left_sysctls = {k: v for k, v in (state.sysctls or {}).items() if k != key}
        yield f"sysctl {key}", replace(state, sysctls=left_sysctls)

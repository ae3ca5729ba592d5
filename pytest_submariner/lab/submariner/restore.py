"""Text for `iptables-restore --noflush` and `ipset restore -exist` which makes Submariner's chains and sets, and
nobody else's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_submariner.dataplane import constants as c
from pytest_submariner.model.nodestate import IpSet, NodeState

Jumps = Mapping[tuple[str, str, str], int]
"""How many copies of each jump of `constants.HOOKS` (table, chain, text) a node has."""


def iptables_text(state: NodeState, *, jumps: Jumps | None) -> str:
    """Own chains emptied and filled. `jumps`: those the node has now are removed and one of each is put into its
    place; with None jumps are left alone. Each table is one transaction, so no packet meets a chain half made."""
    lines: list[str] = []
    rules = [rule for state_filter in state.packet_filters or () for rule in state_filter.rules]
    for table in dict.fromkeys(table for table, _ in c.OWN_CHAINS):
        lines.append(f"*{table}")
        lines += (f":{chain} - [0:0]" for own, chain in c.OWN_CHAINS if own == table)
        lines += () if jumps is None else _jumps(table, jumps)
        lines += (f"-A {rule.chain} {rule.text}" for rule in rules if (rule.table, rule.chain) in _own(table))
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"


def _own(table: str) -> frozenset[tuple[str, str]]:
    return frozenset(chain for chain in c.OWN_CHAINS if chain[0] == table)


def _jumps(table: str, present: Jumps) -> Iterator[str]:
    for hooked, chain, text, position in c.HOOKS:
        if hooked != table:
            continue
        for _ in range(present.get((hooked, chain, text), 0)):
            yield f"-D {chain} {text}"
        yield f"-I {chain} 1 {text}" if position is c.Position.FIRST else f"-A {chain} {text}"


def count_jumps(saved: str) -> Jumps:
    """Jumps found in the output of iptables-save."""
    wanted = {(table, chain, text) for table, chain, text, _ in c.HOOKS}
    found: dict[tuple[str, str, str], int] = {}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A "):
            _, chain, text = line.split(" ", 2)
            if (key := (table, chain, text)) in wanted:
                found[key] = found.get(key, 0) + 1
    return found


def ipset_text(state: NodeState) -> str:
    """Sets made where absent, emptied and filled."""
    return "".join(f"{line}\n" for ipset in state.ipsets or () for line in _ipset(ipset))


def _ipset(ipset: IpSet) -> Iterator[str]:
    yield f"create {ipset.name} {ipset.type} family inet hashsize 1024 maxelem 65536"
    yield f"flush {ipset.name}"
    yield from (f"add {ipset.name} {member}" for member in sorted(ipset.members))

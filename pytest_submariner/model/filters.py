"""What decides about packets on a node, as plain data: iptables, native nftables, ipsets."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PacketFilterRule:
    """A rule of iptables-save: `text` is all after `-A CHAIN `. Counters are None where they were not read and never compared."""

    table: str
    chain: str
    text: str
    packets: int | None = field(default=None, compare=False)
    octets: int | None = field(default=None, compare=False)

    @property
    def target(self) -> str:
        """What it jumps or goes to: ACCEPT, SNAT, a chain; empty for a rule that only counts or matches."""
        words = self.text.split()
        return next((words[i + 1] for i, word in enumerate(words[:-1]) if word in ("-j", "-g")), "")


@dataclass(frozen=True)
class PacketFilter:
    """The rules of one backend (`legacy` or `nft`) in order, and chain policies by (table, chain); a user chain's policy is `-`.
    `policy_packets`: how many packets met a built-in chain's policy, where it was read."""

    rules: tuple[PacketFilterRule, ...]
    policies: dict[tuple[str, str], str] = field(default_factory=dict)
    backend: str = "nft"
    policy_packets: dict[tuple[str, str], int] = field(default_factory=dict, compare=False)

    def chain(self, table: str, chain: str) -> tuple[PacketFilterRule, ...]:
        """Rules of a chain in order; empty when the chain is absent."""
        return tuple(r for r in self.rules if (r.table, r.chain) == (table, chain))


@dataclass(frozen=True)
class IpSet:
    """An ipset and its members."""

    name: str
    type: str
    members: frozenset[str]


@dataclass(frozen=True)
class NftRule:
    """A rule of a native nftables table. `text` is as `nft list ruleset` prints it, counters included.

    `verdict` is what the rule does to a packet that matches all of it: accept, drop, reject, queue, return, jump, goto,
    masquerade, redirect, snat, dnat, `vmap` (one of a map), or empty when it decides nothing. `packets` and `octets` are
    None for a rule without a counter.
    """

    text: str
    verdict: str = ""
    packets: int | None = field(default=None, compare=False)
    octets: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class NftChain:
    """A chain with its rules in order. The four of a base chain are None for others; `policy` is accept or drop, `priority`
    the number, `device` names a device (several: with blanks) for the hooks ingress and egress."""

    name: str
    rules: tuple[NftRule, ...] = ()
    kind: str | None = None
    hook: str | None = None
    priority: int | None = None
    policy: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class NftTable:
    """A table that was not made by iptables-nft. `family` is ip, ip6, inet, arp, bridge or netdev."""

    family: str
    name: str
    chains: tuple[NftChain, ...] = ()

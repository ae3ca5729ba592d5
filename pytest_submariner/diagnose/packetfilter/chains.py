"""Chains of a node in the order the kernel asks them, and the walk of a packet through one.

Base chains of one hook are independent: each backend and each native table may drop what the others accept (nft(8)). For NAT
the first chain that translates decides; one that accepts leaves it to the next (kernel: net/netfilter/nf_nat_core.c)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pytest_submariner.diagnose.packetfilter import iptables, nftables
from pytest_submariner.diagnose.packetfilter.addresses import Known
from pytest_submariner.diagnose.packetfilter.packet import Answer, Hook, Packet
from pytest_submariner.diagnose.packetfilter.rule import ENDS, Understood
from pytest_submariner.model.filters import NftChain, NftRule, NftTable, PacketFilter, PacketFilterRule
from pytest_submariner.model.nodestate import NodeState

_DEEPEST: Final = 16
_PRIORITIES: Final = {"raw": -300, "mangle": -150, "nat": 100, "filter": 0, "security": 50}
_HOOKS: Final = frozenset(hook.value for hook in Hook)
_FAMILIES: Final = frozenset({"ip", "inet", "netdev"})


@dataclass(frozen=True)
class Step:
    """What one rule, or a chain's policy (`rule` None), does with a packet. `sure`: it matches, and nothing before it may have
    ended the walk. `verdict` as `Understood` has it. `backend` is nft or legacy for iptables, "" for a native table."""

    verdict: str
    sure: bool
    table: str
    chain: str
    rule: PacketFilterRule | NftRule | None
    to: str = ""
    backend: str = ""

    @property
    def text(self) -> str:
        return f"policy {self.verdict}" if self.rule is None else self.rule.text

    @property
    def place(self) -> str:
        """`filter/FORWARD`, `inet firewall/forward`."""
        return f"{self.table}/{self.chain}"

    @property
    def packets(self) -> int | None:
        return None if self.rule is None else self.rule.packets

    def __str__(self) -> str:
        told = f" in iptables-{self.backend}" if self.backend else " in nftables"
        return f"{self.place}{told}: {self.text}"


@dataclass(frozen=True)
class BaseChain:
    """A chain the kernel asks at a hook, with the chains of its table it can jump to. `kind`: filter, nat, route."""

    hook: Hook
    priority: int
    kind: str
    table: str
    name: str
    policy: str
    chains: Mapping[str, tuple[Understood, ...]]
    device: str = ""
    backend: str = ""


def base_chains(state: NodeState) -> tuple[BaseChain, ...]:
    """Of both iptables backends and all native tables that see IPv4, by hook and priority; empty when none was read."""
    found = [chain for filters in state.packet_filters or () for chain in _iptables(filters)]
    found += [chain for table in state.native_tables or () for chain in _native(table)]
    return tuple(sorted(found, key=lambda chain: chain.priority))


def _iptables(filters: PacketFilter) -> Iterator[BaseChain]:
    tables: dict[str, dict[str, list[PacketFilterRule]]] = {}
    for rule in filters.rules:
        tables.setdefault(rule.table, {}).setdefault(rule.chain, []).append(rule)
    for table, chain in filters.policies:
        tables.setdefault(table, {}).setdefault(chain, [])
    understood = {
        table: {name: tuple(map(iptables.understand, rules)) for name, rules in chains.items()}
        for table, chains in tables.items()
    }
    for (table, chain), policy in filters.policies.items():
        if policy == "-" or chain.lower() not in _HOOKS:
            continue
        hook = Hook(chain.lower())
        early = table == "nat" and hook in (Hook.PREROUTING, Hook.OUTPUT)
        yield BaseChain(
            hook,
            -100 if early else _PRIORITIES.get(table, 0),
            "nat" if table == "nat" else "filter",
            table,
            chain,
            policy,
            understood[table],
            backend=filters.backend,
        )


def _native(table: NftTable) -> Iterator[BaseChain]:
    if table.family not in _FAMILIES:
        return
    understood: dict[str, tuple[Understood, ...]] | None = None
    for chain in table.chains:
        if chain.hook is None or chain.hook not in _HOOKS:
            continue
        if understood is None:
            understood = {each.name: tuple(map(nftables.understand, each.rules)) for each in table.chains}
        yield _native_base(table, chain, understood)


def _native_base(table: NftTable, chain: NftChain, understood: Mapping[str, tuple[Understood, ...]]) -> BaseChain:
    return BaseChain(
        Hook(chain.hook or ""),
        chain.priority or 0,
        chain.kind or "filter",
        f"{table.family} {table.name}",
        chain.name,
        (chain.policy or "accept").upper(),
        understood,
        device=chain.device or "",
    )


class Walk:
    """One packet's way through one base chain: `steps` in order, those that go on to the next rule too (jumps, marks); `mark` as it is
    afterwards. The walk ends at the first verdict that is sure, or at the policy."""

    def __init__(self, chain: BaseChain, packet: Packet, known: Known) -> None:
        self.steps: list[Step] = []
        self._packet = packet
        self._base, self._known = chain, known
        ended = self._rules(chain.name, 0, sure=True)
        if ended is not Answer.YES:
            self._say(chain.policy, chain.name, None, sure=ended is Answer.NO)

    @property
    def end(self) -> Step:
        """The last step: what becomes of the packet at the latest."""
        return self.steps[-1]

    @property
    def mark(self) -> int | None:
        return self._packet.mark

    def _say(self, verdict: str, chain: str, rule: Understood | None, *, sure: bool) -> None:
        base = self._base
        source, to = (rule.source, rule.to) if rule is not None else (None, "")
        self.steps.append(Step(verdict, sure, base.table, chain, source, to, base.backend))

    def _rules(self, name: str, depth: int, *, sure: bool) -> Answer:
        """Whether the walk ended in this chain. `sure`: that it comes here. After what may have ended it nothing is sure any more;
        after what may have returned, the rest of this chain is not."""
        ended, returned = Answer.NO, Answer.NO
        for rule in self._base.chains.get(name, ()):
            matched = rule.answer(self._packet, self._known)
            if matched is Answer.NO or not rule.verdict:
                continue
            here = sure and ended is Answer.NO and returned is Answer.NO
            verdict = rule.verdict
            if verdict == "RETURN":
                if matched is Answer.YES:
                    break
                returned = Answer.MAY
                continue
            if verdict in ("JUMP", "GOTO"):
                ends = self._jump(rule, name, depth, sure=here, matched=matched)
            else:
                self._say(verdict, name, rule, sure=here and matched is Answer.YES)
                ends = (
                    min(matched, Answer.MAY if verdict == "UNKNOWN" else Answer.YES) if verdict in ENDS else Answer.NO
                )
                if rule.marks is not None:
                    self._packet = self._packet.with_mark(
                        rule.marks(self._packet.mark) if matched is Answer.YES else None
                    )
            if ends is Answer.YES:
                return ~returned
            ended = max(ended, ends)
            if verdict == "GOTO" and matched is Answer.YES:
                break
        return ended

    def _jump(self, rule: Understood, name: str, depth: int, *, sure: bool, matched: Answer) -> Answer:
        self._say(rule.verdict, name, rule, sure=sure and matched is Answer.YES)
        if rule.to not in self._base.chains or depth >= _DEEPEST:
            # The target of an extension that is not known here.
            self._say("UNKNOWN", name, rule, sure=False)
            return Answer.MAY
        mark = self._packet.mark
        ended = self._rules(rule.to, depth + 1, sure=sure and matched is Answer.YES)
        if matched is Answer.MAY and self._packet.mark != mark:
            self._packet = self._packet.with_mark(None)
        return min(ended, matched)

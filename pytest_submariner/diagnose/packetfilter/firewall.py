"""All packet filters of a node together: what drops a packet, what translates it, which rules it meets.

    firewall = Firewall(state)
    firewall.drops(Hook.FORWARD, Packet("10.8.2.5", "10.9.1.5", in_device="vx-submariner", out_device="vxlan-tunnel"))

Answers are exact for what is understood, and remembered by what rules can tell apart, so that a mesh of ten thousand pairs costs what
its addresses' kinds cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pytest_submariner.diagnose.packetfilter.addresses import Known, number, span
from pytest_submariner.diagnose.packetfilter.chains import BaseChain, Step, Walk, base_chains
from pytest_submariner.diagnose.packetfilter.packet import Hook, Packet, State
from pytest_submariner.diagnose.packetfilter.rule import DESTINATION_NAT, DROPS, SOURCE_NAT
from pytest_submariner.model.filters import NftRule
from pytest_submariner.model.nodestate import NodeState

_IPV4_IN_TEXT = 7
"""Length of the shortest address, `1.1.1.1`."""


@dataclass(frozen=True)
class Passed:
    """A packet after a NAT hook. `by` translated it, surely or perhaps; None when nothing did. `steps` are all that were met."""

    packet: Packet
    by: Step | None
    steps: tuple[Step, ...]

    def met(self, chain: str) -> bool:
        """Whether a rule of `chain` was asked for sure: something sure jumped there."""
        return any(step.sure and step.verdict in ("JUMP", "GOTO") and step.to == chain for step in self.steps)


class Firewall:
    """Of one node's state. `is_read`: whether rules of iptables are known at all; absence proves nothing otherwise."""

    def __init__(self, state: NodeState) -> None:
        own = None if state.addresses is None else frozenset(address.ip for address in state.addresses)
        self.known = Known({found.name: found for found in state.ipsets or ()}, own)
        self.chains = base_chains(state)
        self.is_read = state.packet_filters is not None
        self._walks: dict[object, tuple[Step, ...]] = {}
        self._marks: dict[object, int | None] = {}
        self._kinds: dict[str, frozenset[str]] = {}

    def at(self, hook: Hook) -> tuple[BaseChain, ...]:
        return tuple(chain for chain in self.chains if chain.hook is hook)

    def steps(self, chain: BaseChain, packet: Packet) -> tuple[Step, ...]:
        """What the packet meets in one base chain."""
        key = self._key(chain, packet)
        found = self._walks.get(key)
        if found is None:
            walk = Walk(chain, packet, self.known)
            found = self._walks[key] = tuple(walk.steps)
            self._marks[key] = walk.mark
        return found

    def met(self, hook: Hook, packet: Packet, *, kind: str | None = None) -> tuple[Step, ...]:
        """All steps at a hook, through every chain as if none dropped it; `kind`: only of chains of that kind (nat, filter)."""
        return tuple(
            step
            for chain in self.at(hook)
            if kind in (None, chain.kind) and _hears(chain, packet)
            for step in self.steps(chain, packet)
        )

    def drops(self, hook: Hook, packet: Packet) -> tuple[Step, ...]:
        """What drops or rejects it at a hook: a sure step alone when there is one, else all that may."""
        if hook not in self._dropping:
            return ()
        found = [step for step in self.met(hook, packet) if step.verdict in DROPS]
        return next(((step,) for step in found if step.sure), tuple(found))

    def passed(self, hook: Hook, packet: Packet) -> Passed:
        """Through the NAT chains of PREROUTING, OUTPUT (destination) or POSTROUTING, INPUT (source). Connection tracking asks
        them for NEW packets only, and not at all for those that rules of `raw` keep from being tracked."""
        if packet.state is not State.NEW:
            return Passed(packet, None, ())
        wanted = SOURCE_NAT if hook in (Hook.POSTROUTING, Hook.INPUT) else DESTINATION_NAT
        steps: list[Step] = []
        may_be: Step | None = None
        for chain in self.at(hook):
            if not _hears(chain, packet):
                continue
            found = self.steps(chain, packet)
            steps += found
            mark = self._mark(chain, packet)
            packet = packet if mark == packet.mark else packet.with_mark(mark)
            if chain.kind != "nat":
                if any(step.sure and _untracks(step) for step in found):
                    return Passed(packet, None, tuple(steps))
                continue
            for step in found:
                if step.verdict in wanted and step.sure:
                    return Passed(packet, step, tuple(steps))
                if step.verdict in wanted and may_be is None:
                    may_be = step
        return Passed(packet, may_be, tuple(steps))

    def _mark(self, chain: BaseChain, packet: Packet) -> int | None:
        return self._marks[self._key(chain, packet)]

    def _key(self, chain: BaseChain, packet: Packet) -> object:
        return (
            id(chain),
            self._kind(packet.source),
            self._kind(packet.destination),
            packet.protocol,
            packet.source_port,
            packet.destination_port,
            packet.in_device,
            packet.out_device,
            packet.state,
            packet.is_reply,
            packet.mark,
        )

    @cached_property
    def _dropping(self) -> frozenset[Hook]:
        """Hooks at which any rule or policy drops anything."""
        return frozenset(
            chain.hook
            for chain in self.chains
            if chain.policy in DROPS or any(rule.verdict in DROPS for rules in chain.chains.values() for rule in rules)
        )

    @cached_property
    def _prefixes(self) -> dict[int, dict[int, str]]:
        """Networks that rules and sets speak of, by mask: all that can tell two addresses apart, besides ranges."""
        found: dict[int, dict[int, str]] = {}
        for text in {*self._spoken_of(), *self.known.members(), *(self.known.own_ips or ())}:
            limits = span(text)
            if limits is not None:
                size = limits[1] - limits[0]
                mask = 0xFFFFFFFF ^ size
                if size & (size + 1) == 0 and limits[0] & size == 0:
                    found.setdefault(mask, {})[limits[0]] = text
                else:
                    found.setdefault(-1, {})[limits[0]] = text
        return found

    def _spoken_of(self) -> Iterable[str]:
        for chain in self.chains:
            for rules in chain.chains.values():
                for rule in rules:
                    yield from _addresses(rule.source.text, is_native=isinstance(rule.source, NftRule))

    def _kind(self, ip: str) -> frozenset[str]:
        """The networks an address is in; the address itself where ranges are spoken of, or it is no IPv4 address."""
        found = self._kinds.get(ip)
        if found is None:
            found = self._kinds[ip] = self._classify(ip)
        return found

    def _classify(self, ip: str) -> frozenset[str]:
        try:
            value = number(ip)
        except ValueError:
            return frozenset({ip})
        if -1 in self._prefixes or ip.startswith("127."):
            return frozenset({ip})
        return frozenset(
            networks[value & mask] for mask, networks in self._prefixes.items() if value & mask in networks
        )


def _addresses(text: str, *, is_native: bool) -> Iterable[str]:
    words = text.replace("{", " ").replace("}", " ").replace(",", " ").split() if is_native else text.split()
    return (word for word in words if len(word) >= _IPV4_IN_TEXT and word[0].isdigit() and "." in word)


def _hears(chain: BaseChain, packet: Packet) -> bool:
    """Whether a chain bound to devices is asked about this packet."""
    return not chain.device or packet.in_device in chain.device.split()


def _untracks(step: Step) -> bool:
    return (
        step.verdict == "NOTRACK"
        or (step.verdict == "CT" and "--notrack" in step.text)
        or step.text.split()[-1:] == ["notrack"]
    )

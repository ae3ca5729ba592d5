"""Submariner's own chains on a node: which backend they are in, and whether packets come to them."""

from __future__ import annotations

from pytest_submariner.dataplane import constants as c
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.packetfilter.chains import Step
from pytest_submariner.diagnose.packetfilter.packet import Answer, Hook, Packet
from pytest_submariner.diagnose.reasoning.drops import Dropper

OWN = ("SUBMARINER-", "SM-GN-")
"""How the names of Submariner's chains begin, Globalnet's included (submariner:pkg/globalnet/constants/constants.go)."""


def is_own(step: Step) -> bool:
    return step.chain.startswith(OWN)


def backends(sight: NodeSight, table: str, chain: str) -> frozenset[str]:
    """The backends that have a chain."""
    return frozenset(f.backend for f in sight.before.packet_filters or () if (table, chain) in f.policies)


def leads_to_postrouting(sight: NodeSight, packet: Packet) -> bool:
    """Whether a rule of nat/POSTROUTING that jumps to Submariner's chain may match the packet, whatever stands before it."""
    for chain in sight.firewall.at(Hook.POSTROUTING):
        if chain.table != "nat" or not chain.backend:
            continue
        for rules in chain.chains.values():
            for rule in rules:
                jumps = rule.verdict in ("JUMP", "GOTO") and rule.to == c.POSTROUTING_CHAIN
                if jumps and rule.answer(packet, sight.firewall.known) is not Answer.NO:
                    return True
    return False


def accepts_elsewhere(dropper: Dropper) -> bool:
    """Whether Submariner accepts, in one backend of iptables, what the other one drops."""
    return any(
        step.verdict == "ACCEPT"
        and step.sure
        and is_own(step)
        and drop.step.backend
        and step.backend != drop.step.backend
        for drop in dropper.drops
        for step in dropper.sight.firewall.met(drop.passage.hook, drop.passage.packet)
    )

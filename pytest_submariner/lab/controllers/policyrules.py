"""One node's rules for NetworkPolicies, as texts for `ipset restore` and `iptables-restore --noflush`. Pure.

Chains and sets are named and nested as kube-router does it (kube-router:pkg/controllers/netpol/): FORWARD calls
KUBE-ROUTER-FORWARD, which sends packets from and to isolated pods through the pod's KUBE-POD-FW-…; that asks the
KUBE-NWPLCY-… of each policy that selects the pod, which mark what they allow; what then bears no mark is dropped.

Only forwarded packets pass here. So a pod and its own node always reach each other (kubelet), and pods on the node's
network are not isolated, as the documentation of NetworkPolicy has it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from pytest_submariner.lab.controllers.networkpolicy import (
    Allowance,
    Direction,
    Networks,
    Pods,
    Ports,
    address,
    allowances,
    directions,
)

Object = dict[str, Any]
CHAIN: Final = "KUBE-ROUTER-FORWARD"
_HOOK: Final = f'FORWARD -m comment --comment "kube-router netpol" -j {CHAIN}'
_ALLOWED: Final = "0x10000/0x10000"
_ALLOW: Final = f"-j MARK --set-xmark {_ALLOWED}"
_FORGET: Final = "-j MARK --set-xmark 0x0/0x10000"


@dataclass(frozen=True)
class PolicyRules:
    """Empty where no pod of the node is isolated. Sets never change: one with other members has another name, so
    that a single iptables-restore moves all rules from the old members to the new ones."""

    chains: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    sets: tuple[tuple[str, str], ...] = ()
    """(name, text that makes it)."""

    def set_text(self) -> str:
        """For `ipset restore -exist`, before the rules."""
        return "".join(text for _, text in self.sets)

    def restore_text(self, before: PolicyRules) -> str:
        """For iptables-restore on a node that has the rules of `before`; "" when there is nothing to do."""
        if self == before:
            return ""
        gone = sorted({*before.chains} - {*self.chains})
        lines = ["*filter", *(f":{chain} - [0:0]" for chain in (*self.chains, *gone))]
        if CHAIN in gone:
            lines.append(f"-D {_HOOK}")
        elif CHAIN not in before.chains:
            # First, as kube-router does: Submariner accepts in FORWARD, and what it accepts is still to be judged.
            lines.append(f"-I {_HOOK.replace(' ', ' 1 ', 1)}")
        return "\n".join([*lines, *self.rules, *(f"-X {chain}" for chain in gone), "COMMIT", ""])

    @property
    def set_names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.sets)


def policy_rules(policies: Iterable[Object], pods: Pods, node: str) -> PolicyRules:
    """What `node` needs, for its own pods."""
    made = _Made()
    for policy in sorted(policies, key=_name):
        here = [pod for pod in pods.isolated_by(policy) if pod["spec"].get("nodeName") == node]
        for direction in directions(policy) if here else ():
            chain = f"KUBE-NWPLCY-{_hash(f'{_name(policy)}/{direction}')}"
            for pod in here:
                made.asked.setdefault((direction, address(pod), _name(pod)), []).append(chain)
            made.chains.append(chain)
            made.rules += [
                f'-A {chain} {match}-m comment --comment "{_name(policy)}" {_ALLOW}'
                for allowance in allowances(policy, direction, pods)
                for match in made.matches(allowance, direction)
            ]
    return made.finish()


@dataclass
class _Made:
    """Rules in the making."""

    chains: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    sets: dict[str, str] = field(default_factory=dict)
    asked: dict[tuple[Direction, str, str], list[str]] = field(default_factory=dict)
    """Isolated pod (direction, address, name) -> chains of the policies that select it."""

    def matches(self, allowance: Allowance, direction: Direction) -> Iterator[str]:
        """Arguments of iptables for each pair of peers and ports; none for an allowance nobody fits."""
        someone = (networks for networks in allowance.peers or () if networks.cidrs)
        peers = [""] if allowance.peers is None else [self._peers(networks, direction) for networks in someone]
        ports = [""] if allowance.ports is None else [self._ports(p) for p in allowance.ports if p.named != ()]
        return (f"{peer}{port}" for peer in peers for port in ports)

    def finish(self) -> PolicyRules:
        if not self.asked:
            return PolicyRules()
        jumps: list[str] = []
        for (direction, ip, name), policies in self.asked.items():
            chain = f"KUBE-POD-FW-{_hash(f'{name}/{ip}/{direction}')}"
            own, other = ("-d", "-s") if direction is Direction.INGRESS else ("-s", "-d")
            said = f'-m comment --comment "{direction} of {name}"'
            jumps.append(f"-A {CHAIN} {own} {ip}/32 {said} -j {chain}")
            self.chains.append(chain)
            self.rules += [
                f"-A {chain} {other} {ip}/32 -j RETURN",  # a pod reaches itself, through a Service
                *(f"-A {chain} -j {policy}" for policy in policies),
                f"-A {chain} -m mark ! --mark {_ALLOWED} {said} -j DROP",
                f"-A {chain} {_FORGET}",
            ]
        established = f"-A {CHAIN} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
        chains, rules = (CHAIN, *self.chains), (established, *jumps, *self.rules)
        return PolicyRules(chains, rules, tuple(sorted(self.sets.items())))

    def _peers(self, networks: Networks, direction: Direction) -> str:
        members = (*networks.cidrs, *(f"{cidr} nomatch" for cidr in networks.but))
        side, prefix = ("src", "KUBE-SRC") if direction is Direction.INGRESS else ("dst", "KUBE-DST")
        return f"-m set --match-set {self._set(prefix, 'hash:net', members)} {side} "

    def _ports(self, ports: Ports) -> str:
        if ports.named is not None:
            members = [f"{ip},{ports.protocol}:{n}" for ip, _, n in (text.partition(":") for text in ports.named)]
            return f"-m set --match-set {self._set('KUBE-PORT', 'hash:ip,port', members)} dst,dst "
        if not ports.first:
            return f"-p {ports.protocol} "
        return f"-p {ports.protocol} -m {ports.protocol} --dport {ports.first}:{ports.last} "

    def _set(self, prefix: str, kind: str, members: Iterable[str]) -> str:
        listed = list(members)
        name = f"{prefix}-{_hash(' '.join(listed))}"
        self.sets[name] = f"create {name} {kind}\n" + "".join(f"add {name} {member}\n" for member in listed)
        return name


def _name(item: Object) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _hash(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest())[:16].decode("ascii")

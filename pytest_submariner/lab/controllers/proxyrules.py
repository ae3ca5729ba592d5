"""The iptables rules of kube-proxy in iptables mode, as text for iptables-restore --noflush. Pure.

After kubernetes:pkg/proxy/iptables/proxier.go. Not done: session affinity, traffic policy Local, load balancers, and
clearing conntrack of UDP flows that are older than the rules (a sender that began too early needs a new source port).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_submariner.lab.controllers.serviceports import ServicePort

MASQUERADE_MARK = "0x4000"
_STATE_NEW = "-m conntrack --ctstate NEW"
_PORTALS = '-m comment --comment "kubernetes service portals"'
NAT_CHAINS = ("KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-SERVICES")
FILTER_CHAINS = ("KUBE-FORWARD", "KUBE-SERVICES")
JUMPS = {
    "filter": (
        f"-A FORWARD {_STATE_NEW} {_PORTALS} -j KUBE-SERVICES",
        '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        f"-A OUTPUT {_STATE_NEW} {_PORTALS} -j KUBE-SERVICES",
    ),
    "nat": (
        f"-A PREROUTING {_PORTALS} -j KUBE-SERVICES",
        f"-A OUTPUT {_PORTALS} -j KUBE-SERVICES",
        '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    ),
}
"""Appended, where genuine kube-proxy puts itself first: Submariner, which comes after kube-proxy and also puts itself first,
then stands before KUBE-POSTROUTING in every order of events, as it does on a running cluster."""


@dataclass(frozen=True)
class Ruleset:
    """Rules by table; each chain of `chains` is emptied and filled."""

    nat: tuple[str, ...]
    filter: tuple[str, ...]
    nat_chains: frozenset[str]
    """The chains that belong to Services, and go with them."""

    def restore_text(self, *, jumps: bool, stale: Iterable[str]) -> str:
        """`jumps`: also lead the built-in chains here, for the first time on a node; `stale`: nat chains to remove."""
        gone = sorted(set(stale) - self.nat_chains)
        nat = [*JUMPS["nat"] * jumps, *self.nat, *(f"-X {chain}" for chain in gone)]
        lines = _table("filter", FILTER_CHAINS, [*JUMPS["filter"] * jumps, *self.filter])
        return lines + _table("nat", [*NAT_CHAINS, *sorted(self.nat_chains), *gone], nat)


def ruleset(ports: Iterable[ServicePort], cluster_cidr: str) -> Ruleset:
    """`cluster_cidr`: the pods' network; whoever comes from outside it is masqueraded on its way to a Service."""
    nat = [
        f"-A KUBE-MARK-MASQ -j MARK --or-mark {MASQUERADE_MARK}",
        f"-A KUBE-POSTROUTING -m mark ! --mark {MASQUERADE_MARK}/{MASQUERADE_MARK} -j RETURN",
        f"-A KUBE-POSTROUTING -j MARK --xor-mark {MASQUERADE_MARK}",
        "-A KUBE-POSTROUTING "
        '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    ]
    reject: list[str] = []
    chains: set[str] = set()
    for port in ports:
        if port.endpoints:
            nat += _portals(port)
            nat += _balancing(port, cluster_cidr)
            chains |= {port.service_chain, *(port.endpoint_chain(e) for e in port.endpoints)}
            if port.node_port or port.external_ips:
                nat += _external(port)
                chains.add(port.external_chain)
        else:
            reject += _rejects(port)
    # Last, so that a portal of any Service is found before a node's own ports.
    nat.append(
        '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
        " -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
    )
    forward = [
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        f'-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules"'
        f" -m mark --mark {MASQUERADE_MARK}/{MASQUERADE_MARK} -j ACCEPT",
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule"'
        " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]
    return Ruleset(tuple(nat), tuple(reject + forward), frozenset(chains))


def _portals(port: ServicePort) -> list[str]:
    """From the addresses of a Service to its chains."""
    proto = port.protocol
    rules = [
        f'-A KUBE-SERVICES -d {port.cluster_ip}/32 -p {proto} -m comment --comment "{port.name} cluster IP"'
        f" -m {proto} --dport {port.port} -j {port.service_chain}"
    ]
    rules += [
        f'-A KUBE-SERVICES -d {address}/32 -p {proto} -m comment --comment "{port.name} external IP"'
        f" -m {proto} --dport {port.port} -j {port.external_chain}"
        for address in port.external_ips
    ]
    if port.node_port:
        rules.append(
            f'-A KUBE-NODEPORTS -p {proto} -m comment --comment "{port.name}"'
            f" -m {proto} --dport {port.node_port} -j {port.external_chain}"
        )
    return rules


def _balancing(port: ServicePort, cluster_cidr: str) -> list[str]:
    """From a Service's chain to one of its endpoints, each equally likely."""
    proto, chain = port.protocol, port.service_chain
    rules = [
        f'-A {chain} ! -s {cluster_cidr} -d {port.cluster_ip}/32 -p {proto} -m comment --comment "{port.name} cluster IP"'
        f" -m {proto} --dport {port.port} -j KUBE-MARK-MASQ"
    ]
    for index, endpoint in enumerate(port.endpoints):
        left = len(port.endpoints) - index
        chance = f" -m statistic --mode random --probability {1 / left:.10f}" if left > 1 else ""
        rules.append(
            f'-A {chain} -m comment --comment "{port.name} -> {endpoint}"{chance} -j {port.endpoint_chain(endpoint)}'
        )
    for endpoint in port.endpoints:
        target, address = port.endpoint_chain(endpoint), endpoint.rpartition(":")[0]
        rules += [
            # A pod that reaches itself through its Service must not see its own address as the source.
            f'-A {target} -s {address}/32 -m comment --comment "{port.name}" -j KUBE-MARK-MASQ',
            f'-A {target} -p {proto} -m comment --comment "{port.name}" -m {proto} -j DNAT --to-destination {endpoint}',
        ]
    return rules


def _external(port: ServicePort) -> list[str]:
    chain = port.external_chain
    return [
        f'-A {chain} -m comment --comment "masquerade traffic for {port.name} external destinations" -j KUBE-MARK-MASQ',
        f"-A {chain} -j {port.service_chain}",
    ]


def _rejects(port: ServicePort) -> list[str]:
    proto = port.protocol
    return [
        f'-A KUBE-SERVICES -d {address}/32 -p {proto} -m comment --comment "{port.name} has no endpoints"'
        f" -m {proto} --dport {port.port} -j REJECT"
        for address in (port.cluster_ip, *port.external_ips)
    ]


def _table(name: str, chains: Iterable[str], rules: Iterable[str]) -> str:
    return "\n".join([f"*{name}", *(f":{chain} - [0:0]" for chain in chains), *rules, "COMMIT", ""])

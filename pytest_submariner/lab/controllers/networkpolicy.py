"""What NetworkPolicies promise: which pods they isolate, and what they let through. Pure.

After kubernetes:staging/src/k8s.io/api/networking/v1/types.go. IPv4; whatever names no IPv4 address matches nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pytest_submariner.lab.controllers.selectors import matches_selector

Object = dict[str, Any]


class Direction(StrEnum):
    """Of a flow's opening packet, seen from the isolated pod."""

    INGRESS = "ingress"
    EGRESS = "egress"

    @property
    def peers_key(self) -> str:
        """Where a rule names the other end."""
        return "from" if self is Direction.INGRESS else "to"


@dataclass(frozen=True)
class Networks:
    """Addresses as CIDRs; those of `but` are not among them."""

    cidrs: tuple[str, ...]
    but: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ports:
    """Destination ports of one protocol. Neither numbers nor a name: all of them."""

    protocol: str
    """Lower case, as iptables spells it."""
    first: int = 0
    last: int = 0
    """Inclusive."""
    named: tuple[str, ...] | None = None
    """For a port by name: `address:number` of every pod that has one of that name and may be the destination."""


@dataclass(frozen=True)
class Allowance:
    """One rule. It lets through what matches any of `peers` and any of `ports`; None: everybody, every port."""

    peers: tuple[Networks, ...] | None
    ports: tuple[Ports, ...] | None


class Pods:
    """A cluster's pods with addresses of their own, and the labels of its namespaces."""

    def __init__(self, pods: Iterable[Object], namespaces: Iterable[Object]) -> None:
        self.all = [pod for pod in pods if address(pod)]
        self._labels = {item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in namespaces}

    def of(self, peer: Object, own_namespace: str) -> list[Object]:
        """Those that a peer's `podSelector` and `namespaceSelector` choose."""
        by_namespace, by_pod = peer.get("namespaceSelector"), peer.get("podSelector")
        return [
            pod
            for pod in self.all
            if (
                matches_selector(by_namespace, self._labels.get(pod["metadata"]["namespace"], {}))
                if by_namespace is not None
                else pod["metadata"]["namespace"] == own_namespace
            )
            and (by_pod is None or matches_selector(by_pod, pod["metadata"].get("labels") or {}))
        ]

    def isolated_by(self, policy: Object) -> list[Object]:
        """The pods that `policy` selects."""
        return self.of({"podSelector": policy["spec"].get("podSelector") or {}}, policy["metadata"]["namespace"])


def address(pod: Object) -> str:
    """Its own IPv4 address; "" for a pod on its node's network, one that has none yet, or one that has ended."""
    status = pod.get("status") or {}
    if pod["spec"].get("hostNetwork") or status.get("phase") in {"Succeeded", "Failed"}:
        return ""
    return str(status.get("podIP") or "")


def directions(policy: Object) -> list[Direction]:
    """Those in which the policy isolates. Unless said, ingress always, egress when there are rules for it."""
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return [direction for direction in Direction if direction.capitalize() in types]


def allowances(policy: Object, direction: Direction, pods: Pods) -> list[Allowance]:
    """What the policy lets through; an empty list is `deny all`."""
    own = policy["metadata"]["namespace"]
    return [
        _allowance(rule, direction, pods, own, pods.isolated_by(policy))
        for rule in policy["spec"].get(str(direction)) or ()
    ]


def _allowance(rule: Object, direction: Direction, pods: Pods, own: str, isolated: Sequence[Object]) -> Allowance:
    peers = rule.get(direction.peers_key) or ()
    chosen = [pod for peer in peers if "ipBlock" not in peer for pod in pods.of(peer, own)]
    networks = [_block(peer["ipBlock"]) for peer in peers if "ipBlock" in peer]
    if any("ipBlock" not in peer for peer in peers):
        networks.insert(0, Networks(tuple(sorted({f"{address(pod)}/32" for pod in chosen}))))
    servers = isolated if direction is Direction.INGRESS else chosen if peers else pods.all
    ports = tuple(_ports(port, servers) for port in rule.get("ports") or ())
    return Allowance(tuple(networks) if peers else None, ports or None)


def _block(block: Mapping[str, Any]) -> Networks:
    return Networks(tuple(_ipv4([block["cidr"]])), tuple(_ipv4(block.get("except") or ())))


def _ipv4(cidrs: Iterable[str]) -> Iterator[str]:
    for cidr in cidrs:
        network = ipaddress.ip_network(cidr, strict=False)
        if network.version == 4:
            # An ipset has no element for everything, but one for each half of it.
            yield from map(str, network.subnets(1) if network.prefixlen == 0 else (network,))


def _ports(port: Object, servers: Iterable[Object]) -> Ports:
    protocol, number = port.get("protocol") or "TCP", port.get("port")
    if number is None:
        return Ports(protocol.lower())
    if isinstance(number, str):
        found = {f"{address(pod)}:{n}" for pod in servers for n in _named(pod, number, protocol)}
        return Ports(protocol.lower(), named=tuple(sorted(found)))
    return Ports(protocol.lower(), number, port.get("endPort") or number)


def _named(pod: Object, name: str, protocol: str) -> Iterator[int]:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == name and (port.get("protocol") or "TCP") == protocol:
                yield port["containerPort"]

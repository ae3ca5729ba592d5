"""The address ranges of a lab's clusters: what they are by default, and whether chosen ones can serve. Pure data, no I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_submariner.errors import LabError

_NODE_PREFIX: Final = 24
"""A node's pod subnet."""
_WIDEST, _NARROWEST_SERVICES, _NARROWEST_PODS = 12, 24, 23
"""Prefix lengths; wider service ranges are refused by kube-apiserver (kubernetes: cmd/kube-apiserver/app/options/validation.go)."""
_TAKEN: Final = {
    "172.18.0.0/16": "the lab's underlay",
    "127.0.0.0/8": "the loopback device",
    "224.0.0.0/3": "multicast, and Submariner's own 240.x and 241.x",
    "0.0.0.0/8": "no host",
}


@dataclass(frozen=True)
class Ranges:
    """Pod and service CIDR of one cluster."""

    pods: str
    services: str

    def node_subnet(self, number: int) -> str:
        """The pod subnet of a cluster's node, counted from 1: 10.8.1.0/24, 10.8.2.0/24 and so on."""
        base = ipaddress.IPv4Network(self.pods).network_address
        return f"{base + (number << (32 - _NODE_PREFIX))}/{_NODE_PREFIX}"


def ranges(clusters: int, nodes: int, pods: Sequence[str] = (), services: Sequence[str] = ()) -> list[Ranges]:
    """One per cluster, in order. Those given come first, the others are c1's 10.8.0.0/16 and 100.8.0.0/16, c2's 10.9.0.0/16 and
    100.9.0.0/16, and so on. `nodes`: of each cluster. LabError names the option, the value and what is wrong with it."""
    made = []
    seen: list[tuple[ipaddress.IPv4Network, str]] = [(ipaddress.IPv4Network(cidr), who) for cidr, who in _TAKEN.items()]
    for option, given in (("--pod-cidr", pods), ("--service-cidr", services)):
        if len(given) > clusters:
            raise LabError(f"{option} {given[clusters]}: one per cluster, and there are {clusters}")
    for index in range(clusters):
        network = _Choice("--pod-cidr", pods, index, f"10.{8 + index}.0.0/16", f"the pods of c{index + 1}")
        service = _Choice("--service-cidr", services, index, f"100.{8 + index}.0.0/16", f"the services of c{index + 1}")
        network.check_size(_WIDEST, _NARROWEST_PODS)
        network.check_nodes(nodes)
        service.check_size(_WIDEST, _NARROWEST_SERVICES)
        for choice in (network, service):
            choice.check_free(seen)
            seen.append((choice.network, choice.whose))
        made.append(Ranges(str(network.network), str(service.network)))
    return made


class _Choice:
    """One range, given by an option or by default."""

    def __init__(self, option: str, given: Sequence[str], index: int, default: str, whose: str) -> None:
        self.option, self.whose = option, whose
        self.text, self.origin = (given[index], "") if index < len(given) else (default, f" (the default for {whose})")
        try:
            self.network = ipaddress.IPv4Network(self.text)
        except ValueError as error:
            raise LabError(f"{option} {self.text}: {error}; write an IPv4 network like {default}") from error

    def check_size(self, widest: int, narrowest: int) -> None:
        if not widest <= self.network.prefixlen <= narrowest:
            raise LabError(f"{self.option} {self.text}: allowed are prefix lengths /{widest} to /{narrowest}")

    def check_nodes(self, nodes: int) -> None:
        room = (1 << (_NODE_PREFIX - self.network.prefixlen)) - 1
        if nodes > room:
            raise LabError(
                f"{self.option} {self.text} has room for {room} nodes with a /{_NODE_PREFIX} each, and {self.whose[12:]} has {nodes}"
            )

    def check_free(self, seen: Sequence[tuple[ipaddress.IPv4Network, str]]) -> None:
        for other, owner in self._overlapping(seen):
            raise LabError(f"{self.option} {self.text}{self.origin} overlaps {other}, which is for {owner}")

    def _overlapping(
        self, seen: Sequence[tuple[ipaddress.IPv4Network, str]]
    ) -> Iterator[tuple[ipaddress.IPv4Network, str]]:
        return (entry for entry in seen if entry[0].overlaps(self.network))

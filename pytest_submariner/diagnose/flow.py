"""A flow: a path of this run with its nodes, its addresses and what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_submariner.model.path import Kind, PathCase
from pytest_submariner.model.path import Protocol as PathProtocol
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node, Topology
from pytest_submariner.model.verdict import Verdict

_ASKED = re.compile(r"\bask (?:tcp|udp) \S+ (?P<port>\d+)\b")
_FAILS = frozenset({Verdict.BLOCKED, Verdict.STALLED, Verdict.WRONG_SOURCE, Verdict.UNEXPECTED})


@dataclass(frozen=True)
class Flow:
    """`source` and `target` are the nodes at its ends; for a Service the target is the node of the backing pod, and
    `target_ip` the ClusterIP. Addresses are "" where nothing was asked."""

    case: PathCase
    result: PathResult
    source: Node
    target: Node

    @property
    def id(self) -> str:
        return self.case.id

    @property
    def verdict(self) -> Verdict:
        """The measured one; a mark for a known issue does not hide it."""
        if self.result.verdict is Verdict.KNOWN_ISSUE:
            return Verdict.from_word(str(self.result.extra.get("measured", Verdict.BLOCKED.word)))
        return self.result.verdict

    @property
    def fails(self) -> bool:
        """Measured, and not as promised. What could not be asked, or told, does not fail: there is nothing to explain."""
        return self.verdict in _FAILS

    @property
    def works(self) -> bool:
        return self.verdict is Verdict.OK

    @property
    def source_ip(self) -> str:
        return self.result.source_address

    @property
    def target_ip(self) -> str:
        return self.result.target_address

    @property
    def port(self) -> int | None:
        """The port that was asked, of the pod and of its Service alike; None for ICMP and where nothing was asked."""
        asked = _ASKED.search(self.result.command)
        return int(asked["port"]) if asked is not None else None

    @property
    def crosses(self) -> bool:
        """Whether it goes from one cluster to another, as traffic (the gateway status is not)."""
        return self.case.is_cross_cluster and self.case.protocol is not PathProtocol.STATUS

    @property
    def is_status(self) -> bool:
        return self.case.protocol is PathProtocol.STATUS

    @property
    def to_service(self) -> bool:
        return self.case.target.kind is Kind.SVC

    @property
    def nodes(self) -> tuple[Node, Node]:
        return self.source, self.target

    def __str__(self) -> str:
        return f"{self.id} {self.verdict.word}"


def flows(results: Iterable[PathResult], topology: Topology) -> tuple[Flow, ...]:
    """Results as flows; those of paths that are no paths of this topology's nodes (skipped ones) are left out."""
    nodes = {(node.cluster, node.name): node for cluster in topology.clusters for node in cluster.nodes}
    found = []
    for result in results:
        try:
            case = PathCase.parse(result.id)
        except ValueError:
            continue
        source = nodes.get((case.source.cluster, result.source_node))
        target = nodes.get((case.target.cluster, result.target_node))
        if source is not None and target is not None and result.verdict is not Verdict.SKIPPED:
            found.append(Flow(case, result, source, target))
    return tuple(found)

"""Scopes: which flows an object of the data plane carries, hence which ones it can break. Combined with & | ~.

Submariner builds the way out only (node, vx-submariner, gateway, cable); the way in is the CNI's. A flow has a request
and a reply, so it depends on the way out of both its nodes and on the way in to both (submariner issues 3134, 3159)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.model.path import Kind
from pytest_submariner.model.path import Protocol as PathProtocol
from pytest_submariner.model.topology import Node


@dataclass(frozen=True)
class Scope:
    """`words` complete the sentence "paths …"."""

    words: str
    holds: Callable[[Flow], bool]

    def __call__(self, flow: Flow) -> bool:
        return self.holds(flow)

    def __and__(self, other: Scope) -> Scope:
        return Scope(f"{self.words} {other.words}".strip(), lambda flow: self(flow) and other(flow))

    def __or__(self, other: Scope) -> Scope:
        return Scope(f"{self.words}, or {other.words}", lambda flow: self(flow) or other(flow))

    def __invert__(self) -> Scope:
        return Scope(f"not {self.words}", lambda flow: not self(flow))


def crossing(*positions: str) -> Scope:
    """Between clusters, with traffic; with one position: from or to that cluster; with two: between these."""

    def holds(flow: Flow) -> bool:
        ends = {flow.case.source.cluster, flow.case.target.cluster}
        return flow.crosses and ends.issuperset(positions)

    return Scope(f"between clusters ({' and '.join(positions)})" if positions else "between clusters", holds)


def inside(position: str) -> Scope:
    return Scope(
        f"inside {position}",
        lambda flow: flow.case.source.cluster == position == flow.case.target.cluster and not flow.is_status,
    )


def from_node(node: Node) -> Scope:
    """Whose connector is on `node`."""
    return Scope(f"opened on {node.name}", lambda flow: flow.source == node and not flow.is_status)


def to_node(node: Node) -> Scope:
    """Whose listener is on `node`."""
    return Scope(f"to {node.name}", lambda flow: flow.target == node and not flow.is_status)


def at_node(node: Node) -> Scope:
    """With an end on `node`."""
    return Scope(f"with an end on {node.name}", lambda flow: node in flow.nodes and not flow.is_status)


def node_cut_off(node: Node) -> Scope:
    """SIG-N: what a broken way out, or in, of a non-gateway node takes along: every flow between clusters with an end
    there."""
    return crossing() & at_node(node)


def opened_by(*kinds: Kind) -> Scope:
    return Scope(f"opened by {'/'.join(kinds)}", lambda flow: flow.case.source.kind in kinds)


def to_kind(*kinds: Kind) -> Scope:
    return Scope(f"to {'/'.join(kinds)}", lambda flow: flow.case.target.kind in kinds)


def by_protocol(*protocols: PathProtocol) -> Scope:
    return Scope(f"by {'/'.join(protocols)}", lambda flow: flow.case.protocol in protocols)


def from_cluster(position: str) -> Scope:
    return Scope(f"opened in {position}", lambda flow: flow.case.source.cluster == position)


def to_cluster(position: str) -> Scope:
    return Scope(f"to {position}", lambda flow: flow.case.target.cluster == position)


def status_between(*positions: str) -> Scope:
    """The gateway status of, or about, these clusters."""
    return Scope(
        "of gateway status",
        lambda flow: flow.is_status and {flow.case.source.cluster, flow.case.target.cluster}.issuperset(positions),
    )


def across(*positions: str) -> Scope:
    """`crossing`, and what gateways say of it."""
    return Scope(crossing(*positions).words, (crossing(*positions) | status_between(*positions)).holds)


def tagged(*tags: str) -> Scope:
    return Scope(f"with {'/'.join(tags)}", lambda flow: any(tag in flow.case.tags for tag in tags))


def anything() -> Scope:
    return Scope("of any kind", lambda flow: True)


def nothing() -> Scope:
    """For what is wrong without breaking a path."""
    return Scope("of no kind", lambda flow: False)

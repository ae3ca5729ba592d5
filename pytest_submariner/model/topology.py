"""What was found: clusters, nodes, their roles and addresses. Plain data; discovery lives in `providers/`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any


class Role(StrEnum):
    """A node's role for Submariner; a labelled node that is not active is `passive` and has a non-gateway data plane."""

    GATEWAY = "gateway"
    PASSIVE = "passive"
    NON_GATEWAY = "non-gateway"

    @property
    def place(self) -> str:
        """The word path ids use."""
        return _PLACES[self.value]


_PLACES = {"gateway": "gw", "passive": "pgw", "non-gateway": "ngw"}


@dataclass(frozen=True)
class Node:
    """A Kubernetes node as Submariner sees it. `cluster` is the position (c1, c2, …)."""

    name: str
    cluster: str
    role: Role
    internal_ip: str
    labels: dict[str, str] = field(default_factory=dict, hash=False, compare=False)


@dataclass(frozen=True)
class Cluster:
    """A cluster of the set. `position` is given by the order of the contexts; `cluster_id` is Submariner's."""

    position: str
    context: str
    kubeconfig: str | None
    cluster_id: str
    nodes: tuple[Node, ...]
    pod_cidrs: tuple[str, ...] = ()
    service_cidrs: tuple[str, ...] = ()
    network_plugin: str = ""
    cable_driver: str = ""
    submariner_version: str = ""
    kubernetes_version: str = ""
    globalnet: bool = False

    def nodes_with(self, role: Role) -> tuple[Node, ...]:
        """By name, so that ordinals in path ids are stable."""
        return tuple(sorted((n for n in self.nodes if n.role is role), key=lambda n: n.name))

    def node_at(self, place: str, ordinal: int = 1) -> Node | None:
        """The node a path id's place means, or None when the cluster has none."""
        found = self._by_place.get(place, ())
        return found[ordinal - 1] if len(found) >= ordinal else None

    @cached_property
    def _by_place(self) -> dict[str, tuple[Node, ...]]:
        """Sorted once: a mesh of a hundred nodes asks sixty thousand times."""
        return {role.place: self.nodes_with(role) for role in Role}


@dataclass(frozen=True)
class Topology:
    """Every cluster of a run, in the order of their positions."""

    clusters: tuple[Cluster, ...]
    provider: str

    def cluster(self, position: str) -> Cluster:
        """KeyError when the run has no such position."""
        for cluster in self.clusters:
            if cluster.position == position:
                return cluster
        raise KeyError(
            f"no cluster at position {position}; this run has {', '.join(c.position for c in self.clusters)}"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Topology:
        """The inverse of `to_dict`: how a topology travels to pytest-xdist workers."""
        return cls(
            provider=data["provider"],
            clusters=tuple(
                Cluster(
                    **{
                        **cluster,
                        "nodes": tuple(Node(**{**node, "role": Role(node["role"])}) for node in cluster["nodes"]),
                        "pod_cidrs": tuple(cluster["pod_cidrs"]),
                        "service_cidrs": tuple(cluster["service_cidrs"]),
                    }
                )
                for cluster in data["clusters"]
            ),
        )

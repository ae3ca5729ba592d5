"""What a provider owes: clusters, found or made, told as plain data that any process of the run can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pytest_submariner.model.topology import Topology


@dataclass(frozen=True)
class Run:
    """A run of pytest, the same in all its processes. What a run creates carries `id`; what it started ends with `owner_pid`."""

    id: str
    """Eight hex digits."""
    owner_pid: int
    """The process that outlives the others: pytest itself, or the controller of pytest-xdist."""


@dataclass(frozen=True)
class World:
    """Where the clusters are, and what was made to have them."""

    topology: Topology
    ssh_config: str | None = None
    lab: Mapping[str, Any] | None = None
    """What `submariner-lab up --json` or `status --json` said, when the clusters are a lab's."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds, named as in results.json."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "topology": self.topology.to_dict(),
            "ssh_config": self.ssh_config,
            "lab": dict(self.lab) if self.lab is not None else None,
            "timings": dict(self.timings),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> World:
        """The inverse of `to_dict`: how a world travels between pytest-xdist workers."""
        return cls(Topology.from_dict(data["topology"]), data["ssh_config"], data["lab"], data["timings"])


class Provider(Protocol):
    """A source of clusters. `find` and `release` may run in different processes, so nothing is kept on the object between them."""

    name: str

    def find(self) -> World:
        """Find or make the clusters. TopologyError when they are not fit to be asked, LabUnavailable when this machine cannot."""
        ...

    def release(self) -> None:
        """Remove what `find` made, also after a `find` that did not end; nothing to do is fine."""
        ...

"""Findings: a cause by name, proven by state and by traffic, with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class EvidenceKind(StrEnum):
    STATE = "state"
    TRAFFIC = "traffic"


@dataclass(frozen=True)
class Evidence:
    kind: EvidenceKind
    text: str


@dataclass(frozen=True)
class Finding:
    """A root cause on an object of a node. `cluster` is the position; `paths` are the ids it explains."""

    code: str
    cluster: str
    node: str
    object: str
    evidence: tuple[Evidence, ...]
    remedy: str
    paths: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The shape of `findings[]` in results.json."""
        return {
            "code": self.code,
            "cluster": self.cluster,
            "node": self.node,
            "object": self.object,
            "evidence": [{"kind": e.kind.value, "text": e.text} for e in self.evidence],
            "remedy": self.remedy,
            "paths": list(self.paths),
        }

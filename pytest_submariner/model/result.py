"""What commands and paths answered. Everything here turns into plain data, to travel through pytest-xdist and JSON."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_submariner.model.verdict import Expectation, SourceExpectation, Verdict


@dataclass(frozen=True)
class CommandResult:
    """One command on one node. `exit_status` is 0-255 (128+n for signal n); streams are bytes as the node sent them."""

    node: str
    argv: tuple[str, ...]
    exit_status: int
    stdout: bytes
    stderr: bytes
    duration_s: float
    transport: str
    attempts: int = 1

    @property
    def text(self) -> str:
        """stdout as text; bytes that are not UTF-8 become U+FFFD."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def error_text(self) -> str:
        return self.stderr.decode("utf-8", "replace")

    def __repr__(self) -> str:
        lines = [
            f"[{self.node} by {self.transport}] $ {shlex.join(self.argv)}",
            f"exit status {self.exit_status} after {self.duration_s:.2f} s",
        ]
        for name, data in (("stdout", self.text), ("stderr", self.error_text)):
            if data.strip():
                lines.append(f"{name}: {data.strip()[:2000]}")
        return "\n".join(lines)


@dataclass(frozen=True)
class PathResult:
    """One path, measured. `evidence` is what a reader needs to believe the verdict, a line each."""

    id: str
    expected: Expectation
    verdict: Verdict
    attempts: int = 0
    rtt_ms: float | None = None
    source_expected: SourceExpectation = SourceExpectation.ANY
    source_seen: str | None = None
    answered: bool | None = None
    """Only for by-design paths: whether the ping was answered; recorded, never judged."""
    detail: str = ""
    """One line: what happened, with names and addresses."""
    evidence: tuple[str, ...] = ()
    source_node: str = ""
    target_node: str = ""
    source_address: str = ""
    """The connector's own: its pod's IP, or its node's for host network."""
    target_address: str = ""
    command: str = ""
    """The one command that repeats this by hand."""
    root_cause: str | None = None
    suite: str = ""
    nodeid: str = ""
    subctl_spec: str | None = None
    duration_s: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)

    def with_place(self, *, suite: str, nodeid: str) -> PathResult:
        return replace(self, suite=suite, nodeid=nodeid)

    def to_dict(self) -> dict[str, Any]:
        """The shape of `paths[]` in results.json."""
        data: dict[str, Any] = {
            "id": self.id,
            "suite": self.suite,
            "expected": self.expected.value,
            "verdict": self.verdict.word,
            "attempts": self.attempts,
            "rtt_ms": self.rtt_ms,
            "source_ip": {"expected": self.source_expected.value, "seen": self.source_seen},
            "root_cause": self.root_cause,
            "nodeid": self.nodeid,
            "detail": self.detail,
            "evidence": list(self.evidence),
            "source_node": self.source_node,
            "target_node": self.target_node,
            "source_address": self.source_address,
            "target_address": self.target_address,
            "command": self.command,
            "subctl_spec": self.subctl_spec,
            "duration_s": round(self.duration_s, 6),
        }
        if self.answered is not None:
            data["answered"] = self.answered
        if self.extra:
            data["extra"] = self.extra
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PathResult:
        """The inverse of `to_dict`; unknown keys are ignored, so newer writers can be read."""
        return cls(
            id=data["id"],
            expected=Expectation(data["expected"]),
            verdict=Verdict.from_word(data["verdict"]),
            attempts=data.get("attempts", 0),
            rtt_ms=data.get("rtt_ms"),
            source_expected=SourceExpectation(data.get("source_ip", {}).get("expected", "any")),
            source_seen=data.get("source_ip", {}).get("seen"),
            answered=data.get("answered"),
            detail=data.get("detail", ""),
            evidence=tuple(data.get("evidence", ())),
            source_node=data.get("source_node", ""),
            target_node=data.get("target_node", ""),
            source_address=data.get("source_address", ""),
            target_address=data.get("target_address", ""),
            command=data.get("command", ""),
            root_cause=data.get("root_cause"),
            suite=data.get("suite", ""),
            nodeid=data.get("nodeid", ""),
            subctl_spec=data.get("subctl_spec"),
            duration_s=data.get("duration_s", 0.0),
            extra=data.get("extra", {}),
        )

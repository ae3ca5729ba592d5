"""What a probe pod said about one path, before anybody judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pytest_submariner.errors import ProbeInconclusive


class Outcome(StrEnum):
    """What came back; the words of `agent.py`."""

    ANSWERED = "answered"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    STALLED = "stalled"
    RESET = "reset"
    MISMATCH = "mismatch"
    UNABLE = "unable"
    UNSUPPORTED = "unsupported"
    """The word of `agent.sh` for what it has no means to measure."""


@dataclass(frozen=True)
class Measurement:
    """One path, asked. `seen` and `listener` are what the listener reported: the source it saw, and its own pod's name."""

    id: str
    outcome: Outcome
    attempts: int
    history: tuple[Outcome, ...]
    """The outcome of each attempt; the last one is `outcome`."""
    rtt_ms: float | None = None
    local: str | None = None
    """The source address the connector's kernel chose."""
    seen: str | None = None
    listener: str | None = None
    error: str = ""
    sent: int = 0
    received: int = 0
    reached: int | None = None
    """Bytes of the largest IP packet that got through unfragmented, where that was asked."""
    stopped: str = ""
    """What became of larger ones: silence, or what a router said."""
    settling: int = 0
    """Refusals that did not count, because the listener could still be coming up."""
    duration_s: float = 0.0

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Measurement:
        """ProbeInconclusive when a line of the agent has not the shape of an answer."""
        try:
            return cls(
                id=str(answer["id"]),
                outcome=Outcome(answer["outcome"]),
                attempts=int(answer["attempts"]),
                history=tuple(Outcome(word) for word in answer["history"]),
                rtt_ms=None if answer.get("rtt_ms") is None else float(answer["rtt_ms"]),
                local=answer.get("local"),
                seen=answer.get("seen"),
                listener=answer.get("listener"),
                error=str(answer.get("error", "")),
                sent=int(answer.get("sent", 0)),
                received=int(answer.get("received", 0)),
                reached=None if answer.get("reached") is None else int(answer["reached"]),
                stopped=str(answer.get("stopped", "")),
                settling=int(answer.get("settling", 0)),
                duration_s=float(answer.get("duration_s", 0.0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProbeInconclusive(
                f"an answer of the agent cannot be read ({type(error).__name__}: {error})"
            ) from None

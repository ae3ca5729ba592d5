"""What happened on a path, and what should have."""

from __future__ import annotations

from enum import Enum, StrEnum


class Expectation(StrEnum):
    """What a path promises: reachable, not reachable, or nothing at all (characterised, not judged)."""

    OK = "ok"
    BLOCKED = "blocked"
    BY_DESIGN = "by-design"


class SourceExpectation(StrEnum):
    """Which source address the listener must see: the pod's own, the node's, any, or a global egress IP."""

    PRESERVED = "preserved"
    NODE = "node"
    ANY = "any"
    EGRESS = "egress"


class Outcome(StrEnum):
    """What pytest reports for a verdict."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"


class Verdict(Enum):
    """A measurement against an expectation; `word` is what reports print, `letter` what a matrix cell shows."""

    OK = ("ok", ".", Outcome.PASSED, "as expected")
    BLOCKED = ("blocked", "X", Outcome.FAILED, "should be reachable, is not")
    STALLED = ("stalled", "%", Outcome.FAILED, "handshake done, bulk data hangs")
    WRONG_SOURCE = ("wrong-source", "~", Outcome.FAILED, "reachable, but the listener saw another source than promised")
    UNEXPECTED = ("unexpected", "!", Outcome.FAILED, "should be blocked, is reachable")
    BY_DESIGN = ("by-design", "d", Outcome.PASSED, "not a promised path: the documented mechanism was found at work")
    INCONCLUSIVE = ("inconclusive", "?", Outcome.ERROR, "asked, but the answer cannot be trusted")
    ERROR = ("error", "E", Outcome.ERROR, "could not ask")
    KNOWN_ISSUE = ("known-issue", "k", Outcome.XFAILED, "fails, and a mark with its URL says so")
    SKIPPED = ("skipped", "s", Outcome.SKIPPED, "a stated requirement is not met")

    def __init__(self, word: str, letter: str, outcome: Outcome, meaning: str) -> None:
        self.word = word
        self.letter = letter
        self.outcome = outcome
        self.meaning = meaning

    @classmethod
    def from_word(cls, word: str) -> Verdict:
        """The verdict reports call `word`; ValueError for any other."""
        for verdict in cls:
            if verdict.word == word:
                return verdict
        raise ValueError(f"no verdict is called {word!r}; known: {', '.join(v.word for v in cls)}")

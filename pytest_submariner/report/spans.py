"""Lines of text in styles: what the terminal's section is made of before pytest puts colour on it."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_submariner.model.verdict import Outcome, Verdict


@dataclass(frozen=True)
class Span:
    """A piece of a line in one style: a name of `STYLES`, or empty."""

    text: str
    style: str = ""


Line = tuple[Span, ...]

STYLES: dict[str, dict[str, bool]] = {
    "": {},
    "good": {"green": True},
    "bad": {"red": True, "bold": True},
    "unsure": {"yellow": True},
    "design": {"cyan": True},
    "head": {"bold": True},
    "dim": {"light": True},
}
_BY_OUTCOME = {
    Outcome.PASSED: "good",
    Outcome.FAILED: "bad",
    Outcome.ERROR: "bad",
    Outcome.SKIPPED: "unsure",
    Outcome.XFAILED: "unsure",
}


def style(verdict: Verdict) -> str:
    return "design" if verdict is Verdict.BY_DESIGN else _BY_OUTCOME[verdict.outcome]

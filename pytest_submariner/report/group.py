"""Many paths in few words: what those of a group that are not as expected have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Outcome
from pytest_submariner.report.text import count, route

ENDS_SHOWN = 5
PATHS_SHOWN = 5


def failure(name: str, results: Sequence[PathResult], causes: Callable[[str], Sequence[Finding]]) -> str:
    """The message of a group: a first line with id and counts, the nodes that fail most at either end, a few paths in full."""
    bad = [r for r in results if r.verdict.outcome in (Outcome.FAILED, Outcome.ERROR)]
    words = Counter(result.verdict.word for result in bad)
    codes = list(dict.fromkeys(finding.code for result in bad for finding in causes(result.id)))
    told = ", ".join(f"{number} {word}" for word, number in words.most_common())
    lines = [f"{name}: {told} of {count(len(results), 'path')}" + (f" [{', '.join(codes)}]" if codes else "")]
    lines += ends("from", results, bad, lambda result: result.source_node)
    lines += ends("to", results, bad, lambda result: result.target_node)
    for result in bad[:PATHS_SHOWN]:
        about = ": ".join(part for part in (route(result), result.detail) if part)
        lines.append(f"{result.id}: {result.verdict.word}: {about}")
        if result.command:
            lines.append(f"  by hand: {result.command}")
    if len(bad) > PATHS_SHOWN:
        lines.append(f"… and {len(bad) - PATHS_SHOWN} more, all of them in the JSON report")
    return "\n".join(lines)


def ends(
    word: str, results: Sequence[PathResult], bad: Sequence[PathResult], node: Callable[[PathResult], str]
) -> list[str]:
    """The nodes at one end of failing paths, the worst first: `to c2-w17: 99 of 99`."""
    asked, failed = Counter(map(node, results)), Counter(map(node, bad))
    worst = sorted(
        (name for name in failed if name), key=lambda name: (-failed[name] / asked[name], -failed[name], name)
    )
    lines = [f"  {word} {name}: {failed[name]} of {asked[name]}" for name in worst[:ENDS_SHOWN]]
    return lines + ([f"  {word} {len(worst) - ENDS_SHOWN} more nodes"] if len(worst) > ENDS_SHOWN else [])

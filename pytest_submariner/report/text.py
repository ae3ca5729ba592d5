"""Paths in words: the sentences that terminal, Allure and Markdown share, so that they say the same thing."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.path import Kind, PathCase, Side
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import SourceExpectation

KINDS = {
    Kind.POD: "Pod",
    Kind.HOSTPOD: "Host-network pod",
    Kind.SVC: "Service",
    Kind.NODE: "Node address",
    Kind.VX: "vx-submariner address",
    Kind.GATEWAY: "Gateway",
}
PLACES = {"gw": "a gateway node", "pgw": "a passive gateway node", "ngw": "a non-gateway node"}
TAGS = {
    "samenode": "on one node",
    "pmtu": "largest size, don't fragment",
    "bulk": "1 MiB each way",
}
SOURCES = {
    SourceExpectation.PRESERVED: "the pod's own address",
    SourceExpectation.NODE: "the node's address",
    SourceExpectation.EGRESS: "a global egress IP",
}


def side(end: Side) -> str:
    """`Service on a gateway node`; a further node of a place has its ordinal: `Pod on a non-gateway node (2nd)`."""
    words = f"{KINDS[end.kind]} on {PLACES[end.place]}" if end.kind is not Kind.GATEWAY else "Gateway"
    if end.kind in (Kind.VX, Kind.NODE):
        words = f"{KINDS[end.kind]} of {PLACES[end.place]}"
    return words if end.ordinal == 1 else f"{words} ({end.ordinal}{_suffix(end.ordinal)})"


def title(case: PathCase) -> str:
    """A path as a sentence: `Pod on a non-gateway node → Service on a gateway node, c1 → c2, TCP`."""
    where = pair(case) if case.is_cross_cluster else f"inside {case.source.cluster}"
    tags = [TAGS.get(tag, tag.replace("-", " ")) for tag in case.tags]
    return ", ".join((f"{side(case.source)} → {side(case.target)}", where, _protocol(case), *tags))


def pair(case: PathCase) -> str:
    """`c1 → c2`, or `c1` for a path inside a cluster."""
    return f"{case.source.cluster} → {case.target.cluster}" if case.is_cross_cluster else case.source.cluster


def parse(path_id: str) -> PathCase | None:
    """The case of an id; None for ids of another grammar (a newer plugin's, or a suite of one's own)."""
    try:
        return PathCase.parse(path_id)
    except ValueError:
        return None


def route(result: PathResult) -> str:
    """Where the packets went, by names: `c1-w1 → c2-gw (10.9.0.7)`; empty when nobody got that far."""
    target = result.target_node
    if result.target_address:
        target = f"{target} ({result.target_address})" if target else result.target_address
    return f"{result.source_node} → {target}" if result.source_node and target else result.source_node or target


def source_address(result: PathResult) -> str | None:
    """What the listener saw against what was promised; None when it saw nobody."""
    if result.source_seen is None:
        return None
    if result.source_expected is SourceExpectation.ANY:
        return f"seen {result.source_seen}; none is promised"
    return f"promised {SOURCES[result.source_expected]}, seen {result.source_seen}"


def failure(result: PathResult, findings: Sequence[Finding] = ()) -> str:
    """The message of a failing path. Its first line has id, verdict and cause, for JUnit, Allure categories and `-ra`;
    then come what happened, why, what to do, and how to repeat it by hand."""
    causes = ", ".join(dict.fromkeys(f.code for f in findings)) or result.root_cause
    lines = [f"{result.id}: {result.verdict.word} ({result.verdict.meaning})" + (f" [{causes}]" if causes else "")]
    lines.append("; ".join(filter(None, (f"expected {result.expected.value}", result.detail))))
    if route(result):
        lines.append(f"path: {route(result)}")
    if source := source_address(result):
        lines.append(f"source address: {source}")
    lines += [f"  {line}" for line in result.evidence]
    for finding in findings:
        lines.append(f"cause: {finding.code} on {finding.node} ({finding.cluster}), {finding.object}")
        lines += [f"  {e.kind.value}: {e.text}" for e in finding.evidence]
        lines.append(f"  remedy: {finding.remedy}")
    if result.command:
        lines.append(f"by hand: {result.command}")
    return "\n".join(lines)


def count(number: int, noun: str) -> str:
    """`1 path`, `2 paths`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _protocol(case: PathCase) -> str:
    return "status" if case.protocol.value == "status" else case.protocol.value.upper()


def _suffix(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")

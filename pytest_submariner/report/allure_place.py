"""Where a path stands in Allure's tree, what it is called and what it leads to: pure, for items that run and for those that could not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_submariner.model.path import Kind, PathCase, Protocol
from pytest_submariner.report.text import KINDS, pair, side

ISSUE_3134 = "https://github.com/submariner-io/submariner/issues/3134"
ROUTE_AGENT = "https://submariner.io/getting-started/architecture/route-agent/"


@dataclass(frozen=True)
class Link:
    """`kind` is link or issue, as Allure knows them."""

    url: str
    name: str
    kind: str = "link"


def epic(case: PathCase) -> str:
    """The area: what an operator would ask about first."""
    if Kind.VX in (case.source.kind, case.target.kind):
        return "vx-submariner inside a cluster"
    if case.protocol is Protocol.STATUS:
        return "Gateway status"
    return "Between clusters" if case.is_cross_cluster else "Inside a cluster"


def feature(case: PathCase) -> str:
    """The family: `Pod to Service`."""
    return f"{KINDS[case.source.kind]} to {KINDS[case.target.kind]}"


def story(case: PathCase) -> str:
    """The two ends: `Pod on a non-gateway node → Service on a gateway node`."""
    return f"{side(case.source)} → {side(case.target)}"


def severity(case: PathCase) -> str:
    """By impact: applications between clusters first, then host-network pods, then the CNI's own paths."""
    if Kind.VX in (case.source.kind, case.target.kind):
        return "minor"
    if not case.is_cross_cluster:
        return "normal"
    return "critical" if case.source.kind is Kind.HOSTPOD else "blocker"


def labels(case: PathCase) -> Iterator[tuple[str, str]]:
    """(name, value), as result files have them."""
    yield "epic", epic(case)
    yield "feature", feature(case)
    yield "story", story(case)
    yield "parentSuite", pair(case)
    yield "suite", feature(case)
    yield "severity", severity(case)
    for tag in (case.protocol.value, *case.tags):
        yield "tag", tag


def links(case: PathCase, references: Iterable[str] = ()) -> Iterator[Link]:
    if Kind.VX in (case.source.kind, case.target.kind):
        yield Link(ISSUE_3134, "submariner issue 3134", "issue")
    if case.source.kind is Kind.HOSTPOD and case.is_cross_cluster:
        yield Link(ROUTE_AGENT, "Route Agent: why host-network traffic is rewritten")
    yield from (Link(url, url) for url in references if url.startswith(("http://", "https://")))

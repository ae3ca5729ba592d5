"""What a picture shows: the layout, how connections fared, where findings are, and the path that is drawn, if one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.path import Protocol
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Topology
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.text import count, parse, title
from pytest_submariner.report.topology_svg.hops import Hop, Tally, Way, tallies, way
from pytest_submariner.report.topology_svg.layout import Box, Layout, lay_out
from pytest_submariner.report.topology_svg.lost import Spot, spots

_TELLS = {
    "bad": "every path over it fails",
    "some": "some paths over it fail",
    "good": "every path over it is as expected",
    "": "no path over it was measured",
}


@dataclass(frozen=True)
class Scene:
    """`tallies` count by the first node of a box; they are empty when one path (`asked`, taking `way`) is drawn."""

    topology: Topology
    layout: Layout
    tallies: dict[Hop, Tally]
    spots: tuple[Spot, ...]
    asked: PathResult | None
    way: Way | None
    statuses: dict[tuple[str, str], PathResult]
    """What the Gateways say about their connections, by (position, remote position)."""

    @classmethod
    def of(
        cls, topology: Topology, results: Sequence[PathResult], findings: Sequence[Finding], path: str | None
    ) -> Scene:
        """With `path` only that one and the findings that explain it."""
        marked = spots([f for f in findings if path is None or path in f.paths], topology)
        asked = next((r for r in results if r.id == path), None) if path is not None else None
        taken = way(asked, topology) if asked else None
        found = {} if path is not None else tallies(results, topology)
        layout = lay_out(topology, _first(marked, taken, found))
        return cls(topology, layout, _by_box(found, layout), tuple(marked), asked, taken, _statuses(results))

    def state(self, hop: Hop) -> tuple[str, str]:
        """(css class, words) of a connection. Where one path is drawn there are no words, and its own lines stand for its hops."""
        if self.asked is not None:
            return "t-hidden" if self.way is not None and hop in self.way.hops else "t-calm", ""
        tally = self.tallies.get(hop, Tally())
        total = tally.good + tally.bad
        words = _TELLS[tally.state]
        if total:
            words += f" ({tally.bad} of {count(total, 'path')})" if tally.bad else f" ({count(total, 'path')})"
        return f"t-{tally.state or 'calm'}", words

    def is_end(self, box: Box) -> bool:
        """Whether the drawn path starts or ends in a box."""
        return self.way is not None and any(self.layout.boxes.get(end) is box for end in self.way.ends)

    def connection(self, one: str, other: str) -> str:
        """A cable's round trip as a Gateway measured it, or that it is not connected; empty when nobody asked."""
        for pair in ((one, other), (other, one)):
            status = self.statuses.get(pair)
            if status is not None and status.verdict is Verdict.OK:
                return f"connected, {status.rtt_ms:.2g} ms" if status.rtt_ms else "connected"
            if status is not None and status.verdict is Verdict.BLOCKED:
                return "not connected"
        return ""

    def describe(self) -> str:
        """The picture in words, for those who cannot see it."""
        sentences = []
        for cluster in self.topology.clusters:
            gateway = cluster.node_at("gw")
            where = f"gateway node {gateway.name}" if gateway else "no gateway node"
            sentences.append(f"{cluster.position} has {count(len(cluster.nodes), 'node')}, {where}")
        if self.asked is not None:
            case = parse(self.asked.id)
            sentences.append(f"{title(case) if case else self.asked.id}: {self.asked.verdict.word}")
        for spot in self.spots:
            where = spot.node or spot.finding.cluster
            sentences.append(f"{spot.finding.code} on {where}, {spot.finding.object}")
        return ". ".join(sentences)


def _first(marked: Sequence[Spot], taken: Way | None, found: dict[Hop, Tally]) -> list[tuple[str, str]]:
    """The nodes to show if not all can be: ends of the path, then those with findings, then those cut off."""
    ends = list(taken.ends) if taken else []
    named = [(spot.finding.cluster, spot.node) for spot in marked if spot.node]
    cut = [(hop.near, hop.far) for hop, tally in sorted(found.items()) if tally.state == "bad"]
    return list(dict.fromkeys((*ends, *named, *cut)))


def _by_box(found: dict[Hop, Tally], layout: Layout) -> dict[Hop, Tally]:
    """Hops of nodes that share a box count together, under the first of them."""
    merged: dict[Hop, Tally] = {}
    for hop, tally in found.items():
        box = layout.boxes.get((hop.near, hop.far))
        merged.setdefault(Hop(hop.lane, hop.near, box.nodes[0].name) if box else hop, Tally()).add(tally)
    return merged


def _statuses(results: Sequence[PathResult]) -> dict[tuple[str, str], PathResult]:
    asked = [(parse(result.id), result) for result in results if result.id.endswith(f"--{Protocol.STATUS}")]
    return {(case.source.cluster, case.target.cluster): result for case, result in asked if case is not None}

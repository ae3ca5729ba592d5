"""Findings on the picture, and what its lines mean."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_submariner.model.verdict import Outcome
from pytest_submariner.report.topology_svg import layout as at
from pytest_submariner.report.topology_svg.canvas import Canvas, Point, shorten
from pytest_submariner.report.topology_svg.hops import Lane
from pytest_submariner.report.topology_svg.layout import Box
from pytest_submariner.report.topology_svg.lost import Spot
from pytest_submariner.report.topology_svg.scene import Scene
from pytest_submariner.report.topology_svg.track import hop_point


def draw_marks(canvas: Canvas, scene: Scene) -> None:
    """A cross where a finding is, its code beside the node; one about a whole cluster stands at the gateway."""
    by_box: dict[int, tuple[Box, list[Spot]]] = {}
    for spot in scene.spots:
        position = spot.finding.cluster
        box = scene.layout.boxes.get((position, spot.node)) or scene.layout.panel(position).gateway
        if box is not None:
            by_box.setdefault(id(box), (box, []))[1].append(spot)
    for box, here in by_box.values():
        _mark(canvas, scene, box, here)


def _mark(canvas: Canvas, scene: Scene, box: Box, here: Sequence[Spot]) -> None:
    codes = list(dict.fromkeys(spot.finding.code for spot in here))
    group = canvas.group("t-mark", "; ".join(f"{s.finding.code}: {s.finding.object}" for s in here))
    words = shorten(codes[0], 22) if len(codes) == 1 else f"{len(codes)} causes"
    is_lower = box.y > scene.layout.lanes[Lane.CNI]
    canvas.text(box.x, box.y + at.NODE_HEIGHT + 16 if is_lower else box.y - 11, words, "t-code", into=group)
    for point in dict.fromkeys(_point(scene, box, spot) for spot in here):
        canvas.cross(point, "t-lost", into=group)


def _point(scene: Scene, box: Box, spot: Spot) -> Point:
    """At its hop, or the corner of its node."""
    return (hop_point(scene, spot.hop) if spot.hop else None) or (box.x + at.NODE_WIDTH, box.y)


def draw_legend(canvas: Canvas, scene: Scene) -> None:
    """A line per style that occurs."""
    entries: list[tuple[str, str]] = []
    if scene.way is not None:
        failed = " t-failed" if scene.asked and scene.asked.verdict.outcome in (Outcome.FAILED, Outcome.ERROR) else ""
        entries = [(f"t-request{failed}", "request"), (f"t-reply{failed}", "reply")]
        if failed and any(spot.hop in scene.way.hops for spot in scene.spots):
            entries = [(f"t-request{failed}", "request"), ("t-unreached", "not reached")]
    elif any(tally.bad for tally in scene.tallies.values()):
        entries = [("t-bad", "every path over it fails"), ("t-some", "some fail"), ("t-good", "none fails")]
    group, y, x = canvas.group("t-legend"), scene.layout.height - 12, at.MARGIN + 4.0
    for css, words in entries:
        canvas.line([(x, y - 4), (x + 26, y - 4)], f"t-line {css}", into=group)
        canvas.text(x + 34, y, words, "t-small", into=group)
        x += 34 + 6.4 * len(words) + 22
    if scene.spots:
        canvas.cross((x + 10, y - 4), "t-lost", into=group)
        canvas.text(x + 27, y, "where a finding is", "t-small", into=group)

"""One path: its request as a solid line, its reply dashed, each with an arrow where it arrives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pytest_submariner.model.verdict import Outcome
from pytest_submariner.report.topology_svg.canvas import Canvas, Point
from pytest_submariner.report.topology_svg.hops import Hop, Lane
from pytest_submariner.report.topology_svg.scene import Scene

APART = 5
"""What carries both request and reply carries them side by side, so far from its middle each."""


def draw_way(canvas: Canvas, scene: Scene) -> None:
    """Nothing for a path that stays on its node. Beyond the hop where a finding says it is lost a line is only hinted at."""
    if scene.way is None or scene.asked is None:
        return
    failed = " t-failed" if scene.asked.verdict.outcome in (Outcome.FAILED, Outcome.ERROR) else ""
    lost = {spot.hop: point for spot in scene.spots if spot.hop and (point := hop_point(scene, spot.hop))}
    source, target = (position for position, _ in scene.way.ends)
    travels = [("request", scene.way.request, source, -APART), ("reply", scene.way.reply, target, APART)]
    is_lost = False
    drawn = []
    for name, hops, start, shift in travels:
        for points, crossed in _lines(scene, hops, start, shift):
            at = next((lost[hop] for hop in crossed if hop in lost), None) if failed and not is_lost else None
            reached, beyond = cut(points, at) if at else ([], points) if is_lost else (points, [])
            is_lost = is_lost or at is not None
            drawn.append((name, reached, beyond))
    for name, reached, beyond in reversed(drawn):
        group = canvas.group(f"t-way t-{name}{failed}")
        if len(beyond) > 1:
            canvas.line(beyond, "t-line t-unreached", into=group)
            canvas.arrow(beyond[-1], _direction(beyond[-2:]), "t-head", into=group)
        if len(reached) > 1:
            canvas.line(reached, f"t-line t-{name}", into=group)
            if not beyond:
                canvas.arrow(reached[-1], _direction(reached[-2:]), "t-head", into=group)


def hop_point(scene: Scene, hop: Hop) -> Point | None:
    """The middle of a hop, where its mark stands; None when it is not on the picture."""
    if hop.lane is Lane.CABLE:
        return scene.layout.cable_middle(hop.near, hop.far) if scene.layout.cable(hop.near, hop.far) else None
    box = scene.layout.boxes.get((hop.near, hop.far))
    return scene.layout.near_drop(box, hop.lane) if box else None


def cut(points: Sequence[Point], at: Point) -> tuple[list[Point], list[Point]]:
    """A polyline of level and upright parts in two, where it comes nearest to `at`."""

    def nearest(one: Point, other: Point) -> Point:
        (x1, x2), (y1, y2) = sorted((one[0], other[0])), sorted((one[1], other[1]))
        return min(max(at[0], x1), x2), min(max(at[1], y1), y2)

    parts = [nearest(one, other) for one, other in pairwise(points)]
    index = min(range(len(parts)), key=lambda i: math.dist(parts[i], at))
    return [*points[: index + 1], parts[index]], [parts[index], *points[index + 1 :]]


def _lines(
    scene: Scene, hops: Sequence[Hop], start: str, shift: float
) -> Iterator[tuple[list[Point], tuple[Hop, ...]]]:
    """A line for every two drops that a lane joins, and one for a cable, each with the hops it is made of."""
    assert scene.way is not None
    both = set(scene.way.request) & set(scene.way.reply)
    waiting: tuple[list[Point], Hop] | None = None
    for hop in hops:
        if hop.lane is Lane.CABLE:
            yield _along_cable(scene, hop, start, shift), (hop,)
            continue
        aside = shift if hop in both else 0
        (x, edge), _ = scene.layout.drop(scene.layout.boxes[hop.near, hop.far], hop.lane)
        points = [(x + aside, edge), (x + aside, scene.layout.middle(hop.lane) + aside)]
        if waiting is None:
            waiting = points, hop
        else:
            yield _straight([*waiting[0], *reversed(points)]), (waiting[1], hop)
            waiting = None


def _straight(points: list[Point]) -> list[Point]:
    """Without points that lie on each other or between their neighbours on one upright line."""
    kept: list[Point] = []
    for point in points:
        if kept and point == kept[-1]:
            continue
        while len(kept) > 1 and kept[-1][0] == kept[-2][0] == point[0]:
            kept.pop()
        kept.append(point)
    return kept


def _along_cable(scene: Scene, hop: Hop, start: str, shift: float) -> list[Point]:
    """In the direction of travel, away from the cluster at `start`."""
    points = scene.layout.cable(hop.near, hop.far)
    if len(points) == 4:  # an arc: its upright parts move sideways, its level part up or down
        (x1, y1), (_, below), (x2, y2) = points[0], points[1], points[3]
        points = ((x1 - shift, y1), (x1 - shift, below + shift), (x2 + shift, below + shift), (x2 + shift, y2))
    else:
        points = tuple((x, y + shift) for x, y in points)
    other = hop.far if start == hop.near else hop.near
    is_left = scene.layout.panel(start).x < scene.layout.panel(other).x
    return list(points if is_left else reversed(points))


def _direction(last: Sequence[Point]) -> str:
    (x1, y1), (x2, y2) = last
    if abs(x2 - x1) > abs(y2 - y1):
        return "right" if x2 > x1 else "left"
    return "down" if y2 > y1 else "up"

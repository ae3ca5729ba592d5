"""One path: its request as a solid line, its reply dashed, each with an arrow where it arrives."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_submariner.model.verdict import Outcome
from pytest_submariner.report.topology_svg.canvas import Canvas, Point
from pytest_submariner.report.topology_svg.hops import Hop, Lane
from pytest_submariner.report.topology_svg.scene import Scene

APART = 5
"""What carries both request and reply carries them side by side, so far from its middle each."""


def draw_way(canvas: Canvas, scene: Scene) -> None:
    """Nothing for a path that stays on its node."""
    if scene.way is None or scene.asked is None:
        return
    failed = scene.asked.verdict.outcome in (Outcome.FAILED, Outcome.ERROR)
    source, target = (position for position, _ in scene.way.ends)
    for name, hops, start, shift in (
        ("reply", scene.way.reply, target, APART),
        ("request", scene.way.request, source, -APART),
    ):
        group = canvas.group(f"t-way t-{name}" + (" t-failed" if failed else ""))
        for points in _lines(scene, hops, start, shift):
            canvas.line(points, f"t-line t-{name}", into=group)
            canvas.arrow(points[-1], _direction(points[-2:]), "t-head", into=group)


def _lines(scene: Scene, hops: Sequence[Hop], start: str, shift: float) -> list[list[Point]]:
    """A line for every two drops that a lane joins, and one for a cable."""
    found: list[list[Point]] = []
    waiting: list[Point] = []
    assert scene.way is not None
    both = set(scene.way.request) & set(scene.way.reply)
    for hop in hops:
        if hop.lane is Lane.CABLE:
            found.append(_along_cable(scene, hop, start, shift))
            continue
        box = scene.layout.boxes[hop.near, hop.far]
        (x, edge), _ = scene.layout.drop(box, hop.lane)
        x += shift if hop in both else 0
        points = [(x, edge), (x, scene.layout.middle(hop.lane) + (shift if hop in both else 0))]
        if not waiting:
            waiting = points
        else:
            found.append(_straight([*waiting, *reversed(points)]))
            waiting = []
    return found


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

"""Where everything stands: a panel per cluster, its other nodes above the lanes vx-submariner and CNI, its gateway below.

All lengths are in px of the picture's own coordinates. Cables join neighbouring panels straight, others by arcs below.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.report.topology_svg.canvas import Point
from pytest_submariner.report.topology_svg.hops import Lane

NODE_WIDTH, NODE_HEIGHT, NODE_GAP = 140, 66, 14
PAD, HEADER, NOTE = 20, 62, 20
"""Inside a panel: padding, its title's height, the line for a finding above or below a box."""
GUTTER = 98
"""The lanes' names stand left of all nodes, so that no line crosses a word."""
LANE_HEIGHT, LANE_GAP = 26, 30
PANEL_GAP = 132
ARC_STEP, ARC_APART, MARGIN, LEGEND = 30, 9, 12, 34
DROP = 26
"""A node's line to vx-submariner is so far left of its middle, that to the CNI so far right."""
SHOWN = 3
"""Boxes in the upper row; further nodes stand behind the last of them."""


@dataclass(frozen=True)
class Box:
    """A node, or those that have no box of their own."""

    nodes: tuple[Node, ...]
    x: float
    y: float

    @property
    def is_group(self) -> bool:
        return len(self.nodes) > 1

    @property
    def middle(self) -> float:
        return self.x + NODE_WIDTH / 2

    def drop(self, lane: Lane) -> float:
        """The x of its line to a lane."""
        return self.middle + (-DROP if lane is Lane.VX else DROP)


@dataclass(frozen=True)
class Panel:
    """A cluster's place."""

    cluster: Cluster
    x: float
    width: float
    upper: tuple[Box, ...]
    gateway: Box | None

    @property
    def boxes(self) -> tuple[Box, ...]:
        return (*self.upper, *((self.gateway,) if self.gateway else ()))


@dataclass(frozen=True)
class Layout:
    """The whole picture. `lanes` are the upper edges of the lanes, the same in every panel."""

    panels: tuple[Panel, ...]
    width: float
    height: float
    panel_height: float
    lanes: dict[Lane, float]
    boxes: dict[tuple[str, str], Box] = field(default_factory=dict)
    """(position, node) to the box it stands in."""

    def panel(self, position: str) -> Panel:
        return next(panel for panel in self.panels if panel.cluster.position == position)

    def middle(self, lane: Lane) -> float:
        return self.lanes[lane] + LANE_HEIGHT / 2

    def drop(self, box: Box, lane: Lane) -> tuple[Point, Point]:
        """A node's line to a lane: from the edge of its box to the lane's nearer edge."""
        x, top = box.drop(lane), self.lanes[lane]
        if box.y > top:
            return (x, box.y), (x, top + LANE_HEIGHT)
        return (x, box.y + NODE_HEIGHT), (x, top)

    def near_drop(self, box: Box, lane: Lane) -> Point:
        """The middle of that line's part which crosses no other lane."""
        (x, edge), _ = self.drop(box, lane)
        return x, edge + (-LANE_GAP if box.y > self.lanes[lane] else LANE_GAP) / 2

    def cable(self, one: str, other: str) -> tuple[Point, ...]:
        """The cable of two positions: two points for neighbours; else four, down, across and up. Empty without gateways."""
        first, second = sorted(map(self.panel, (one, other)), key=self.panels.index)
        if first.gateway is None or second.gateway is None:
            return ()
        near, far = self.panels.index(first), self.panels.index(second)
        if far - near == 1:
            y = first.gateway.y + NODE_HEIGHT / 2
            return (first.gateway.x + NODE_WIDTH, y), (second.gateway.x, y)
        y, fan = first.gateway.y + NODE_HEIGHT, ARC_APART * (far - near - 1)
        below = self.panel_height + MARGIN + ARC_STEP * (1 + arc_rows(len(self.panels))[near, far])
        left, right = first.gateway.middle + fan, second.gateway.middle - fan
        return (left, y), (left, below), (right, below), (right, y)

    def cable_middle(self, one: str, other: str) -> Point:
        """Where a cable has its name and its marks: between the panels of neighbours, at the bottom of an arc."""
        points = self.cable(one, other)
        if len(points) == 2:
            first = min(map(self.panel, (one, other)), key=self.panels.index)
            return first.x + first.width + PANEL_GAP / 2, points[0][1]
        return (points[1][0] + points[2][0]) / 2, points[1][1]


def lay_out(topology: Topology, first: Collection[tuple[str, str]] = ()) -> Layout:
    """Give everything a place. Of many nodes those in `first` ((position, node), most important first) get boxes of their own."""
    upper = MARGIN + HEADER + NOTE
    vx = upper + NODE_HEIGHT + LANE_GAP
    cni = vx + LANE_HEIGHT + LANE_GAP
    lower = cni + LANE_HEIGHT + LANE_GAP
    bottom = lower + NODE_HEIGHT + NOTE + PAD / 2
    panels: list[Panel] = []
    x: float = MARGIN
    rank = {end: number for number, end in reversed(list(enumerate(first)))}
    for cluster in topology.clusters:
        panel = _panel(cluster, x, upper, lower, rank)
        panels.append(panel)
        x += panel.width + PANEL_GAP
    arcs = max(arc_rows(len(panels)).values(), default=-1) + 1
    return Layout(
        panels=tuple(panels),
        width=max(x - PANEL_GAP + MARGIN, 0),
        height=bottom + (ARC_STEP * arcs + NOTE if arcs else 0) + LEGEND,
        panel_height=bottom - MARGIN,
        lanes={Lane.VX: vx, Lane.CNI: cni},
        boxes={(p.cluster.position, node.name): box for p in panels for box in p.boxes for node in box.nodes},
    )


@cache
def arc_rows(count: int) -> dict[tuple[int, int], int]:
    """The row of each cable between panels that are no neighbours, short ones on top; arcs of a row don't overlap."""
    rows: list[list[tuple[int, int]]] = []
    placed: dict[tuple[int, int], int] = {}
    for near, far in sorted(combinations(range(count), 2), key=lambda pair: (pair[1] - pair[0], pair)):
        if far - near < 2:
            continue
        free = (i for i, row in enumerate(rows) if all(far < a or near > b for a, b in row))
        row = next(free, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append((near, far))
        placed[near, far] = row
    return placed


def _panel(cluster: Cluster, x: float, upper: float, lower: float, rank: dict[tuple[str, str], int]) -> Panel:
    active = cluster.nodes_with(Role.GATEWAY)
    others = [
        *sorted(cluster.nodes_with(Role.PASSIVE), key=_natural),
        *sorted(cluster.nodes_with(Role.NON_GATEWAY), key=_natural),
    ]
    columns = _columns(others, rank)
    count = max(len(columns), 1)
    inner = count * NODE_WIDTH + (count - 1) * NODE_GAP
    left = x + PAD + GUTTER
    boxes = tuple(Box(nodes, left + i * (NODE_WIDTH + NODE_GAP), upper) for i, nodes in enumerate(columns))
    gateway = Box(active, left + (inner - NODE_WIDTH) / 2, lower) if active else None
    return Panel(cluster, x, PAD + GUTTER + inner + PAD, boxes, gateway)


def _natural(node: Node) -> list[tuple[int, str]]:
    """`w9` before `w10`."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"([0-9]+)", node.name)]


def _columns(nodes: list[Node], rank: dict[tuple[str, str], int]) -> list[tuple[Node, ...]]:
    """Each node a column, or the most important ones and the rest together; what is shown keeps its order."""
    if len(nodes) <= SHOWN:
        return [(node,) for node in nodes]
    last = len(rank)
    order = sorted(range(len(nodes)), key=lambda i: (rank.get((nodes[i].cluster, nodes[i].name), last), i))
    alone = sorted(order[: SHOWN - 1])
    rest = tuple(nodes[i] for i in sorted(order[SHOWN - 1 :]))
    return [*((nodes[i],) for i in alone), rest]

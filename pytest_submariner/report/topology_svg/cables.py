"""Cables between the gateways of every two clusters."""

from __future__ import annotations

from itertools import combinations

from pytest_submariner.report.topology_svg.canvas import Canvas, shorten
from pytest_submariner.report.topology_svg.hops import Hop
from pytest_submariner.report.topology_svg.scene import Scene


def draw_cables(canvas: Canvas, scene: Scene) -> None:
    """Straight between neighbours, an arc below the panels between others."""
    for one, other in _pairs(scene):
        css, words = scene.state(Hop.cable(one, other))
        told = f"{_driver(scene, one)} {one} – {other}: {words}" if words else ""
        canvas.line(scene.layout.cable(one, other), "t-line", into=canvas.group(f"t-cable {css}", told))


def name_cables(canvas: Canvas, scene: Scene) -> None:
    """The driver, and what the Gateways say; above all lines."""
    group = canvas.group("t-cables")
    for one, other in _pairs(scene):
        x, y = scene.layout.cable_middle(one, other)
        if len(scene.layout.cable(one, other)) == 2:
            canvas.text(x, y - 16, _driver(scene, one), "t-cable-name", into=group, anchor="middle")
            canvas.text(x, y + 26, scene.connection(one, other), "t-small", into=group, anchor="middle")
        else:
            said = ", ".join(filter(None, (f"{one} – {other}", scene.connection(one, other))))
            canvas.text(x, y + 4, said, "t-small t-halo", into=group, anchor="middle")


def _pairs(scene: Scene) -> list[tuple[str, str]]:
    every = combinations((cluster.position for cluster in scene.topology.clusters), 2)
    return [pair for pair in every if scene.layout.cable(*pair)]


def _driver(scene: Scene, position: str) -> str:
    driver = scene.topology.cluster(position).cable_driver
    return shorten(f"{driver} cable", 18) if driver else "cable"

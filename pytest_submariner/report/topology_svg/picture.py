"""The picture, drawn from back to front."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Topology
from pytest_submariner.report.topology_svg.cables import draw_cables, name_cables
from pytest_submariner.report.topology_svg.canvas import Canvas
from pytest_submariner.report.topology_svg.marks import draw_legend, draw_marks
from pytest_submariner.report.topology_svg.panels import draw_box, draw_drops, draw_panel
from pytest_submariner.report.topology_svg.scene import Scene
from pytest_submariner.report.topology_svg.track import draw_way


def render_topology(
    topology: Topology,
    results: Sequence[PathResult],
    findings: Sequence[Finding] = (),
    path: str | None = None,
    *,
    embedded: bool = False,
) -> str:
    """An `<svg>` element. Without `path` every connection is coloured by the measured paths over it; with the id of one, its
    request and its reply are drawn. Findings (with `path` those that explain it) are marked where they are. `embedded` leaves
    out the style sheet and the ground, for a page that has both (`style_sheet`)."""
    scene = Scene.of(topology, results, findings, path)
    layout = scene.layout
    canvas = Canvas(layout.width, layout.height, "Topology", scene.describe())
    if not embedded:
        canvas.style(style_sheet())
        canvas.rect(0, 0, layout.width, layout.height, "t-paper", radius=0, into=canvas.root)
    for panel in layout.panels:
        draw_panel(canvas, scene, panel)
    draw_cables(canvas, scene)
    for panel in layout.panels:
        for box in panel.boxes:
            draw_drops(canvas, scene, panel, box)
    draw_way(canvas, scene)
    name_cables(canvas, scene)
    for panel in layout.panels:
        for box in panel.boxes:
            draw_box(canvas, scene, box)
    draw_marks(canvas, scene)
    draw_legend(canvas, scene)
    return str(canvas)


def style_sheet() -> str:
    """The picture's CSS, light and dark."""
    return files("pytest_submariner.report.topology_svg").joinpath("topology.css").read_text(encoding="utf-8")

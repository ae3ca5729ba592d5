"""The clusters as a picture: nodes by role, vx-submariner, CNI and cables; failing paths, or one path, drawn on it."""

from pytest_submariner.report.topology_svg.picture import render_topology

__all__ = ["render_topology"]

"""Clusters, their lanes and their nodes."""

from __future__ import annotations

from pytest_submariner.model.topology import Role
from pytest_submariner.report.text import count
from pytest_submariner.report.topology_svg import layout as at
from pytest_submariner.report.topology_svg.canvas import Canvas, shorten
from pytest_submariner.report.topology_svg.hops import Hop, Lane
from pytest_submariner.report.topology_svg.layout import Box, Panel
from pytest_submariner.report.topology_svg.scene import Scene

ROLES = {Role.GATEWAY: "gateway node", Role.PASSIVE: "passive gateway", Role.NON_GATEWAY: "non-gateway node"}


def draw_panel(canvas: Canvas, scene: Scene, panel: Panel) -> None:
    """The cluster's frame, its name and ranges, and the lanes every node of it is connected to."""
    cluster, group = panel.cluster, canvas.group("t-panel")
    canvas.rect(panel.x, at.MARGIN, panel.width, scene.layout.panel_height, "t-cluster", radius=14, into=group)
    left, room = panel.x + at.PAD, panel.width - 2 * at.PAD
    name = cluster.position if cluster.cluster_id == cluster.position else f"{cluster.position} · {cluster.cluster_id}"
    canvas.text(left, at.MARGIN + 28, shorten(name, int(room / 9.5)), "t-title", into=group)
    ranges = [f"pods {', '.join(cluster.pod_cidrs)}"] if cluster.pod_cidrs else []
    ranges += [f"services {', '.join(cluster.service_cidrs)}"] if cluster.service_cidrs else []
    canvas.text(left, at.MARGIN + 47, shorten(", ".join(ranges), int(room / 5.9)), "t-small", into=group)
    for lane, top in scene.layout.lanes.items():
        css = "t-lane t-lane-vx" if lane is Lane.VX else "t-lane"
        canvas.rect(panel.x + at.PAD / 2, top, panel.width - at.PAD, at.LANE_HEIGHT, css, radius=7, into=group)
        word = f"CNI {cluster.network_plugin}" if lane is Lane.CNI and cluster.network_plugin else lane.value
        canvas.text(left, top + 17, shorten(word, 15), "t-lane-name", into=group)


def draw_drops(canvas: Canvas, scene: Scene, panel: Panel, box: Box) -> None:
    """A node's lines to vx-submariner and to the CNI."""
    name = count(len(box.nodes), "node") if box.is_group else box.nodes[0].name
    for lane in (Lane.VX, Lane.CNI):
        css, words = scene.state(Hop(lane, panel.cluster.position, box.nodes[0].name))
        group = canvas.group(f"t-drop {css}", f"{name}, {lane.value}: {words}" if words else "")
        canvas.line(scene.layout.drop(box, lane), "t-line", into=group)


def draw_box(canvas: Canvas, scene: Scene, box: Box) -> None:
    """A node with its role and address, or a stack of those that have no box of their own."""
    node = box.nodes[0]
    css = "t-node" + (" t-gateway" if node.role is Role.GATEWAY else "") + (" t-end" if scene.is_end(box) else "")
    told = shorten(", ".join(n.name for n in box.nodes), 600)
    group = canvas.group(css, told if box.is_group else f"{told}, {ROLES[node.role]}, {node.internal_ip}")
    if box.is_group:
        for shift in (8, 4):
            size = at.NODE_WIDTH - 2 * shift, at.NODE_HEIGHT
            canvas.rect(box.x + shift, box.y - shift, *size, "t-behind", radius=9, into=group)
    canvas.rect(box.x, box.y, at.NODE_WIDTH, at.NODE_HEIGHT, "t-box", radius=9, into=group)
    for offset, words, style in zip((23, 40, 56), _lines(box), ("t-name", "t-small", "t-address"), strict=True):
        canvas.text(box.x + 12, box.y + offset, words, style, into=group)


def _lines(box: Box) -> tuple[str, str, str]:
    node, last = box.nodes[0], box.nodes[-1]
    if not box.is_group:
        return shorten(node.name, 15), ROLES[node.role], shorten(node.internal_ip, 17)
    passive = sum(1 for n in box.nodes if n.role is Role.PASSIVE)
    kinds = f"{passive} of them passive" if passive else "non-gateway nodes"
    return f"{len(box.nodes)} more", kinds, f"{shorten(node.name, 7)} … {shorten(last.name, 7)}"

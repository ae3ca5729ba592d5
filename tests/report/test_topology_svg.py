"""The picture of the topology: what it shows of paths and findings, as XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from synthetic_runs import HOSTILE, cut_off, default_run, mesh_run, overlay_link_down, record, topology

from pytest_submariner.model.finding import Evidence, EvidenceKind, Finding
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.topology import Node, Role, Topology
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report.recorder import Recorder
from pytest_submariner.report.topology_svg import render_topology
from pytest_submariner.report.topology_svg.canvas import shorten
from pytest_submariner.report.topology_svg.hops import Hop, Lane, tallies, way
from pytest_submariner.report.topology_svg.layout import arc_rows
from pytest_submariner.report.topology_svg.lost import spots
from pytest_submariner.report.topology_svg.track import cut

SVG = "{http://www.w3.org/2000/svg}"


def drawn(recorder: Recorder, path: str | None = None) -> ET.Element:
    assert recorder.topology is not None
    return ET.fromstring(render_topology(recorder.topology, recorder.results, recorder.findings, path))


def words(picture: ET.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def groups(picture: ET.Element, css: str) -> list[str]:
    """What groups of a style say when pointed at."""
    found = [g for g in picture.iter(f"{SVG}g") if css in (g.get("class") or "").split()]
    return [title.text or "" for g in found for title in g.iter(f"{SVG}title")]


def hops(path_id: str, world: Topology | None = None) -> tuple[tuple[Hop, ...], tuple[Hop, ...]]:
    world = world or topology()
    result = record(world, [PathCase.parse(path_id)]).results[0]
    taken = way(result, world)
    assert taken is not None
    return taken.request, taken.reply


def test_way_out_is_submariners_and_way_in_the_cnis() -> None:
    request, reply = hops("pod.ngw.c1--pod.ngw.c2--tcp")
    assert request == (
        Hop(Lane.VX, "c1", "c1-w1"),
        Hop(Lane.VX, "c1", "c1-gw"),
        Hop.cable("c1", "c2"),
        Hop(Lane.CNI, "c2", "c2-gw"),
        Hop(Lane.CNI, "c2", "c2-w1"),
    )
    assert reply == (
        Hop(Lane.VX, "c2", "c2-w1"),
        Hop(Lane.VX, "c2", "c2-gw"),
        Hop.cable("c1", "c2"),
        Hop(Lane.CNI, "c1", "c1-gw"),
        Hop(Lane.CNI, "c1", "c1-w1"),
    )


@pytest.mark.parametrize(
    ("path_id", "request_lanes", "reply_lanes"),
    [
        ("pod.gw.c1--pod.gw.c2--tcp", ["cable"], ["cable"]),
        ("pod.ngw.c1--pod.gw.c1--tcp", ["CNI", "CNI"], ["CNI", "CNI"]),
        ("hostpod.ngw.c1--vx.gw.c1--icmp", ["vx-submariner", "vx-submariner"], ["CNI", "CNI"]),
        ("pod.gw.c1--pod.gw.c1--tcp--samenode", [], []),
        ("gateway.gw.c1--gateway.gw.c2--status", ["cable"], ["cable"]),
    ],
)
def test_lanes_of_other_paths(path_id: str, request_lanes: list[str], reply_lanes: list[str]) -> None:
    request, reply = hops(path_id)
    assert ([hop.lane.value for hop in request], [hop.lane.value for hop in reply]) == (request_lanes, reply_lanes)


def test_path_of_unknown_places_has_no_way() -> None:
    result = record(topology(), [PathCase.parse("pod.gw.c1--pod.gw.c2--tcp")]).results[0]
    assert way(replace(result, id="pod.gw.c1--pod.gw.c7--tcp"), topology()) is None
    assert way(replace(result, target_node="elsewhere"), topology()) is None
    assert way(replace(result, id="something else"), topology()) is None


def test_dead_overlay_is_where_every_path_fails() -> None:
    recorder = default_run(cut_off("c1-w1"))
    assert recorder.topology is not None
    found = tallies(recorder.results, recorder.topology)
    bad = {hop for hop, tally in found.items() if tally.state == "bad"}
    assert bad == {Hop(Lane.VX, "c1", "c1-w1"), Hop(Lane.VX, "c1", "c1-gw")}
    assert found[Hop.cable("c1", "c2")].state == "some"
    assert any(
        told.startswith("c1-w1, vx-submariner: every path over it fails (") for told in groups(drawn(recorder), "t-bad")
    )


def test_what_nobody_asked_does_not_count() -> None:
    recorder = default_run(lambda case: Verdict.SKIPPED if case.is_cross_cluster else Verdict.ERROR)
    assert recorder.topology is not None
    assert tallies(recorder.results, recorder.topology) == {}
    assert groups(drawn(recorder), "t-bad") == []


@pytest.mark.parametrize(
    ("code", "named", "hop"),
    [
        ("OVERLAY_LINK_DOWN", "vx-submariner", Hop(Lane.VX, "c1", "c1-w1")),
        ("HOST_SOMETHING", "route 10.9.0.0/16 via vx-submariner", Hop(Lane.VX, "c1", "c1-w1")),
        ("CABLE_TUNNEL_PORT_BLOCKED", "UDP 4500", Hop.cable("c1", "c2")),
        ("CNI_ROUTE_MISSING", "route 10.8.1.0/24", Hop(Lane.CNI, "c1", "c1-w1")),
        ("NF_HOSTNET_SNAT_MISSING", "nat/SUBMARINER-POSTROUTING", None),
    ],
)
def test_finding_has_its_spot(code: str, named: str, hop: Hop | None) -> None:
    finding = Finding(code, "c1", "c1-w1", named, (), "")
    assert [(spot.node, spot.hop) for spot in spots([finding], topology())] == [("c1-w1", hop)]


def test_cable_of_three_clusters_is_the_one_its_paths_cross() -> None:
    finding = Finding(
        "CABLE_X", "c1", "c1-gw", "cable", (), "", ("pod.gw.c1--pod.gw.c3--tcp", "pod.gw.c3--pod.gw.c1--tcp")
    )
    assert spots([finding], topology(3))[0].hop == Hop.cable("c1", "c3")
    assert spots([replace(finding, paths=())], topology(3))[0].hop is None


def test_finding_about_an_unknown_cluster_is_not_drawn() -> None:
    recorder = default_run()
    recorder.add_finding(Finding("X", "c9", "n", "o", (Evidence(EvidenceKind.STATE, "t"),), "r"))
    assert groups(drawn(recorder), "t-mark") == []


def test_one_failing_path_ends_where_it_is_lost() -> None:
    recorder = overlay_link_down(default_run(cut_off("c1-w1")))
    picture = drawn(recorder, "pod.ngw.c1--pod.ngw.c2--tcp")
    lines = [path.get("class") or "" for path in picture.iter(f"{SVG}path")]
    assert "t-line t-request" in lines
    assert "t-line t-unreached" in lines
    assert "t-line t-reply" not in lines
    assert groups(picture, "t-mark") == ["OVERLAY_LINK_DOWN: vx-submariner"]
    assert "not reached" in words(picture)
    assert "Pod on a non-gateway node → Pod on a non-gateway node, c1 → c2, TCP: blocked" in (
        picture.get("aria-label") or ""
    )


def test_finding_of_other_paths_is_not_on_the_picture_of_one() -> None:
    recorder = overlay_link_down(default_run(cut_off("c1-w1")))
    picture = drawn(recorder, "pod.gw.c1--pod.gw.c2--tcp")
    assert groups(picture, "t-mark") == []
    assert {"request", "reply"} <= set(words(picture))


def test_of_many_nodes_the_important_ones_are_shown() -> None:
    recorder = overlay_link_down(mesh_run(49, cut_off("c1-w17")), "c1-w17")
    shown = words(drawn(recorder))
    assert {"c1-gw", "c1-w1", "c1-w17", "47 more"} <= set(shown)
    assert len(shown) < 40
    one = words(drawn(recorder, "pod.ngw5.c1--pod.ngw.c2--tcp"))
    assert "c1-w5" in one


@pytest.mark.parametrize("clusters", [1, 2, 3, 9])
def test_every_two_clusters_have_their_cable(clusters: int) -> None:
    cables = [t for t in groups(drawn(record(topology(clusters), [])), "t-cable") if t.startswith("vxlan cable")]
    assert len(cables) == clusters * (clusters - 1) // 2


def test_arcs_of_a_row_do_not_overlap() -> None:
    rows: dict[int, list[tuple[int, int]]] = {}
    for pair, row in arc_rows(9).items():
        rows.setdefault(row, []).append(pair)
    assert sum(map(len, rows.values())) == 28
    for pairs in rows.values():
        for one, other in zip(sorted(pairs), sorted(pairs)[1:], strict=False):
            assert one[1] < other[0]


def test_hostile_names_stay_text() -> None:
    recorder = default_run()
    assert recorder.topology is not None
    first, second = recorder.topology.clusters
    nodes = (*first.nodes, Node(HOSTILE, "c1", Role.NON_GATEWAY, HOSTILE))
    hostile = replace(first, nodes=nodes, cluster_id=HOSTILE, cable_driver=HOSTILE, network_plugin=HOSTILE)
    recorder.topology = Topology((hostile, second), "lab")
    recorder.add_finding(Finding(HOSTILE, "c1", HOSTILE, HOSTILE, (), HOSTILE))
    picture = drawn(recorder)
    assert not [element for element in picture.iter() if element.tag.removeprefix(SVG) in ("script", "img", "image")]


def test_embedded_picture_leaves_its_style_to_the_page() -> None:
    world = topology()
    assert "<style>" in render_topology(world, [])
    assert "<style>" not in render_topology(world, [], embedded=True)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("c1-w1", "c1-w1"),
        ("ip-10-0-12-34.eu-west-1.compute.internal", "ip-10-0-12-34…"),
        ("kubernetes-node-pool-blue-0001", "kubernete…-0001"),
    ],
)
def test_long_names_keep_what_tells_them_apart(name: str, short: str) -> None:
    assert shorten(name, 15) == short


def test_a_line_is_cut_where_it_is_nearest() -> None:
    reached, beyond = cut([(0, 0), (0, 10), (20, 10)], (12, 11))
    assert reached == [(0, 0), (0, 10), (12, 10)]
    assert beyond == [(12, 10), (20, 10)]

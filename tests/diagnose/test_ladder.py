"""Which rungs a flow has to pass, by where its ends are, the CNI and the cable."""

from __future__ import annotations

from dataclasses import replace

import pytest
from captures import flow_of
from observations import changed, healthy

from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.ladder import Form, form, is_readable, ladder
from pytest_submariner.diagnose.tracing.trace import Rung, Way
from pytest_submariner.model.topology import Role


def rungs(seen: Observation, path: str) -> tuple[Rung, ...]:
    return ladder(flow_of(seen, path), seen.topology, seen.sights)


def shape(found: tuple[Rung, ...], way: Way) -> str:
    """`c1-w1 1 2 3, c1-gw 4 5`: the numbers by node, in order."""
    nodes: list[tuple[str, list[str]]] = []
    for rung in found:
        if rung.way is way:
            if not nodes or nodes[-1][0] != rung.node:
                nodes.append((rung.node, []))
            nodes[-1][1].append(str(rung.number))
    return ", ".join(" ".join((node, *numbers)) for node, numbers in nodes)


@pytest.mark.parametrize(
    ("path", "there", "back"),
    [
        (
            "pod.ngw.c1--pod.ngw.c2--tcp",
            "c1-w1 1 2 3, c1-gw 4 5 6 7, c2-gw 8 9 10, c2-w1 11 12",
            "c2-w1 1 2 3, c2-gw 4 5 6 7, c1-gw 8 9 10, c1-w1 11 12",
        ),
        ("pod.gw.c1--pod.gw.c2--tcp", "c1-gw 1 6 7, c2-gw 8 9 12", "c2-gw 1 6 7, c1-gw 8 9 12"),
        (
            "pod.gw.c1--svc.ngw.c2--udp",
            "c1-gw 1 6 7, c2-gw 8 9 10, c2-w1 11 12",
            "c2-w1 1 2 3, c2-gw 4 5 6 7, c1-gw 8 9 12",
        ),
        (
            "hostpod.ngw.c1--pod.gw.c2--icmp",
            "c1-w1 2 3, c1-gw 4 5 6 7, c2-gw 8 9 12",
            "c2-gw 1 6 7, c1-gw 8 9 10, c1-w1 11",
        ),
        ("hostpod.gw.c1--pod.gw.c2--tcp", "c1-gw 6 7, c2-gw 8 9 12", "c2-gw 1 6 7, c1-gw 8 9"),
        ("pod.ngw.c1--pod.gw.c1--tcp", "c1-w1 1 10, c1-gw 11 12", "c1-gw 1 10, c1-w1 11 12"),
        ("hostpod.gw.c1--node.ngw.c1--icmp", "c1-gw 10, c1-w1 11", "c1-w1 10, c1-gw 11"),
        ("pod.gw.c1--pod.gw.c1--tcp--samenode", "c1-gw 1 12", "c1-gw 1 12"),
        ("hostpod.ngw.c1--vx.gw.c1--icmp", "", ""),
    ],
)
def test_the_way_by_the_ends(path: str, there: str, back: str) -> None:
    found = rungs(healthy(), path)
    assert (shape(found, Way.REQUEST), shape(found, Way.REPLY)) == (there, back)


def test_devices_directions_and_forms() -> None:
    found = {r.number: r for r in rungs(healthy(), "pod.ngw.c1--pod.ngw.c2--tcp") if r.way is Way.REQUEST}
    told = {number: (rung.device, rung.direction, form(rung).value) for number, rung in found.items()}
    assert told == {
        1: ("", "in", "bare"),
        2: ("vx-submariner", "out", "bare"),
        3: ("eth0", "out", "overlay"),
        4: ("eth0", "in", "overlay"),
        5: ("vx-submariner", "in", "bare"),
        6: ("vxlan-tunnel", "out", "bare"),
        7: ("eth0", "out", "cable"),
        8: ("eth0", "in", "cable"),
        9: ("vxlan-tunnel", "in", "bare"),
        10: ("", "out", "CNI"),
        11: ("", "in", "CNI"),
        12: ("", "out", "bare"),
    }


@pytest.mark.parametrize(
    ("driver", "sixth", "ninth", "readable"),
    [("vxlan", "vxlan-tunnel", "vxlan-tunnel", True), ("wireguard", "submariner", "submariner", False)],
)
def test_cables_with_a_device(driver: str, sixth: str, ninth: str, readable: bool) -> None:
    seen = healthy(cable=driver)
    found = {r.number: r.device for r in rungs(seen, "pod.gw.c1--pod.gw.c2--tcp") if r.way is Way.REQUEST}
    assert (found[6], found[9], is_readable(seen.clusters[0])) == (sixth, ninth, readable)


def test_ipsec_has_no_device_and_what_it_decrypts_enters_by_the_nic() -> None:
    found = {
        r.number: r for r in rungs(healthy(cable="libreswan"), "pod.gw.c1--pod.gw.c2--tcp") if r.way is Way.REQUEST
    }
    assert 6 not in found
    assert (found[9].device, form(found[9])) == ("eth0", Form.BARE)


def test_ovn_kubernetes_has_no_vx_submariner() -> None:
    seen = healthy()
    clusters = tuple(replace(cluster, network_plugin="OVNKubernetes") for cluster in seen.clusters)
    found = rungs(replace(seen, topology=replace(seen.topology, clusters=clusters)), "pod.ngw.c1--pod.ngw.c2--tcp")
    assert shape(found, Way.REQUEST) == "c1-w1 1, c1-gw 5 6 7, c2-gw 8 9 10, c2-w1 11 12"
    assert {rung.device for rung in found if rung.number in (5, 10)} == {"ovn-k8s-mp0"}


def test_the_nic_is_the_default_routes_and_unknown_where_nothing_was_read() -> None:
    path = "pod.ngw.c1--pod.gw.c2--tcp"

    def nic(seen: Observation) -> str:
        return next(r.device for r in rungs(seen, path) if (r.way, r.number) == (Way.REQUEST, 3))

    seen = healthy()
    assert nic(seen) == "eth0"
    without_facts = replace(seen.sights["c1", "c1-w1"], facts=None)
    assert nic(replace(seen, sights={**seen.sights, ("c1", "c1-w1"): without_facts})) == "eth0"
    assert nic(replace(seen, sights={})) == ""
    lost = changed(replace(seen, sights={("c1", "c1-w1"): without_facts}), "c1-w1", routes=())
    assert nic(lost) == ""


def test_without_an_active_gateway_the_way_ends_where_it_is_missed() -> None:
    seen = healthy()
    home = seen.topology.cluster("c1")
    nodes = tuple(replace(n, role=Role.PASSIVE) if n.role is Role.GATEWAY else n for n in home.nodes)
    topology = replace(seen.topology, clusters=(replace(home, nodes=nodes), seen.topology.cluster("c2")))
    there = ladder(flow_of(seen, "pod.ngw.c1--pod.ngw.c2--tcp"), topology, seen.sights)
    assert shape(there, Way.REQUEST) == "c1-w1 1 2 3, c2-w1 12"
    back = ladder(flow_of(seen, "pod.ngw.c2--pod.ngw.c1--tcp"), topology, seen.sights)
    assert shape(back, Way.REQUEST) == "c2-w1 1 2 3, c2-gw 4 5 6 7, c1-w1 12"

"""Groups: which paths a row of the mesh, and passive gateways, stand for."""

from __future__ import annotations

from collections import Counter

import pytest

from pytest_submariner.errors import RequirementUnmet
from pytest_submariner.model.path import PathCase, Protocol
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.paths.expectations import promise
from pytest_submariner.paths.groups import MeshRow, PassiveGateways, mesh_rows, mesh_size
from pytest_submariner.probes.placement import place


def cluster(position: str, gateways: int, workers: int) -> Cluster:
    roles = [Role.GATEWAY, *[Role.PASSIVE] * (gateways - 1), *[Role.NON_GATEWAY] * workers]
    nodes = tuple(Node(f"{position}-n{i:02}", position, role, f"172.18.0.{i}") for i, role in enumerate(roles))
    return Cluster(position, position, None, position, nodes)


def topology(*clusters: Cluster) -> Topology:
    return Topology(clusters, "test")


BIG = topology(cluster("c1", 2, 5), cluster("c2", 1, 4))


def mesh(world: Topology, sample: int | None = None) -> list[PathCase]:
    found = []
    for row in mesh_rows([c.position for c in world.clusters]):
        try:
            found += row.cases(world, sample)
        except RequirementUnmet:
            continue
    return found


def pairs(cases: list[PathCase]) -> list[tuple[str, str]]:
    placed = [place(case, BIG) for case in cases]
    return [(p.source.name, p.target.name) for p in placed]


def test_the_mesh_is_every_ordered_pair_of_nodes_once_by_each_protocol() -> None:
    cases = mesh(BIG)
    assert len(cases) == mesh_size(BIG) == 12 * 11 * 3
    assert len({case.id for case in cases}) == len(cases)
    tcp = pairs([case for case in cases if case.protocol is Protocol.TCP])
    nodes = {node.name for cluster in BIG.clusters for node in cluster.nodes}
    assert sorted(tcp) == sorted((a, b) for a in nodes for b in nodes if a != b)


def test_two_times_fifty_nodes() -> None:
    assert mesh_size(topology(cluster("c1", 1, 49), cluster("c2", 1, 49))) == 29_700


def test_items_are_known_without_a_node() -> None:
    rows = mesh_rows(["c1", "c2"])
    assert len(rows) == len({row.id for row in rows}) == 4 * 3 * 3
    assert [row.id for row in rows[:2]] == ["pod.gw.c1--pod.c1--tcp", "pod.gw.c1--pod.c1--udp"]
    assert "pod.ngw.c2--pod.c1--icmp" in {row.id for row in rows}


def test_a_sample_asks_every_node_and_makes_every_node_ask() -> None:
    cases = [case for case in mesh(BIG, 2) if case.protocol is Protocol.TCP]
    assert len(cases) == 12 * 2 * 2
    assert len(set(cases)) == len(cases)
    asking, asked = Counter(a for a, _ in pairs(cases)), Counter(b for _, b in pairs(cases))
    assert set(asking.values()) == {4}
    assert len(asked) == 12
    assert max(asked.values()) <= 2 * min(asked.values())


def test_a_sample_larger_than_the_cluster_is_everything() -> None:
    assert mesh(BIG, 50) == mesh(BIG)


@pytest.mark.parametrize(
    ("world", "row", "why"),
    [
        (
            topology(cluster("c1", 1, 1)),
            MeshRow("c1", "c1", "pgw", Protocol.TCP),
            "needs a passive gateway node in c1, which has 1 gateway, 1 non-gateway nodes",
        ),
        (topology(cluster("c1", 1, 0)), MeshRow("c1", "c1", "gw", Protocol.TCP), "needs a second node in c1"),
        (topology(cluster("c1", 1, 1)), MeshRow("c1", "c2", "gw", Protocol.TCP), "no cluster at position c2"),
    ],
)
def test_a_row_without_paths_says_what_is_missing(world: Topology, row: MeshRow, why: str) -> None:
    with pytest.raises(RequirementUnmet, match=why):
        row.cases(world)


def test_passive_gateways_are_asked_at_either_end_and_on_every_network() -> None:
    across = [case.id for case in PassiveGateways("c1", "c2").cases(BIG)]
    assert {"pod.pgw.c1--pod.gw.c2--tcp", "hostpod.pgw.c1--svc.ngw.c2--udp"} <= set(across)
    assert not [path for path in across if "pgw.c2" in path]
    back = [case.id for case in PassiveGateways("c2", "c1").cases(BIG)]
    assert {"pod.ngw.c2--pod.pgw.c1--icmp", "hostpod.gw.c2--svc.pgw.c1--tcp"} <= set(back)
    inside = PassiveGateways("c1", "c1").cases(BIG)
    assert {"pod.pgw.c1--hostpod.gw.c1--tcp", "pod.pgw.c1--pod.pgw.c1--tcp--samenode"} <= {case.id for case in inside}
    for case in inside:
        assert promise(case)
        place(case, BIG)


def test_without_passive_gateways_both_clusters_are_named() -> None:
    world = topology(cluster("c1", 1, 1), cluster("c2", 1, 0))
    why = "needs a passive gateway node in c1, which has 1 gateway, 1 non-gateway nodes; c2, which has 1 gateway nodes"
    with pytest.raises(RequirementUnmet, match=why):
        PassiveGateways("c1", "c2").cases(world)

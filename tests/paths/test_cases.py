"""Path cases: their ids, their order, and what must exist without knowing a single node."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_submariner.compare.mapping import SPECS, spec_of
from pytest_submariner.model.path import Kind, PathCase, Protocol
from pytest_submariner.paths.cases import SAME_NODE, SUITES, cases, select, vx_ping
from pytest_submariner.paths.sizes import size_tag

POSITIONS = ["c1", "c2"]


def every(positions: list[str] = POSITIONS) -> list[PathCase]:
    return [case for suite in SUITES for case in cases(suite, positions)]


def test_ids_are_unique_in_a_fixed_order_and_made_of_plain_characters() -> None:
    ids = [case.id for case in every(["c1", "c2", "c3"])]
    assert len(set(ids)) == len(ids)
    assert ids == [case.id for case in every(["c1", "c2", "c3"])]
    assert all(re.fullmatch(r"[a-z0-9.-]+", i) for i in ids)


def test_every_id_parses_back() -> None:
    assert [PathCase.parse(case.id) for case in every()] == every()


def test_numbers() -> None:
    # 2 sources x 5 place pairs x (3 + 3 + 2 + 1 ways to a target), without a node to itself, and the story's ping.
    assert len(cases("intra_cluster", ["c1"])) == 2 * 5 * 9 - 2 * (3 + 1) + 1
    # 2 sources x 4 place pairs x (3 + 2 + 2 sizes), and the gateway status, per direction.
    assert len(cases("cross_cluster", POSITIONS)) == 2 * (2 * 4 * 7 + 1)
    assert cases("cross_cluster", ["c1"]) == []
    assert len(cases("cross_cluster", ["c1", "c2", "c3"])) == 3 * len(cases("cross_cluster", POSITIONS))


@pytest.mark.parametrize(
    "path",
    [
        "pod.gw.c1--pod.gw.c1--tcp--samenode",
        "pod.ngw.c1--pod.ngw.c1--tcp--samenode",
        "pod.ngw.c1--pod.ngw.c1--tcp",
        "pod.ngw.c1--pod.gw.c1--tcp",
        "pod.gw.c2--hostpod.ngw.c2--udp",
        "hostpod.ngw.c1--svc.gw.c1--udp",
        "pod.ngw.c1--node.gw.c1--icmp",
        "hostpod.ngw.c1--vx.gw.c1--icmp",
    ],
)
def test_paths_inside_a_cluster_that_must_exist(path: str) -> None:
    assert path in [case.id for case in cases("intra_cluster", POSITIONS)]


def test_gateway_to_gateway_inside_a_cluster_is_one_node() -> None:
    for case in cases("intra_cluster", POSITIONS):
        if case.source.place == case.target.place == "gw":
            assert case.tags == (SAME_NODE,)


def test_no_node_asks_itself() -> None:
    hosts = {Kind.HOSTPOD, Kind.NODE}
    assert not [c for c in cases("intra_cluster", POSITIONS) if c.tags and {c.source.kind, c.target.kind} <= hosts]


def test_no_echo_request_goes_to_a_service_and_no_remote_host_is_asked() -> None:
    for case in every():
        assert (case.target.kind, case.protocol) != (Kind.SVC, Protocol.ICMP)
        if case.is_cross_cluster:
            assert case.target.kind in {Kind.POD, Kind.SVC, Kind.GATEWAY}
            assert case.tags == () or (case.target.kind is Kind.POD and case.tags in {("pmtu",), ("bulk",)})


def test_both_directions_are_measured() -> None:
    ids = {case.id for case in cases("cross_cluster", POSITIONS)}
    for path in ids:
        assert path.replace("c1", "x").replace("c2", "c1").replace("x", "c2") in ids


def test_each_of_the_twelve_connectivity_specs_has_its_counterpart() -> None:
    wanted = [spec.path_id for spec in SPECS if not spec.uncovered]
    ids = [case.id for case in cases("cross_cluster", POSITIONS)]
    assert len(wanted) == 12
    assert set(wanted) <= set(ids)
    assert sorted(path for path in ids if spec_of(path)) == sorted(map(str, wanted))


def test_the_ping_of_the_story() -> None:
    assert vx_ping("c1").id == "hostpod.ngw.c1--vx.gw.c1--icmp"
    assert vx_ping("c2") in cases("intra_cluster", POSITIONS)


def test_select_keeps_the_order_and_takes_words() -> None:
    some = select(cases("cross_cluster", POSITIONS), source="hostpod", target="svc", protocol="udp")
    assert [case.id for case in some][:2] == ["hostpod.gw.c1--svc.gw.c2--udp", "hostpod.gw.c1--svc.ngw.c2--udp"]
    assert len(some) == 8
    assert select(some, target=["pod", "svc"]) == some
    assert select(some, target="pod") == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"source": "pods"}, "source: 'pods' is not a valid Kind; allowed are pod, hostpod, svc"),
        ({"target": ["pod", "host"]}, "target: 'host' is not"),
        ({"protocol": "sctp"}, "protocol: 'sctp' is not a valid Protocol; allowed are tcp, udp, icmp, status"),
        ({"size": "jumbo"}, "size 'jumbo' is not known; allowed are pmtu, bulk"),
    ],
)
def test_an_unknown_word_is_named_with_those_that_are_allowed(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        select([], **wrong)


def test_sizes_are_selected_by_their_tag_alone() -> None:
    every_case = cases("cross_cluster", POSITIONS)
    assert [case.id for case in select(every_case, source="pod", target="pod", size="pmtu")][:2] == [
        "pod.gw.c1--pod.gw.c2--icmp--pmtu",
        "pod.gw.c1--pod.ngw.c2--icmp--pmtu",
    ]
    assert {case.protocol for case in select(every_case, size="bulk")} == {Protocol.TCP}
    assert not [case for case in select(every_case) if size_tag(case)]


def test_an_unknown_suite_is_named() -> None:
    with pytest.raises(ValueError, match=r"no suite is called 'redundant'.*intra_cluster, cross_cluster$"):
        cases("redundant", POSITIONS)

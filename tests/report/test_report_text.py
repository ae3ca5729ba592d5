"""Paths in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.report import text


@pytest.mark.parametrize(
    ("path_id", "title"),
    [
        ("pod.ngw.c1--svc.gw.c2--tcp", "Pod on a non-gateway node → Service on a gateway node, c1 → c2, TCP"),
        (
            "hostpod.pgw.c1--node.ngw2.c1--icmp",
            "Host-network pod on a passive gateway node → Node address of a non-gateway node (2nd), inside c1, ICMP",
        ),
        (
            "hostpod.ngw.c1--vx.gw.c1--icmp",
            "Host-network pod on a non-gateway node → vx-submariner address of a gateway node, inside c1, ICMP",
        ),
        ("gateway.gw.c1--gateway.gw.c2--status", "Gateway → Gateway, c1 → c2, status"),
        (
            "pod.gw.c1--pod.gw.c1--udp--samenode",
            "Pod on a gateway node → Pod on a gateway node, inside c1, UDP, on one node",
        ),
        (
            "pod.gw.c2--svc.gw.c1--tcp--egress-cluster",
            "Pod on a gateway node → Service on a gateway node, c2 → c1, TCP, egress cluster",
        ),
        (
            "pod.ngw11.c1--pod.ngw23.c2--tcp",
            "Pod on a non-gateway node (11th) → Pod on a non-gateway node (23rd), c1 → c2, TCP",
        ),
    ],
)
def test_title(path_id: str, title: str) -> None:
    assert text.title(PathCase.parse(path_id)) == title


def test_first_line_of_a_failure_carries_id_verdict_and_cause(blocked: PathResult, snat_missing: Finding) -> None:
    first, *rest = text.failure(blocked, [snat_missing]).splitlines()
    assert first == f"{blocked.id}: blocked (should be reachable, is not) [NF_HOSTNET_SNAT_MISSING]"
    assert "path: c1-w1 → c2-w1 (10.9.2.4:1234)" in rest
    assert "  state: no SNAT rule for 240.0.0.0/8 towards vx-submariner" in rest
    assert rest[-1] == "by hand: submariner-lab exec c1-w1 -- nc 10.9.2.4 1234"


def test_wrong_source_says_both_addresses(blocked: PathResult) -> None:
    wrong = replace(blocked, verdict=Verdict.WRONG_SOURCE, source_seen="240.18.0.12")
    assert "source address: promised the node's address, seen 240.18.0.12" in text.failure(wrong)


def test_ids_of_another_grammar_are_no_case() -> None:
    assert text.parse("name:svc@c2") is None

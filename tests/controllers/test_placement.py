"""Which node a pod fits on, and what the scheduler says when it fits on none."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_submariner.lab.controllers.placement import choose, reason_against
from pytest_submariner.lab.controllers.selectors import matches_selector

Object = dict[str, Any]
GATEWAY = "submariner.io/gateway"


def node(name: str, *, ready: bool = True, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def affinity(*terms: list[Object]) -> Object:
    """A pod spec with required node affinity: one list of expressions per term."""
    required = {"nodeSelectorTerms": [{"matchExpressions": expressions} for expressions in terms]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def expression(key: str, operator: str, *values: str) -> Object:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


NODES = [
    node("c1-gw", labels={GATEWAY: "true"}),
    node("c1-w1"),
    node("c1-w2", labels={GATEWAY: "false", "rank": "7"}),
]


def fitting(spec: Object) -> list[str]:
    return [n["metadata"]["name"] for n in NODES if reason_against(spec, n) is None]


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ({}, ["c1-gw", "c1-w1", "c1-w2"]),
        ({"nodeSelector": {GATEWAY: "true"}}, ["c1-gw"]),
        (affinity([expression("kubernetes.io/hostname", "In", "c1-gw", "c1-w2")]), ["c1-gw", "c1-w2"]),
        # subctl's "not a gateway node": two terms, OR-ed
        (affinity([expression(GATEWAY, "DoesNotExist")], [expression(GATEWAY, "NotIn", "true")]), ["c1-w1", "c1-w2"]),
        (affinity([expression(GATEWAY, "NotIn", "true")]), ["c1-w1", "c1-w2"]),
        (affinity([expression(GATEWAY, "Exists"), expression(GATEWAY, "NotIn", "true")]), ["c1-w2"]),
        (affinity([expression("rank", "Gt", "6")], [expression("rank", "Lt", "x")]), ["c1-w2"]),
        (affinity([]), []),  # an empty term matches nothing
    ],
)
def test_selectors_and_affinity(spec: Object, names: list[str]) -> None:
    assert fitting(spec) == names


def test_match_fields_name_the_node() -> None:
    term = {"matchFields": [expression("metadata.name", "In", "c1-w1")]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    assert fitting({"affinity": {"nodeAffinity": required}}) == ["c1-w1"]


TAINT = {"key": "role", "value": "infra", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "role", "operator": "Exists"}, True),
        ({"key": "role", "operator": "Equal", "value": "infra", "effect": "NoSchedule"}, True),
        ({"key": "role", "value": "infra"}, True),
        ({"key": "role", "value": "other"}, False),
        ({"key": "role", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: Object, tolerated: bool) -> None:
    reason = reason_against({"tolerations": [toleration]}, node("n", taints=[TAINT]))
    assert reason == (None if tolerated else "node(s) had untolerated taint {role: infra}")


def test_a_taint_that_only_prefers_does_not_repel() -> None:
    assert reason_against({}, node("n", taints=[{**TAINT, "effect": "PreferNoSchedule"}])) is None


def test_cordoned_and_unready_nodes_take_only_pods_that_tolerate_it() -> None:
    cordoned, unready = node("n", unschedulable=True), node("n", ready=False)
    assert reason_against({}, cordoned) == "node(s) were unschedulable"
    assert reason_against({}, unready) == "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
    anything = {"tolerations": [{"operator": "Exists"}]}
    assert reason_against(anything, cordoned) is None
    assert reason_against(anything, unready) is None


def test_the_emptiest_node_is_chosen_then_the_first_by_name() -> None:
    assert choose({}, NODES, {}) == ("c1-gw", "")
    assert choose({}, NODES, {"c1-gw": 2, "c1-w1": 1, "c1-w2": 1}) == ("c1-w1", "")


def test_preference_goes_before_emptiness() -> None:
    preferred = [{"weight": 5, "preference": {"matchExpressions": [expression("rank", "Exists")]}}]
    spec = {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}
    assert choose(spec, NODES, {"c1-w2": 9}) == ("c1-w2", "")


def test_refusal_counts_the_reasons() -> None:
    nodes = [*NODES[:2], node("c1-w3", taints=[TAINT]), node("c1-w4", unschedulable=True)]
    found, message = choose({"nodeSelector": {"absent": "x"}}, nodes, {})
    assert found is None
    assert message == (
        "0/4 nodes are available: 1 node(s) had untolerated taint {role: infra}, 1 node(s) were unschedulable, "
        "2 node(s) didn't match Pod's node affinity/selector. "
        "preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
    )
    assert choose({}, [], {}) == (None, "no nodes available to schedule pods")


def test_label_selectors() -> None:
    labels = {"app": "a", "tier": "b"}
    assert matches_selector({"matchLabels": {"app": "a"}}, labels)
    assert not matches_selector(
        {"matchLabels": {"app": "a"}, "matchExpressions": [expression("tier", "NotIn", "b")]}, labels
    )
    assert matches_selector({}, labels)
    assert not matches_selector(None, labels)

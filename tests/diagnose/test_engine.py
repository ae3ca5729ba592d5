"""Which suspicion becomes a finding, and which failing path it explains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from observations import failing, healthy

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Cause, Layer, Rank, Suspicion
from pytest_submariner.diagnose.engine import findings
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.model.finding import EvidenceKind
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Node
from pytest_submariner.model.verdict import Verdict


def disconnected(seen: Observation, status: str) -> Observation:
    told = (replace(f, result=replace(f.result, verdict=Verdict.BLOCKED)) if f.id == status else f for f in seen.flows)
    return replace(seen, flows=tuple(told))


WORKER_OUT = "pod.ngw.c1--*.c2--tcp"


def cause(
    code: str,
    about: Callable[[Node], Suspicion],
    *,
    rank: Rank = Rank.NODE,
    effects: tuple[str, ...] = (),
    node: str = "c1-w1",
) -> Cause:
    def rule(seen: Observation) -> Iterator[Suspicion]:
        yield about(next(sight.node for sight in seen.every() if sight.name == node))

    return Cause(code, Layer.OVERLAY, "t", "s", "m", "e", "do this", rule, rank, effects)


def cut_off(node: Node) -> Suspicion:
    return Suspicion(node, "vx-submariner", ("seen",), scope.node_cut_off(node))


def test_a_suspicion_explains_the_failing_flows_of_its_scope() -> None:
    (finding,) = findings(failing(healthy(), WORKER_OUT), [cause("A", cut_off)])
    assert (finding.code, finding.cluster, finding.node, finding.remedy) == ("A", "c1", "c1-w1", "do this")
    assert {path.rpartition("--")[0] for path in finding.paths} == {
        f"pod.ngw.c1--{kind}.{place}.c2" for kind in ("pod", "svc") for place in ("gw", "ngw", "ngw2")
    }
    kinds = [evidence.kind for evidence in finding.evidence]
    assert {EvidenceKind.STATE, EvidenceKind.TRAFFIC} == set(kinds)
    assert any("6 paths between clusters with an end on c1-w1 fail" in evidence.text for evidence in finding.evidence)


def test_what_breaks_no_path_is_not_told() -> None:
    assert findings(healthy(), [cause("A", cut_off)]) == ()
    elsewhere = failing(healthy(), "pod.ngw.c2--pod.gw.c2--tcp")
    assert findings(elsewhere, [cause("A", cut_off)]) == ()


def test_what_is_latent_is_told_even_so_and_says_that_nothing_fails() -> None:
    def latent(node: Node) -> Suspicion:
        return Suspicion(node, "o", ("seen",), scope.nothing(), latent=True)

    (finding,) = findings(healthy(), [cause("A", latent)])
    assert finding.paths == ()
    assert "no path that was asked fails because of it" in finding.evidence[-1].text


def test_a_working_flow_refutes() -> None:
    def refuted(node: Node) -> Suspicion:
        return Suspicion(
            node, "o", ("seen",), scope.node_cut_off(node), refuted_by=scope.crossing() & scope.from_node(node)
        )

    seen = failing(healthy(), "pod.ngw.c1--pod.*.c2--tcp")
    assert findings(seen, [cause("A", refuted)]) == ()


def test_effects_are_not_told_beside_their_cause_at_the_same_node() -> None:
    seen = failing(healthy(), WORKER_OUT)
    both = [cause("EFFECT", cut_off), cause("A", cut_off, effects=("EFFECT",))]
    assert [finding.code for finding in findings(seen, both)] == ["A"]
    other = [
        cause("EFFECT", cut_off, node="c1-w1"),
        cause("A", lambda n: Suspicion(n, "o", (), scope.crossing()), effects=("EFFECT",), node="c1-w2"),
    ]
    assert {finding.code for finding in findings(seen, other)} == {"A", "EFFECT"}


def test_effects_of_an_object_are_effects_everywhere() -> None:
    seen = failing(healthy(), WORKER_OUT)
    cluster_wide = cause(
        "A", lambda n: Suspicion(n, "o", (), scope.crossing()), effects=("EFFECT",), rank=Rank.OBJECT, node="c1-gw"
    )
    assert [f.code for f in findings(seen, [cause("EFFECT", cut_off), cluster_wide])] == ["A"]


def test_cause_comes_before_effect_then_what_explains_more() -> None:
    seen = failing(healthy(), WORKER_OUT)
    small = cause("SMALL", lambda n: Suspicion(n, "o", (), scope.node_cut_off(n) & scope.to_kind(Kind.SVC)))
    objects = cause(
        "OBJECT",
        lambda n: Suspicion(n, "o", (), scope.node_cut_off(n) & scope.to_kind(Kind.SVC)),
        rank=Rank.OBJECT,
    )
    told = findings(seen, [small, cause("BIG", cut_off), objects])
    assert [f.code for f in told] == ["OBJECT", "BIG", "SMALL"]


def test_gateway_status_follows_from_what_breaks_host_network_between_gateways() -> None:
    status = "gateway.gw.c1--gateway.gw.c2--status"
    seen = disconnected(failing(healthy(), "hostpod.gw.c1--pod.gw.c2--*"), status)
    about = cause("A", lambda n: Suspicion(n, "cable", (), scope.crossing()), node="c1-gw")
    assert status in findings(seen, [about])[0].paths
    unrelated = disconnected(failing(healthy(), WORKER_OUT), status)
    assert status not in findings(unrelated, [cause("A", cut_off)])[0].paths


def test_a_rule_that_breaks_costs_no_other_its_say() -> None:
    def breaks(seen: Observation) -> Iterator[Suspicion]:
        raise LookupError("oh")
        yield

    bad = replace(cause("BAD", cut_off), rule=breaks)
    told: list[str] = []
    seen = failing(healthy(), WORKER_OUT)
    found = findings(seen, [bad, cause("A", cut_off)], lambda cause, error: told.append(f"{cause.code}: {error}"))
    assert [finding.code for finding in found] == ["A"]
    assert told == ["BAD: oh"]
    with pytest.raises(LookupError):
        findings(seen, [bad])


def test_a_remedy_names_the_node() -> None:
    about = replace(cause("A", cut_off), remedy="`kubectl get node NODE`, whose NODE_IP is wrong")
    (finding,) = findings(failing(healthy(), WORKER_OUT), [about])
    assert finding.remedy == "`kubectl get node c1-w1`, whose NODE_IP is wrong"


def test_what_an_object_does_not_explain_is_no_effect_of_it() -> None:
    """Two faults at once: the wider one keeps its own finding."""
    services = cause(
        "A",
        lambda n: Suspicion(n, "o", (), scope.crossing() & scope.to_kind(Kind.SVC)),
        effects=("OTHER",),
        rank=Rank.OBJECT,
        node="c1-gw",
    )
    seen = failing(healthy(), WORKER_OUT)
    assert {f.code for f in findings(seen, [services, cause("OTHER", cut_off)])} == {"A", "OTHER"}

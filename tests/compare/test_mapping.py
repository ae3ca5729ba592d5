"""The table of stock specs."""

from __future__ import annotations

import pytest

from pytest_submariner.compare.mapping import CONNECTIVITY, SPECS, Spec, spec_of
from pytest_submariner.model.path import Kind, PathCase, Protocol


def test_ids_titles_and_paths_are_unique() -> None:
    assert len(SPECS) == 48
    assert len({spec.id for spec in SPECS}) == 48
    assert len({spec.text for spec in SPECS}) == 48
    paths = [path for spec in SPECS for path in spec.path_ids]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("path_id", [path for spec in SPECS for path in spec.path_ids])
def test_every_path_id_is_of_the_grammar(path_id: str) -> None:
    assert PathCase.parse(path_id).id == path_id
    spec = spec_of(path_id)
    assert spec is not None
    assert path_id in spec.path_ids


def test_counterparts_of_only_connectivity() -> None:
    assert [(spec.id, spec.path_id) for spec in CONNECTIVITY] == [
        ("TCP-01", "pod.ngw.c1--pod.ngw.c2--tcp"),
        ("TCP-02", "pod.ngw.c1--pod.gw.c2--tcp"),
        ("TCP-03", "pod.gw.c1--pod.ngw.c2--tcp"),
        ("TCP-04", "pod.gw.c1--pod.gw.c2--tcp"),
        ("TCP-05", "pod.ngw.c1--svc.ngw.c2--tcp"),
        ("TCP-06", "pod.ngw.c1--svc.gw.c2--tcp"),
        ("TCP-07", "pod.gw.c1--svc.ngw.c2--tcp"),
        ("TCP-08", "pod.gw.c1--svc.gw.c2--tcp"),
        ("TCP-09", "hostpod.ngw.c1--pod.ngw.c2--tcp"),
        ("TCP-10", "hostpod.gw.c1--pod.ngw.c2--tcp"),
        ("TCP-11", "pod.ngw.c2--pod.ngw.c1--tcp"),
        ("GWS-01", "gateway.gw.c1--gateway.gw.c2--status"),
    ]


def test_specs_that_are_not_covered_say_why() -> None:
    assert all(bool(spec.uncovered) is (spec not in CONNECTIVITY) for spec in SPECS)


@pytest.mark.parametrize("spec", CONNECTIVITY, ids=lambda spec: spec.id)
def test_title_and_path_tell_the_same(spec: Spec) -> None:
    """The words of the title against the parts of the id."""
    assert spec.path_id is not None
    case = PathCase.parse(spec.path_id)
    if case.protocol is Protocol.STATUS:
        assert spec.text.startswith("Gateway status")
        return
    assert ("HostNetworking" in spec.text) is (case.source.kind is Kind.HOSTPOD)
    assert ("remote service" in spec.text) is (case.target.kind is Kind.SVC)
    assert ("the pod is not on a gateway" in spec.text) is (case.source.place == "ngw")
    assert (f"the remote {'service' if case.target.kind is Kind.SVC else 'pod'} is not on" in spec.text) is (
        case.target.place == "ngw"
    )
    assert ("reverse" in spec.text) is (case.source.cluster == "c2")

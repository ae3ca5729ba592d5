"""From roles to nodes, and the reasons why not."""

from __future__ import annotations

import pytest

from pytest_submariner.errors import RequirementUnmet
from pytest_submariner.model.path import PathCase
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.probes.placement import place
from pytest_submariner.probes.route import ByHand, Route

GW, PASSIVE, WORKER = Role.GATEWAY, Role.PASSIVE, Role.NON_GATEWAY


def cluster(position: str, nodes: dict[str, Role], *, globalnet: bool = False, plugin: str = "kindnet") -> Cluster:
    found = tuple(Node(name, position, role, f"172.18.0.{i}") for i, (name, role) in enumerate(nodes.items(), 1))
    return Cluster(
        position, f"ctx-{position}", "/kube config", position, found, globalnet=globalnet, network_plugin=plugin
    )


TWO = Topology(
    (
        cluster("c1", {"c1-w2": WORKER, "c1-gw": GW, "c1-w1": WORKER}),
        cluster("c2", {"c2-gw1": PASSIVE, "c2-gw2": GW, "c2-w1": WORKER}),
    ),
    "test",
)


@pytest.mark.parametrize(
    ("path", "source", "target"),
    [
        ("pod.ngw.c1--pod.gw.c2--tcp", "c1-w1", "c2-gw2"),
        ("pod.ngw.c1--pod.ngw.c1--tcp", "c1-w1", "c1-w2"),
        ("pod.ngw.c1--pod.ngw.c1--tcp--samenode", "c1-w1", "c1-w1"),
        ("pod.ngw2.c1--pod.ngw.c1--tcp", "c1-w2", "c1-w1"),
        ("pod.pgw.c2--pod.gw.c2--tcp", "c2-gw1", "c2-gw2"),
        ("gateway.gw.c1--gateway.gw.c2--status", "c1-gw", "c2-gw2"),
        ("hostpod.ngw.c1--vx.gw.c1--icmp", "c1-w1", "c1-gw"),
    ],
)
def test_places(path: str, source: str, target: str) -> None:
    placed = place(PathCase.parse(path), TWO)
    assert (placed.source.name, placed.target.name) == (source, target)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("pod.gw.c1--pod.gw.c3--tcp", r"needs a cluster at c3; this run has c1 \(ctx-c1\), c2 \(ctx-c2\)"),
        (
            "pod.ngw.c2--pod.ngw.c2--tcp",
            r"needs another non-gateway node than c2-w1 in c2; it has c2-gw1 \(passive gateway\), ",
        ),
        ("pod.ngw3.c1--pod.gw.c2--tcp", "needs 3 non-gateway nodes in c1; it has c1-gw"),
        ("pod.pgw.c1--pod.gw.c1--tcp", "needs a passive gateway node in c1"),
        ("pod.gw.c1--pod.ngw.c1--tcp--samenode", "can never be on the same node"),
    ],
)
def test_unmet_requirements_name_what_was_found(path: str, reason: str) -> None:
    with pytest.raises(RequirementUnmet, match=reason):
        place(PathCase.parse(path), TWO)


@pytest.mark.parametrize(
    ("path", "allowed", "reason"),
    [
        (
            "hostpod.ngw.c1--pod.gw.c2--tcp",
            1,
            "needs a probe pod on the host network; --submariner-pods-per-node allows 1",
        ),
        ("pod.ngw.c1--hostpod.gw.c1--tcp", 1, "needs a probe pod on the host network"),
        ("pod.gw.c1--svc.gw.c1--tcp--samenode", 2, "needs another probe pod on the same node; .* allows 2"),
    ],
)
def test_a_cap_on_pods_leaves_out_what_needs_more(path: str, allowed: int, reason: str) -> None:
    assert place(PathCase.parse(path), TWO, allowed + 1)
    with pytest.raises(RequirementUnmet, match=reason):
        place(PathCase.parse(path), TWO, allowed)
    assert place(PathCase.parse("pod.ngw.c1--pod.gw.c2--tcp"), TWO, 1)


def test_globalnet_routes_no_pod_cidrs_but_has_a_status() -> None:
    topology = Topology((cluster("c1", {"a": GW}, globalnet=True), cluster("c2", {"b": GW})), "test")
    for path in ("pod.gw.c1--pod.gw.c2--tcp", "pod.gw.c2--pod.gw.c1--tcp"):
        with pytest.raises(RequirementUnmet, match="c1 has Globalnet"):
            place(PathCase.parse(path), topology)
    assert place(PathCase.parse("gateway.gw.c1--gateway.gw.c2--status"), topology).source.name == "a"


def test_without_an_active_gateway_the_status_is_asked_and_other_paths_of_it_are_not() -> None:
    topology = Topology(
        (cluster("c1", {"a": WORKER, "b": Role.PASSIVE}), cluster("c2", {"c": GW, "d": WORKER})), "test"
    )
    found = place(PathCase.parse("gateway.gw.c1--gateway.gw.c2--status"), topology)
    assert (found.source.name, found.target.name) == ("b", "c")
    assert place(PathCase.parse("pod.ngw.c1--pod.gw.c2--tcp"), topology).source.name == "a"
    with pytest.raises(
        RequirementUnmet, match=r"needs an active gateway node in c1; it has a \(non-gateway\), b \(passive"
    ):
        place(PathCase.parse("pod.gw.c1--pod.gw.c2--tcp"), topology)


def test_ovn_kubernetes_has_no_vx_submariner() -> None:
    topology = Topology((cluster("c1", {"a": GW, "b": WORKER}, plugin="OVNKubernetes"),), "test")
    with pytest.raises(RequirementUnmet, match="OVN-Kubernetes, which does without"):
        place(PathCase.parse("hostpod.ngw.c1--vx.gw.c1--icmp"), topology)


def route(path: str) -> Route:
    case = PathCase.parse(path)
    return Route(case, place(case, TWO))


def by_hand(asked: Route) -> ByHand:
    return ByHand.of(TWO.cluster(asked.source.cluster), "ab12", asked.source)


def test_a_pod_never_asks_itself() -> None:
    for path in ("pod.gw.c1--pod.gw.c1--tcp--samenode", "pod.gw.c1--svc.gw.c1--tcp--samenode"):
        asked = route(path)
        assert asked.target is not None
        assert asked.target != asked.source
        assert asked.target.pod == "peer-c1-gw"
        assert asked.listener == "peer-c1-gw"


def test_the_command_can_be_pasted() -> None:
    asked = route("hostpod.ngw.c1--pod.gw.c2--tcp")
    command = asked.command(by_hand(asked), asked.probe("10.9.1.5", 29000))
    assert command == (
        "kubectl --kubeconfig '/kube config' --context ctx-c1 -n submariner-conformance-ab12 exec host-c1-w1 -c probe -- "
        "sh -c 'exec python3 -u -c \"$SUBMARINER_PROBE_AGENT\" ask tcp 10.9.1.5 29000'"
    )
    echo = route("pod.gw.c1--pod.gw.c2--icmp")
    assert "ask icmp 10.9.1.5'" in echo.command(by_hand(echo), echo.probe("10.9.1.5", 1))


def test_a_node_answers_echo_requests_without_a_listener() -> None:
    asked = route("pod.gw.c1--node.ngw.c1--icmp")
    assert asked.target is None
    assert asked.listener is None
    assert asked.target_words("172.18.0.3") == "node c1-w1 (172.18.0.3)"

"""What gateways and agents are in the API: found in several forms, silent on look-alikes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from healthy_clusters import CLOCK_S
from observations import changed, failing, found, healthy, suspicions, told

from pytest_submariner.dataplane.constants import OWN_CHAINS
from pytest_submariner.diagnose.causes import kubernetes, kubernetes_agents
from pytest_submariner.diagnose.objects.clusterobjects import BrokerProblem, Object
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.lab.faults.signatures import CABLE, NODE
from pytest_submariner.model.topology import Node, Role

STATUS = "gateway.*--gateway.*--status"


def patched(objects: Iterable[Object], name: str, change: Callable[[Any], object]) -> list[Object]:
    """Copies, the one called `name` (all for "") changed in place."""
    found = [copy.deepcopy(item) for item in objects]
    for item in found:
        if name in ("", item["metadata"]["name"]):
            change(item)
    return found


def without_label(node: Any) -> None:
    node["metadata"]["labels"].clear()


def unlabelled(seen: Observation) -> Observation:
    return told(seen, "c1", nodes=lambda nodes: patched(nodes, "", without_label))


def gateway_gone(seen: Observation) -> Observation:
    """Discovered as it is without an active gateway: paths through one are not asked."""
    first = seen.topology.clusters[0]
    nodes = {n: Node(n.name, n.cluster, Role.NON_GATEWAY, n.internal_ip) for n in first.nodes}
    topology = replace(
        seen.topology, clusters=(replace(first, nodes=tuple(nodes.values())), *seen.topology.clusters[1:])
    )
    seen = told(seen, "c1", gateways=[], endpoints=lambda found: [e for e in found if e["spec"]["cluster_id"] != "c1"])
    sights = {
        key: replace(s, node=nodes.get(s.node, s.node), cluster=topology.cluster(key[0]))
        for key, s in seen.sights.items()
    }
    flows = (
        replace(flow, source=nodes.get(flow.source, flow.source), target=nodes.get(flow.target, flow.target))
        for flow in seen.flows
        if ".gw.c1" not in flow.id or flow.is_status
    )
    return replace(seen, topology=topology, sights=sights, flows=tuple(flows))


def test_no_label() -> None:
    seen = failing(gateway_gone(unlabelled(healthy())), CABLE)
    assert found(seen) == [("K8S_GATEWAY_LABEL_MISSING", "c1", "c1-gw")]


def test_no_label_and_the_former_gateway_left_everything_behind() -> None:
    [(code, suspicion)] = suspicions(unlabelled(healthy()), kubernetes.gateway_label_missing)
    assert suspicion.latent
    assert "Gateways that say they are active: c1-gw" in suspicion.state
    assert code == "K8S_GATEWAY_LABEL_MISSING"


def test_the_finding_names_the_former_gateway_by_the_lease() -> None:
    def held_by_w2(lease: Any) -> None:
        lease["spec"]["holderIdentity"] = "c1-w2-submariner-gateway"

    seen = told(gateway_gone(unlabelled(healthy())), "c1", leases=lambda leases: patched(leases, "", held_by_w2))
    assert found(seen, kubernetes.gateway_label_missing) == [("K8S_GATEWAY_LABEL_MISSING", "c1", "c1-w2")]


def test_nodes_that_were_not_read_prove_nothing() -> None:
    seen = unlabelled(healthy())
    objects = seen.objects["c1"]
    unread = replace(
        objects, found={k: v for k, v in objects.found.items() if k != "nodes"}, unread={"nodes": "forbidden"}
    )
    assert suspicions(replace(seen, objects={**seen.objects, "c1": unread}), kubernetes.gateway_label_missing) == []


def impostor(gateways: Iterable[Object], name: str) -> list[Object]:
    return [*gateways, {"metadata": {"name": name}, "status": {"haStatus": "active", "localEndpoint": {}}}]


def test_two_gateways_say_active() -> None:
    seen = told(healthy(), "c1", gateways=lambda gateways: impostor(gateways, "c1-w1"))
    [(code, suspicion)] = suspicions(seen)
    assert (code, suspicion.object, suspicion.node.name) == ("K8S_TWO_ACTIVE_GATEWAYS", "Gateway c1-w1", "c1-gw")
    assert found(seen) == [("K8S_TWO_ACTIVE_GATEWAYS", "c1", "c1-gw")]


def test_two_pods_are_labelled_active() -> None:
    def activate(pod: Any) -> None:
        if pod["metadata"]["labels"]["app"] == "submariner-gateway":
            pod["metadata"]["labels"]["gateway.submariner.io/status"] = "active"

    seen = told(healthy(gateways=2), "c1", pods=lambda pods: patched(pods, "", activate))
    [(code, suspicion)] = suspicions(seen)
    assert (code, suspicion.object) == ("K8S_TWO_ACTIVE_GATEWAYS", "gateway pod on c1-gw2")


@pytest.mark.parametrize("problem", [BrokerProblem.CREDENTIALS, BrokerProblem.CERTIFICATE])
def test_a_broker_that_refuses(problem: BrokerProblem) -> None:
    assert found(refused(healthy(), problem)) == [("K8S_BROKER_CREDENTIALS_INVALID", "c1", "c1-gw")]


def test_a_broker_out_of_reach_is_no_fault_unless_an_agent_was_refused() -> None:
    seen = refused(healthy(), BrokerProblem.UNREACHABLE)
    assert found(seen) == []
    logs = {"submariner-gateway-x/submariner-gateway": ("E1122 Failed to list *v1.Endpoint: Unauthorized",)}
    logged = replace(seen.objects["c1"], logs=logs)
    assert found(replace(seen, objects={**seen.objects, "c1": logged})) == [
        ("K8S_BROKER_CREDENTIALS_INVALID", "c1", "c1-gw")
    ]


def test_what_was_not_synced_since_explains_paths() -> None:
    def moved(endpoint: Any) -> None:
        endpoint["spec"]["private_ip"] = "172.18.9.9"

    stale = told(
        refused(healthy(), BrokerProblem.CREDENTIALS),
        "c1",
        endpoints=lambda e: patched(e, "c2-submariner-cable-c2-172-18-2-2", moved),
    )
    held = [e["metadata"]["name"] for e in stale.objects["c1"]["endpoints"]]
    stale = told(stale, "c1", endpoints=lambda e: patched(e, held[1], moved))
    [finding] = [s for code, s in suspicions(stale) if code == "K8S_BROKER_CREDENTIALS_INVALID"]
    assert failing(stale, CABLE).failing_in(finding.explains) == failing(stale, CABLE).failing


def refused(seen: Observation, problem: BrokerProblem) -> Observation:
    objects = replace(
        seen.objects["c1"], broker=None, broker_problem=problem, broker_error="https://broker answers 401"
    )
    return replace(seen, objects={**seen.objects, "c1": objects})


def bare(seen: Observation, node: str = "c1-w1") -> Observation:
    own = {chain for _, chain in OWN_CHAINS}
    return changed(
        seen,
        node,
        links=lambda links: [link for link in links if link.name != "vx-submariner"],
        addresses=lambda found: [a for a in found if a.device != "vx-submariner"],
        fdb=(),
        routes=lambda routes: [r for r in routes if r.device != "vx-submariner"],
        neighbours=lambda found: [n for n in found if n.device != "vx-submariner"],
        packet_filters=lambda filters: [
            replace(
                f,
                rules=tuple(r for r in f.rules if r.chain not in own and r.target not in own),
                policies={key: policy for key, policy in f.policies.items() if key[1] not in own},
            )
            for f in filters
        ],
    )


def test_no_route_agent() -> None:
    seen = failing(bare(healthy()), NODE)
    assert found(seen) == [("K8S_ROUTEAGENT_ABSENT_ON_NODE", "c1", "c1-w1")]


def test_no_route_agent_and_its_pod_never_came() -> None:
    seen = told(
        failing(bare(healthy()), NODE), "c1", pods=lambda pods: [p for p in pods if p["spec"]["nodeName"] != "c1-w1"]
    )
    [(_, suspicion), *_] = suspicions(seen, kubernetes_agents.routeagent_absent_on_node)
    assert "no pod of the DaemonSet submariner-routeagent is on c1-w1" in suspicion.state


def test_no_route_agent_on_a_node_that_cannot_be_looked_at() -> None:
    def elsewhere(pods: Iterable[Object]) -> list[Object]:
        return [p for p in pods if p["spec"]["nodeName"] != "c1-w1"]

    seen = failing(told(healthy(skip=("c1-w1",)), "c1", pods=elsewhere), NODE)
    assert found(seen) == [("K8S_ROUTEAGENT_ABSENT_ON_NODE", "c1", "c1-w1")]
    assert found(failing(told(healthy(skip=("c1-w1",)), "c1", pods=elsewhere), "pod.ngw.c1--svc.*.c2--*")) == []
    assert suspicions(failing(healthy(skip=("c1-w1",)), NODE), kubernetes_agents.routeagent_absent_on_node) == []


def test_a_device_alone_missing_is_another_fault() -> None:
    seen = changed(healthy(), "c1-w1", links=lambda links: [link for link in links if link.name != "vx-submariner"])
    assert suspicions(seen, kubernetes_agents.routeagent_absent_on_node) == []


def test_an_unread_packet_filter_proves_nothing() -> None:
    seen = changed(bare(healthy()), "c1-w1", packet_filters=None)
    assert suspicions(seen, kubernetes_agents.routeagent_absent_on_node) == []


def crashing(pods: Iterable[Object]) -> list[Object]:
    def crash(pod: Any) -> None:
        if pod["metadata"]["labels"]["app"] == "submariner-gateway":
            state = {
                "name": "submariner-gateway",
                "restartCount": 7,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            }
            pod["status"]["containerStatuses"] = [state]

    return patched(pods, "", crash)


def test_a_public_address_that_does_not_resolve() -> None:
    def annotate(node: Any) -> None:
        node["metadata"]["annotations"] = {"gateway.submariner.io/public-ip": "dns:nonexistent.invalid"}

    seen = told(gateway_gone(healthy()), "c1", pods=crashing, nodes=lambda nodes: patched(nodes, "c1-gw", annotate))
    assert found(failing(seen, CABLE)) == [("K8S_GATEWAY_PUBLIC_IP_UNRESOLVABLE", "c1", "c1-gw")]


def test_no_resolver_answered() -> None:
    seen = told(gateway_gone(healthy()), "c1", pods=crashing)
    assert suspicions(seen, kubernetes.gateway_public_ip_unresolvable) == []
    line = "F1122 main.go:1] Unable to resolve public IP by any of the resolver methods: [...]"
    logs = {"submariner-gateway-c1-gw/submariner-gateway": (line,)}
    objects = replace(seen.objects["c1"], logs=logs)
    seen = failing(replace(seen, objects={**seen.objects, "c1": objects}), CABLE)
    assert found(seen) == [("K8S_GATEWAY_PUBLIC_IP_UNRESOLVABLE", "c1", "c1-gw")]


def test_a_passive_gateway_that_crashes_breaks_nothing() -> None:
    assert suspicions(told(healthy(gateways=2), "c1", pods=crashing)) == []


def aged(seconds: int) -> Callable[[Any], None]:
    def change(gateway: Any) -> None:
        gateway["metadata"]["annotations"]["update-timestamp"] = str(int(CLOCK_S) - seconds)

    return change


@pytest.mark.parametrize(("seconds", "expected"), [(14, []), (120, [("K8S_GATEWAY_STATUS_FROZEN", "c1", "c1-gw")])])
def test_a_gateway_that_is_not_refreshed(seconds: int, expected: list[object]) -> None:
    assert found(told(healthy(), "c1", gateways=lambda gateways: patched(gateways, "c1-gw", aged(seconds)))) == expected


def test_a_gateway_is_as_old_as_its_own_node_says() -> None:
    seen = changed(healthy(), "c1-gw", clock_s=CLOCK_S - 3600)
    assert found(told(seen, "c1", gateways=lambda g: patched(g, "c1-gw", aged(3605)))) == []
    assert (
        found(told(changed(seen, "c1-gw", clock_s=None), "c1", gateways=lambda g: patched(g, "c1-gw", aged(3605))))
        != []
    )

"""Globalnet's objects and chains (as submariner:pkg/globalnet/controllers makes them): found in several forms, silent on look-alikes and
without Globalnet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from encrypted_cables import with_endpoints
from healthy_clusters import node_state
from observations import changed, found, healthy, suspicions, told

from pytest_submariner.diagnose.causes import globalnet, globalnet_addresses
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.lab.spec import LabSpec
from pytest_submariner.model.nodestate import PacketFilter
from pytest_submariner.nodestate.packetfilter import parse

GLOBAL = {"c1": "242.0.0.0/16", "c2": "242.1.0.0/16"}
PODS = {"c1": "10.8.0.0/16", "c2": "10.9.0.0/16"}
SERVICES = {"c1": "100.8.0.0/16", "c2": "100.9.0.0/16"}
CHAINS = """\
*nat
:SUBMARINER-GN-INGRESS - [0:0]
:SUBMARINER-GN-EGRESS - [0:0]
:SUBMARINER-GN-MARK - [0:0]
:SM-GN-EGRESS-CLUSTER - [0:0]
[0:0] -A PREROUTING -j SUBMARINER-GN-INGRESS
[0:0] -A SUBMARINER-POSTROUTING -j SUBMARINER-GN-EGRESS
[0:0] -A SUBMARINER-GN-EGRESS -j SUBMARINER-GN-MARK
[0:0] -A SUBMARINER-GN-EGRESS -j SM-GN-EGRESS-CLUSTER
[0:0] -A SUBMARINER-GN-MARK -d {remote} -j MARK --set-xmark 0xc0000/0xc0000
[0:0] -A SM-GN-EGRESS-CLUSTER -s {pods} -m mark --mark 0xc0000/0xc0000 -j SNAT --to-source {net}.0.1-{net}.0.8
[0:0] -A SM-GN-EGRESS-CLUSTER -s {services} -m mark --mark 0xc0000/0xc0000 -j SNAT --to-source {net}.0.1-{net}.0.8
[0:0] -A SUBMARINER-GN-INGRESS -d {net}.255.254/32 -p icmp -j DNAT --to-destination {gateway}
[0:0] -A SUBMARINER-GN-INGRESS -d {net}.255.251/32 -j DNAT --to-destination {pod}
COMMIT
"""


def chains(position: str) -> PacketFilter:
    other = "c2" if position == "c1" else "c1"
    net, pods = GLOBAL[position].removesuffix(".0.0/16"), PODS[position].removesuffix(".0.0/16")
    text = CHAINS.format(
        remote=GLOBAL[other],
        pods=PODS[position],
        services=SERVICES[position],
        net=net,
        gateway=f"{pods}.1.1",
        pod=f"{pods}.2.20",
    )
    return parse(text, "nft")


def item(name: str, ip: str, target: str = "ClusterIPService", namespace: str = "web", **status: Any) -> dict[str, Any]:
    done = {"type": "Allocated", "status": "True", "reason": "Success"}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"target": target},
        "status": {"allocatedIP": ip, "conditions": [done], **status},
    }


def with_globalnet() -> Observation:
    """Both clusters have Globalnet; c1 exports `shop` and the headless `db`. Paths between pods are not asked then."""
    spec = LabSpec.make("test", clusters=2, gateways=2, workers=2)
    seen = healthy(gateways=2)
    for position, cidr in GLOBAL.items():
        seen = with_endpoints(seen, position, subnets=[cidr])
    for position in GLOBAL:
        seen = told(
            seen, position, clusters=lambda found: [_ranged(c) for c in found], gateways=_with_global_ips(position)
        )
    clusters = tuple(replace(c, globalnet=True) for c in seen.topology.clusters)
    sights = {
        key: replace(
            s,
            cluster=clusters[key[0] == "c2"],
            before=node_state(spec.node(key[1]), s.facts, s.view, spec.cluster(key[0])),
        )
        for key, s in seen.sights.items()
        if s.facts is not None and s.view is not None
    }
    flows = tuple(flow for flow in seen.flows if not flow.crosses)
    seen = replace(seen, topology=replace(seen.topology, clusters=clusters), sights=sights, flows=flows)
    for position in GLOBAL:
        seen = changed(
            seen,
            f"{position}-gw1",
            packet_filters=lambda filters, at=position: [_added(f, chains(at)) for f in filters],
        )
    internal = {
        "metadata": {
            "name": "submariner-abc",
            "namespace": "web",
            "labels": {"submariner.io/exportedServiceRef": "shop"},
        },
        "spec": {"externalIPs": ["242.0.255.253"]},
    }
    egress = {
        "metadata": {"name": "cluster-egress.submariner.io"},
        "status": {"allocatedIPs": [f"242.0.0.{n}" for n in range(1, 9)]},
    }
    return told(
        seen,
        "c1",
        globalingressips=[item("shop", "242.0.255.253"), item("pod-db-0", "242.0.255.251", "HeadlessServicePod")],
        clusterglobalegressips=[egress],
        services=[internal],
    )


def _ranged(cluster: dict[str, Any]) -> dict[str, Any]:
    return {**cluster, "spec": {**cluster["spec"], "global_cidr": [GLOBAL[cluster["spec"]["cluster_id"]]]}}


def _with_global_ips(position: str) -> Callable[[Iterable[dict[str, Any]]], list[dict[str, Any]]]:
    net = GLOBAL[position].removesuffix(".0.0/16")

    def change(gateways: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        made = []
        for number, gateway in enumerate(gateways):
            metadata = gateway["metadata"]
            ip = {"submariner.io/globalIp": f"{net}.255.{254 - 2 * number}"}
            made.append({**gateway, "metadata": {**metadata, "annotations": {**metadata["annotations"], **ip}}})
        return made

    return change


def _added(filters: PacketFilter, more: PacketFilter) -> PacketFilter:
    return replace(filters, rules=(*filters.rules, *more.rules), policies={**filters.policies, **more.policies})


def without_rules(seen: Observation, node: str, *texts: str) -> Observation:
    """Without the rules that contain all of `texts`."""

    def kept(filters: PacketFilter) -> PacketFilter:
        rules = tuple(r for r in filters.rules if not all(t in f"{r.chain} {r.text}" for t in texts))
        assert rules != filters.rules
        return replace(filters, rules=rules)

    return changed(seen, node, packet_filters=lambda found: map(kept, found))


def test_silent_in_health() -> None:
    assert suspicions(with_globalnet()) == []


def test_without_globalnet_no_chain_is_missed() -> None:
    assert suspicions(healthy()) == []


@pytest.mark.parametrize(
    "texts",
    [
        ("SUBMARINER-POSTROUTING", "-j SUBMARINER-GN-EGRESS"),
        ("SUBMARINER-GN-EGRESS", "-j SM-GN-EGRESS-CLUSTER"),
        ("SM-GN-EGRESS-CLUSTER", "-s 10.8.0.0/16"),
    ],
)
def test_outgoing_traffic_is_not_translated(texts: tuple[str, ...]) -> None:
    assert found(without_rules(with_globalnet(), "c1-gw1", *texts)) == [
        ("GLOBALNET_EGRESS_SNAT_MISSING", "c1", "c1-gw1")
    ]


def test_rules_that_were_not_read_prove_nothing() -> None:
    assert suspicions(changed(with_globalnet(), "c1-gw1", packet_filters=None)) == []


def test_rules_in_a_table_of_nftables_own_prove_nothing() -> None:
    def moved(filters: PacketFilter) -> PacketFilter:
        return replace(
            filters,
            rules=tuple(r for r in filters.rules if "SUBMARINER" not in f"{r.chain} {r.text}"),
            policies={key: policy for key, policy in filters.policies.items() if not key[1].startswith("SUBMARINER")},
        )

    seen = changed(with_globalnet(), "c1-gw1", packet_filters=lambda filters: map(moved, filters))
    rules = (globalnet.egress_snat_missing, globalnet.mark_missing, globalnet_addresses.ingress_missing)
    assert suspicions(seen, *rules) == []


def test_one_remote_range_is_not_marked() -> None:
    seen = without_rules(with_globalnet(), "c2-gw1", "SUBMARINER-GN-MARK -d 242.0.0.0/16")
    assert found(seen) == [("GLOBALNET_MARK_MISSING", "c2", "c2-gw1")]


def test_two_clusters_with_one_range() -> None:
    def same(clusters: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**c, "spec": {**c["spec"], "global_cidr": ["242.0.0.0/16"]}} for c in clusters]

    assert [code for code, *_ in found(told(with_globalnet(), "c2", clusters=same), globalnet.cidr_overlap)] == [
        "GLOBALNET_CIDR_OVERLAP"
    ]


@pytest.mark.parametrize(
    "services", [[], [{"metadata": {"name": "shop", "namespace": "web"}, "spec": {"clusterIP": "100.8.1.1"}}]]
)
def test_an_exported_service_without_an_internal_one(services: list[dict[str, Any]]) -> None:
    seen = told(with_globalnet(), "c1", services=services)
    [(code, suspicion)] = suspicions(seen)
    assert (code, suspicion.object) == ("GLOBALNET_INGRESS_MISSING", "GlobalIngressIP web/shop")


def test_an_internal_service_with_another_address() -> None:
    def moved(services: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**s, "spec": {"externalIPs": ["242.0.200.1"]}} for s in services]

    assert found(told(with_globalnet(), "c1", services=moved)) == [("GLOBALNET_INGRESS_MISSING", "c1", "c1-gw1")]


def test_a_headless_pod_without_its_rule() -> None:
    [(code, suspicion)] = suspicions(
        without_rules(with_globalnet(), "c1-gw1", "SUBMARINER-GN-INGRESS -d 242.0.255.251/32")
    )
    assert (code, suspicion.object) == ("GLOBALNET_INGRESS_MISSING", "GlobalIngressIP web/pod-db-0")


def test_an_object_without_an_address_yet_misses_nothing() -> None:
    seen = told(with_globalnet(), "c1", globalingressips=lambda found: [*found, item("young", "")])
    assert suspicions(seen) == []


def test_one_address_for_two_objects() -> None:
    twice = told(with_globalnet(), "c1", globalegressips=[item("mine", "242.0.255.253", namespace="other")])
    [(code, suspicion)] = suspicions(twice)
    assert (code, suspicion.object) == ("GLOBALNET_IP_DUPLICATE", "global address 242.0.255.253")


def test_two_rules_for_one_address() -> None:
    rule = parse("*nat\n[0:0] -A SUBMARINER-GN-INGRESS -d 242.0.255.251/32 -j DNAT --to-destination 10.8.1.77\n", "nft")
    seen = changed(with_globalnet(), "c1-gw1", packet_filters=lambda filters: [_added(f, rule) for f in filters])
    assert found(seen) == [("GLOBALNET_IP_DUPLICATE", "c1", "c1-gw1")]


def test_no_address_is_left() -> None:
    failed = {
        "type": "Allocated",
        "status": "False",
        "reason": "IPPoolAllocationFailed",
        "message": "insufficient IPs available",
    }
    more = item("late", "", conditions=[failed])
    assert found(told(with_globalnet(), "c1", globalingressips=lambda found: [*found, more])) == [
        ("GLOBALNET_POOL_EXHAUSTED", "c1", "c1-gw1")
    ]
    wrong = item("odd", "", conditions=[{**failed, "reason": "InvalidInput"}])
    assert found(told(with_globalnet(), "c1", globalingressips=lambda found: [*found, wrong])) == []


def test_a_former_gateway_keeps_its_rules() -> None:
    left = changed(
        with_globalnet(), "c1-gw2", packet_filters=lambda filters: [_added(f, chains("c1")) for f in filters]
    )
    assert found(left) == [("GLOBALNET_RULES_ON_OLD_GATEWAY", "c1", "c1-gw2")]


def test_a_passive_gateway_has_marks_only() -> None:
    marks = parse(
        "*nat\n:SUBMARINER-GN-MARK - [0:0]\n[0:0] -A SUBMARINER-GN-MARK -d 242.1.0.0/16 -j MARK --set-xmark 0xc0000/0xc0000\n",
        "nft",
    )
    seen = changed(with_globalnet(), "c1-gw2", packet_filters=lambda filters: [_added(f, marks) for f in filters])
    assert suspicions(seen) == []

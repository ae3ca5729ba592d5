"""NetworkPolicies: which keep a packet from a pod."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects
from pytest_submariner.diagnose.packetfilter.packet import Answer, Packet
from pytest_submariner.diagnose.reasoning.policies import Direction, Policies

WEB, CLIENT, REMOTE, HOST = "10.8.2.5", "10.8.1.5", "10.9.1.5", "10.8.2.9"
YES, NO, MAY = Answer.YES, Answer.NO, Answer.MAY


def pod(name: str, namespace: str, ip: str, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec,
        "status": {"phase": "Running", "podIP": ip},
    }


PODS = (
    pod(
        "web",
        "shop",
        WEB,
        {"app": "web", "tier": "front"},
        containers=[
            {
                "ports": [
                    {"name": "http", "containerPort": 8080},
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                ]
            }
        ],
    ),
    pod("client", "other", CLIENT, {"app": "client"}),
    pod("agent", "shop", HOST, {"app": "web"}, hostNetwork=True),
)
NAMESPACES = (
    {"metadata": {"name": "shop", "labels": {"team": "a"}}},
    {"metadata": {"name": "other", "labels": {"team": "b"}}},
)
IN = Packet(CLIENT, WEB, "tcp", destination_port=8080)
FROM_REMOTE = replace(IN, source=REMOTE)


def policies(*specs: dict[str, Any], namespace: str = "shop") -> Policies:
    found = tuple({"metadata": {"name": f"p{i}", "namespace": namespace}, "spec": spec} for i, spec in enumerate(specs))
    return Policies(ClusterObjects("c1", {"pods": PODS, "namespaces": NAMESPACES, "networkpolicies": found}))


def blocked(packet: Packet, *specs: dict[str, Any], direction: Direction = Direction.INGRESS) -> Answer:
    isolation = policies(*specs).isolation(direction, packet)
    return NO if isolation is None else isolation.blocks


def ingress(*rules: dict[str, Any], pods: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"podSelector": pods or {}, "policyTypes": ["Ingress"], "ingress": list(rules)}


def peer(**fields: Any) -> dict[str, Any]:
    return {"from": [fields]}


TEAM_B = {"matchLabels": {"team": "b"}}


@pytest.mark.parametrize(
    ("packet", "spec", "answer"),
    [
        (IN, ingress(), YES),
        (IN, ingress({}), NO),
        (IN, ingress(pods={"matchLabels": {"app": "db"}}), NO),
        (IN, ingress(pods={"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}), YES),
        (IN, ingress(pods={"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), NO),
        (IN, ingress(pods={"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), YES),
        (IN, ingress(pods={"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), NO),
        (IN, ingress(peer(podSelector={})), YES),
        (IN, ingress(peer(namespaceSelector=TEAM_B)), NO),
        (IN, ingress(peer(namespaceSelector=TEAM_B, podSelector={"matchLabels": {"app": "client"}})), NO),
        (IN, ingress(peer(namespaceSelector=TEAM_B, podSelector={"matchLabels": {"app": "other"}})), YES),
        (FROM_REMOTE, ingress(peer(namespaceSelector={})), YES),
        (FROM_REMOTE, ingress(peer(ipBlock={"cidr": "10.9.0.0/16"})), NO),
        (FROM_REMOTE, ingress(peer(ipBlock={"cidr": "10.9.0.0/16", "except": ["10.9.1.0/24"]})), YES),
        (FROM_REMOTE, ingress(peer(ipBlock={"cidr": "fd00::/8"})), YES),
        (IN, ingress({"ports": [{"port": 8080}]}), NO),
        (IN, ingress({"ports": [{"port": 80}]}), YES),
        (IN, ingress({"ports": [{"port": 8000, "endPort": 8100}]}), NO),
        (IN, ingress({"ports": [{"protocol": "UDP", "port": 8080}]}), YES),
        (IN, ingress({"ports": [{"protocol": "TCP"}]}), NO),
        (IN, ingress({"ports": [{"port": "http"}]}), NO),
        (IN, ingress({"ports": [{"port": "dns"}]}), YES),
        (replace(IN, destination_port=None), ingress({"ports": [{"port": 8080}]}), MAY),
        (replace(IN, protocol="icmp", destination_port=None), ingress({"ports": [{"port": 8080}]}), MAY),
        (replace(IN, destination=HOST), ingress(), NO),
        (replace(IN, destination="10.8.7.7"), ingress(), NO),
        (IN, {"podSelector": {}, "egress": []}, YES),
        (IN, {"podSelector": {}, "policyTypes": ["Egress"]}, NO),
    ],
)
def test_ingress(packet: Packet, spec: dict[str, Any], answer: Answer) -> None:
    assert blocked(packet, spec) is answer


def test_one_policy_that_allows_is_enough() -> None:
    assert blocked(IN, ingress(), ingress({"ports": [{"port": 8080}]})) is NO


def test_those_that_select_the_pod_are_named() -> None:
    isolation = policies(
        ingress(), ingress(pods={"matchLabels": {"app": "db"}}), ingress(peer(podSelector={}))
    ).isolation(Direction.INGRESS, IN)
    assert isolation is not None
    assert (isolation.pod, isolation.policies) == ("shop/web", ("shop/p0", "shop/p2"))


def test_egress() -> None:
    out = Packet(WEB, REMOTE, "tcp", destination_port=80)
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {}}]}]}
    assert blocked(out, spec, direction=Direction.EGRESS) is YES
    assert blocked(replace(out, destination=CLIENT), spec, direction=Direction.EGRESS) is NO
    assert blocked(out, {"podSelector": {}, "egress": [{}]}, direction=Direction.EGRESS) is NO
    assert blocked(out, ingress(), direction=Direction.EGRESS) is NO


def test_a_policy_of_another_namespace_selects_nothing() -> None:
    assert policies(ingress(), namespace="other").isolation(Direction.INGRESS, IN) is None


def test_nothing_is_isolated_when_pods_were_not_read() -> None:
    found = {"networkpolicies": ({"metadata": {"name": "p", "namespace": "shop"}, "spec": ingress()},)}
    unread = Policies(ClusterObjects("c1", found, unread={"pods": "denied"}))
    assert not unread
    assert unread.isolation(Direction.INGRESS, IN) is None

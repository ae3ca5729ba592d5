"""From NetworkPolicies, pods and namespaces to what a node is to enforce."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_submariner.lab.controllers.networkpolicy import Allowance, Direction, Networks, Pods, Ports, directions
from pytest_submariner.lab.controllers.networkpolicy import allowances as allowances_of
from pytest_submariner.lab.controllers.policyrules import CHAIN, PolicyRules, policy_rules

Object = dict[str, Any]
NOTHING = PolicyRules()


def pod(name: str, ip: str, node: str = "c1-w1", namespace: str = "shop", **labels: str) -> Object:
    container = {"name": "main", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"nodeName": node, "containers": [container]},
        "status": {"phase": "Running", "podIP": ip},
    }


def policy(name: str = "some", **spec: Any) -> Object:
    return {"metadata": {"namespace": "shop", "name": name}, "spec": {"podSelector": {}, **spec}}


NAMESPACES = [
    {"metadata": {"name": "shop", "labels": {"team": "a"}}},
    {"metadata": {"name": "audit", "labels": {"team": "b"}}},
]
WEB = pod("web", "10.8.2.10", app="web")
SHOPPER = pod("shopper", "10.8.1.10", "c1-gw", app="shopper")
AUDITOR = pod("auditor", "10.8.1.11", "c1-gw", "audit", app="auditor")
PODS = Pods([WEB, SHOPPER, AUDITOR], NAMESPACES)


def peers(direction: Direction = Direction.INGRESS, **peer: Any) -> tuple[Networks, ...] | None:
    spec: Object = {str(direction): [{direction.peers_key: [peer]}]}
    (allowance,) = allowances_of(policy(**spec), direction, PODS)
    return allowance.peers


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, [Direction.INGRESS]),
        ({"egress": [{}]}, [Direction.INGRESS, Direction.EGRESS]),
        ({"policyTypes": ["Egress"]}, [Direction.EGRESS]),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, [Direction.INGRESS]),
    ],
)
def test_directions_follow_policy_types_and_their_defaults(spec: Object, expected: list[Direction]) -> None:
    assert directions(policy(**spec)) == expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"podSelector": {}}, ["10.8.1.10/32", "10.8.2.10/32"]),
        ({"podSelector": {"matchLabels": {"app": "shopper"}}}, ["10.8.1.10/32"]),
        ({"namespaceSelector": {}}, ["10.8.1.10/32", "10.8.1.11/32", "10.8.2.10/32"]),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, ["10.8.1.11/32"]),
        (
            {
                "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
                "podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]},
            },
            ["10.8.1.10/32", "10.8.1.11/32"],
        ),
        ({"podSelector": {"matchLabels": {"app": "nobody"}}}, []),
    ],
)
def test_selectors_choose_pods_of_the_own_or_of_selected_namespaces(peer: Object, expected: list[str]) -> None:
    assert peers(**peer) == (Networks(tuple(expected)),)


def test_a_block_has_exceptions_and_everything_is_two_halves() -> None:
    assert peers(ipBlock={"cidr": "10.9.0.0/16", "except": ["10.9.2.0/24"]}) == (
        Networks(("10.9.0.0/16",), ("10.9.2.0/24",)),
    )
    assert peers(ipBlock={"cidr": "0.0.0.0/0"}) == (Networks(("0.0.0.0/1", "128.0.0.0/1")),)
    assert peers(ipBlock={"cidr": "fd00::/8"}) == (Networks(()),)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({}, Ports("tcp")),
        ({"protocol": "UDP"}, Ports("udp")),
        ({"port": 80}, Ports("tcp", 80, 80)),
        ({"port": 80, "endPort": 90}, Ports("tcp", 80, 90)),
        ({"port": "http"}, Ports("tcp", named=("10.8.1.10:8080", "10.8.2.10:8080"))),
        ({"port": "http", "protocol": "UDP"}, Ports("udp", named=())),
    ],
)
def test_ports_by_number_range_and_name(port: Object, expected: Ports) -> None:
    (allowance,) = allowances_of(policy(ingress=[{"ports": [port]}]), Direction.INGRESS, PODS)
    assert allowance == Allowance(None, (expected,))


def test_a_named_port_of_egress_is_the_peers() -> None:
    rule = {"to": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}], "ports": [{"port": "http"}]}
    (allowance,) = allowances_of(policy(egress=[rule]), Direction.EGRESS, PODS)
    assert allowance.ports == (Ports("tcp", named=("10.8.1.11:8080",)),)


def rules_of(*policies: Object, node: str = "c1-w1", pods: Pods = PODS) -> PolicyRules:
    return policy_rules(policies, pods, node)


def test_a_node_without_isolated_pods_has_no_rules() -> None:
    only_web = policy(podSelector={"matchLabels": {"app": "web"}})
    assert rules_of(only_web, node="c1-gw") == NOTHING
    assert rules_of() == NOTHING
    assert NOTHING.restore_text(NOTHING) == ""


def test_pods_on_the_nodes_network_and_ended_ones_are_not_isolated() -> None:
    host, ended, young = (pod(name, "10.8.2.20") for name in ("host", "ended", "young"))
    host["spec"]["hostNetwork"] = True
    ended["status"]["phase"] = "Succeeded"
    young["status"] = {"phase": "Pending"}
    assert rules_of(policy(), pods=Pods([host, ended, young], NAMESPACES)) == NOTHING


def test_deny_all_drops_what_is_not_established_nor_to_itself() -> None:
    text = rules_of(policy(policyTypes=["Ingress"])).restore_text(NOTHING)
    (jump,) = [line for line in text.splitlines() if line.startswith(f"-A {CHAIN} -d ")]
    chain = jump.split()[-1]
    own = [line.removeprefix(f"-A {chain} ") for line in text.splitlines() if line.startswith(f"-A {chain} ")]
    assert jump.startswith(f"-A {CHAIN} -d 10.8.2.10/32 ")
    assert own[0] == "-s 10.8.2.10/32 -j RETURN"
    assert own[1].startswith("-j KUBE-NWPLCY-")
    assert own[2] == '-m mark ! --mark 0x10000/0x10000 -m comment --comment "ingress of shop/web" -j DROP'
    assert own[3] == "-j MARK --set-xmark 0x0/0x10000"
    assert f"-A {CHAIN} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n-A {CHAIN} -d" in text
    assert f'-I FORWARD 1 -m comment --comment "kube-router netpol" -j {CHAIN}' in text
    assert "--set-xmark 0x10000/0x10000" not in text


def test_peers_and_ports_are_each_alternatives() -> None:
    rule = {
        "from": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.9.0.0/16", "except": ["10.9.2.0/24"]}}],
        "ports": [{"port": 80}, {"port": 8000, "endPort": 8009, "protocol": "UDP"}],
    }
    made = rules_of(policy(ingress=[rule]))
    allowing = [line.split(" -m comment")[0] for line in made.rules if "--set-xmark 0x10000/0x10000" in line]
    assert len(allowing) == 4
    assert {line.split(" src ")[1] for line in allowing} == {
        "-p tcp -m tcp --dport 80:80",
        "-p udp -m udp --dport 8000:8009",
    }
    assert "10.9.0.0/16\nadd" in made.set_text()
    assert "10.9.2.0/24 nomatch\n" in made.set_text()


def test_what_nobody_fits_allows_nothing_and_what_names_nobody_allows_all() -> None:
    nobody = {"from": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]}
    assert not [line for line in rules_of(policy(ingress=[nobody])).rules if "0x10000/0x10000\n" in f"{line}\n"]
    (rule,) = [line for line in rules_of(policy(ingress=[{}])).rules if "--set-xmark 0x10000/0x10000" in line]
    assert "match-set" not in rule
    assert "-p " not in rule


def test_policies_of_one_pod_add_up_in_one_chain() -> None:
    made = rules_of(policy("deny"), policy("allow", ingress=[{}]))
    drops = [line for line in made.rules if line.endswith("-j DROP")]
    chain = drops[0].split()[1]
    assert len(drops) == 1
    assert sum(line.startswith(f"-A {chain} -j KUBE-NWPLCY-") for line in made.rules) == 2


def test_every_chain_and_set_that_is_used_is_made() -> None:
    rule = {"from": [{"podSelector": {}}], "ports": [{"port": "http"}]}
    made = rules_of(policy(ingress=[rule], egress=[{"to": [{"podSelector": {}}]}]), policy("other"))
    targets = {line.split(" -j ")[1].split()[0] for line in made.rules}
    sets = {word for line in made.rules for word in line.split() if word.startswith(("KUBE-SRC", "KUBE-DST", "KUBE-P"))}
    assert {target for target in targets if target.startswith("KUBE-")} <= set(made.chains)
    assert {name for name in sets if not name.startswith("KUBE-POD-FW")} == made.set_names
    assert all(len(name) <= 28 for name in made.chains)


def test_other_members_make_another_set_and_the_old_chains_go_after_the_last_reference() -> None:
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "shopper"}}}]}
    before = rules_of(policy(ingress=[rule]))
    moved = Pods([WEB, pod("shopper", "10.8.1.77", "c1-gw", app="shopper")], NAMESPACES)
    after = rules_of(policy(ingress=[rule]), pods=moved)
    assert not before.set_names & after.set_names
    assert before.chains == after.chains
    gone = NOTHING.restore_text(after)
    assert f'-D FORWARD -m comment --comment "kube-router netpol" -j {CHAIN}\n' in gone
    assert all(f":{chain} - [0:0]\n" in gone and f"-X {chain}\n" in gone for chain in after.chains)
    assert gone.index("-D FORWARD") < gone.index("-X ")
    assert "-I FORWARD" not in after.restore_text(before)

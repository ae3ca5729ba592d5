"""What the applier leaves on real nodes: the model's state, beside a CNI's and kube-proxy's chains, however often
and after whatever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dumps
import pytest
from submariner_bench import SPEC, Bench, states

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.difference import differences
from pytest_submariner.errors import LabUnavailable
from pytest_submariner.lab.submariner.plan import LEFT_BEHIND
from pytest_submariner.model.nodestate import NodeState

FIRST = {"c1": "c1-gw1", "c2": "c2-gw1"}
NODES = [node.name for node in SPEC.nodes]
SECOND = {"c1": "c1-gw2", "c2": "c2-gw1"}
KUBE_PROXY = "iptables -t nat -A POSTROUTING -m comment --comment kube -j RETURN"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    try:
        bench = Bench()
    except LabUnavailable as error:
        pytest.skip(str(error))
    for node in SPEC.nodes:
        # Chains that are there before Submariner, as kube-proxy's would be.
        bench.run(node.name, KUBE_PROXY)
        bench.run(node.name, "iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP")
        bench.run(node.name, "iptables -A INPUT -m conntrack --ctstate INVALID -j DROP")
    bench.ask(apply=FIRST)
    yield bench
    bench.close()


def observed(bench: Bench, node: str) -> NodeState:
    return dumps.read(bench.dump(node), node)


def deviations(bench: Bench, node: str, active: dict[str, str]) -> list[str]:
    return [str(d) for d in differences(states(active)[node], observed(bench, node))]


@pytest.mark.parametrize("node", NODES)
def test_every_node_is_as_the_model_says(bench: Bench, node: str) -> None:
    expected, found = states(FIRST)[node], observed(bench, node)
    assert [str(d) for d in differences(expected, found)] == []
    (own,), (real,) = expected.packet_filters or (), found.packet_filters or ()
    for table, chain in c.OWN_CHAINS:
        assert own.chain(table, chain) == real.chain(table, chain)
    for table, chain, text, position in c.HOOKS:
        rules = [rule.text for rule in real.chain(table, chain)]
        assert rules.index(text) == (0 if position is c.Position.FIRST else len(rules) - 1), rules


@pytest.mark.parametrize("order", [{"apply": FIRST}, {"heal": FIRST, "nodes": NODES}], ids=["apply", "heal"])
def test_again_changes_nothing(bench: Bench, order: dict[str, Any]) -> None:
    before = {node: observed(bench, node) for node in NODES}
    bench.ask(**order)
    assert {node: observed(bench, node) for node in NODES} == before


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param("c1-w1", "10.9.1.1", id="non-gateway to remote gateway"),
        pytest.param("c1-w1", "10.9.3.1", id="non-gateway to remote non-gateway"),
        pytest.param("c1-gw1", "10.9.3.1", id="gateway to remote non-gateway"),
        pytest.param("c1-gw2", "10.9.1.1", id="passive gateway to remote gateway"),
    ],
)
def test_a_node_reaches_the_other_cluster(bench: Bench, source: str, target: str) -> None:
    assert "1 received" in bench.run(source, f"ping -c1 -W2 {target}")


DAMAGE = {
    "SNAT rule deleted": ("c1-w1", "iptables -t nat -D SUBMARINER-POSTROUTING 1"),
    "nat jump deleted": ("c1-w1", "iptables -t nat -D POSTROUTING -j SUBMARINER-POSTROUTING"),
    "nat jump doubled": ("c1-w1", "iptables -t nat -A POSTROUTING -j SUBMARINER-POSTROUTING"),
    "foreign rule in our chain": ("c1-w1", "iptables -t nat -I SUBMARINER-POSTROUTING -j MASQUERADE"),
    "forward rule deleted": ("c1-w1", "iptables -D SUBMARINER-FORWARD -o vx-submariner -j ACCEPT"),
    "input chain emptied": ("c1-gw1", "iptables -F SUBMARINER-INPUT"),
    "MSS rule deleted": ("c1-w1", "iptables -t mangle -D SUBMARINER-POSTROUTING 2"),
    "set member deleted": ("c1-w1", "ipset del SUBMARINER-REMOTECIDRS 10.9.0.0/16"),
    "foreign set member": ("c1-w1", "ipset add SUBMARINER-LOCALCIDRS 192.0.2.0/24"),
    "remote route deleted": ("c1-w1", "ip route del 10.9.0.0/16"),
    "remote route elsewhere": ("c1-w1", "ip route replace 10.9.0.0/16 via 172.18.0.1 dev eth0 proto static"),
    "device deleted": ("c1-w1", "ip link del vx-submariner"),
    "device down": ("c1-w1", "ip link set vx-submariner down"),
    "MTU changed": ("c1-w1", "ip link set vx-submariner mtu 1400"),
    "address deleted": ("c1-gw1", "ip addr flush dev vx-submariner"),
    "FDB entry deleted": ("c1-gw1", "bridge fdb del 00:00:00:00:00:00 dev vx-submariner dst 172.18.1.3 self"),
    "foreign FDB entry": (
        "c1-w1",
        "bridge fdb append 00:00:00:00:00:00 dev vx-submariner dst 172.18.1.9 self permanent",
    ),
    "cable device deleted": ("c1-gw1", "ip link del vxlan-tunnel"),
    "rule 150 deleted": ("c1-gw1", "ip rule del pref 150"),
    "rule 100 doubled": ("c1-gw1", "ip rule add pref 100 to 10.9.0.0/16 lookup 100"),
    "table 150 emptied": ("c1-gw1", "ip route flush table 150"),
    "foreign route in table 100": ("c1-gw1", "ip route add 192.0.2.0/24 dev eth0 table 100"),
    "strict reverse path": ("c1-gw1", "sysctl -w net.ipv4.conf.vx-submariner.rp_filter=1"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_healing_restores_the_state_exactly(bench: Bench, damage: str) -> None:
    node, command = DAMAGE[damage]
    before = observed(bench, node)
    bench.run(node, command)
    assert observed(bench, node) != before, "the command did no damage"
    bench.ask(heal=FIRST, nodes=[node])
    assert observed(bench, node) == before


def test_a_change_that_failed_half_way_is_repaired_by_the_next(bench: Bench) -> None:
    """A device in the way makes the kernel refuse; what was done before that must not be in the way of the next
    attempt."""
    try:
        bench.run("c1-gw2", "ip link add vxlan-tunnel type bridge")
        with pytest.raises(Exception, match="node c1-gw2: the kernel refused a part of Submariner's state"):
            bench.ask(apply=SECOND)
        bench.run("c1-gw2", "ip link del vxlan-tunnel")
        bench.ask(apply=SECOND)
        assert deviations(bench, "c1-gw2", SECOND) == []
    finally:
        bench.ask(heal=FIRST, nodes=NODES)


def test_a_failover_moves_the_role_and_leaves_rule_100_behind(bench: Bench) -> None:
    before = {node: observed(bench, node) for node in NODES}
    try:
        bench.ask(apply=SECOND)
        for node in SPEC.nodes:
            assert deviations(bench, node.name, SECOND) == []
        assert LEFT_BEHIND in (observed(bench, "c1-gw1").rules or ())
        assert "1 received" in bench.run("c1-w1", "ping -c1 -W2 10.9.3.1")
        assert "1 received" in bench.run("c2-w1", "ping -c1 -W2 10.8.2.1")
        bench.ask(apply=FIRST)
        assert LEFT_BEHIND in (observed(bench, "c1-gw2").rules or ())
        for node in SPEC.nodes:
            if node.name != "c1-gw2":
                assert observed(bench, node.name) == before[node.name]
        assert "1 received" in bench.run("c1-w1", "ping -c1 -W2 10.9.3.1")
    finally:
        bench.ask(heal=FIRST, nodes=NODES)
    assert {node: observed(bench, node) for node in NODES} == before


def test_devices_carry_what_the_agents_library_gives_them(bench: Bench) -> None:
    """Neither is in the model: an address's broadcast address, and no queue length."""
    for device, broadcast in (("vx-submariner", "240.255.255.255"), ("vxlan-tunnel", "241.255.255.255")):
        shown = bench.run("c2-gw1", f"ip addr show dev {device}")
        assert f" brd {broadcast} " in shown
        assert " qlen " not in shown

"""What the kernel would do with a packet, from rules and tables alone; each case was compared with `ip route get`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_submariner.diagnose.reasoning.routelookup import in_any, lookup
from pytest_submariner.model.nodestate import NodeState, Route, Rule

STATE = NodeState(
    "n1",
    routes=(
        Route("default", "eth0", gateway="172.18.0.1"),
        Route("default", "eth1", gateway="172.19.0.1", metric=100),
        Route("10.9.0.0/16", "vx-submariner", gateway="240.18.1.1", protocol="static"),
        Route("10.9.7.0/24", "docker0", scope="link"),
        Route("10.9.8.8", "", kind="blackhole"),
        Route("10.9.0.0/16", "eth0", table="220", gateway="172.18.0.1"),
        Route("10.9.9.0/24", "", table="220", kind="throw"),
        Route("10.20.0.0/16", "eth0", gateway="172.18.0.8", metric=10),
        Route("10.20.0.0/16", "eth0", gateway="172.18.0.9", metric=10),
    ),
    rules=(Rule(0, "local"), Rule(32766, "main"), Rule(32767, "default")),
)


def with_rule(rule: Rule) -> NodeState:
    return replace(STATE, rules=(*(STATE.rules or ()), rule))


@pytest.mark.parametrize(
    ("destination", "device", "kind"),
    [
        ("8.8.8.8", "eth0", "unicast"),
        ("10.9.1.1", "vx-submariner", "unicast"),
        ("10.9.7.1", "docker0", "unicast"),
        ("10.9.8.8", "", "blackhole"),
        ("10.9.8.9", "vx-submariner", "unicast"),
    ],
)
def test_the_longest_prefix_wins(destination: str, device: str, kind: str) -> None:
    decision = lookup(STATE, destination)
    assert decision is not None
    assert (decision.route.device, decision.route.kind) == (device, kind)
    assert decision.refuses is (kind == "blackhole")
    assert not decision.by_policy


def test_the_lower_metric_wins_and_next_hops_of_one_route_stay_together() -> None:
    lower = lookup(STATE, "8.8.8.8")
    assert lower is not None
    assert [route.gateway for route in lower.routes] == ["172.18.0.1"]
    both = lookup(STATE, "10.20.0.1")
    assert both is not None
    assert [route.gateway for route in both.routes] == ["172.18.0.8", "172.18.0.9"]


def test_a_rule_of_a_lower_priority_number_is_asked_first() -> None:
    decision = lookup(with_rule(Rule(220, "220")), "10.9.1.1")
    assert decision is not None
    assert decision.by_policy
    assert decision.route.device == "eth0"


@pytest.mark.parametrize(
    "rule",
    [
        Rule(40000, "220"),
        Rule(220, "220", selector="fwmark 0x200"),
        Rule(220, "220", source="10.8.7.0/24"),
        Rule(220, "220", destination="10.77.0.0/16"),
        Rule(220, "221"),
    ],
    ids=["asked too late", "for marked packets", "for another source", "for another destination", "an empty table"],
)
def test_rules_that_do_not_apply(rule: Rule) -> None:
    decision = lookup(with_rule(rule), "10.9.1.1", "10.8.1.1")
    assert decision is not None
    assert decision.route.device == "vx-submariner"


def test_rules_for_the_packets_source_apply() -> None:
    state = with_rule(Rule(220, "220", source="10.8.1.0/24"))
    asked = {source: lookup(state, "10.9.1.1", source) for source in ("10.8.1.5", "10.8.2.5", "")}
    assert {source: decision.route.device for source, decision in asked.items() if decision} == {
        "10.8.1.5": "eth0",
        "10.8.2.5": "vx-submariner",
        "": "vx-submariner",
    }


def test_throw_sends_on_to_the_next_rule() -> None:
    decision = lookup(with_rule(Rule(220, "220")), "10.9.9.1")
    assert decision is not None
    assert decision.route.device == "vx-submariner"


def test_no_route() -> None:
    assert lookup(replace(STATE, routes=()), "10.9.1.1") is None


def test_no_address_is_in_no_network() -> None:
    assert not in_any("", ("0.0.0.0/0",))
    assert in_any("10.9.1.1", ("10.8.0.0/16", "10.9.0.0/16"))
    assert not in_any("10.9.1.1", ("fd00::/8", "no network"))

"""Facts and views from what was observed: the same the agents found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from observed import NODES, objects, state

from pytest_submariner.dataplane.difference import differences
from pytest_submariner.dataplane.expected import expected_state
from pytest_submariner.dataplane.facts import cluster_view, node_facts
from pytest_submariner.dataplane.objects import Endpoint
from pytest_submariner.dataplane.view import NodeFacts
from pytest_submariner.errors import TopologyError
from pytest_submariner.model.nodestate import Address, Link, NodeState, Route
from pytest_submariner.model.topology import Node, Role

GATEWAY = Node("c1-gw", "c1", Role.GATEWAY, "172.18.0.11")
WORKER = Node("c1-w", "c1", Role.NON_GATEWAY, "172.18.0.12")
PODS = ("10.8.0.0/16",)
OBJECTS = {kind: objects(kind) for kind in ("endpoints", "clusters", "gateways")}
VIEW = cluster_view("c1", **OBJECTS, nodes=NODES)
PLAIN = NodeState(
    "c1-w",
    links=(Link("lo", "", 65536), Link("eth0", "", 9000), Link("eth1", "", 1500)),
    addresses=(Address("lo", "127.0.0.1", 8), Address("eth0", "172.18.0.12", 16), Address("eth0", "172.18.9.9", 16)),
    routes=(Route("default", "eth0", gateway="172.18.0.1"), Route("default", "eth1", gateway="10.0.0.1", metric=100)),
)


@pytest.mark.parametrize(
    ("role", "node", "facts"),
    [
        ("gateway", GATEWAY, NodeFacts("c1-gw", "c1-gw", "eth0", "172.18.0.11", 1500, "cni0", "10.8.1.1", True)),
        ("non-gateway", WORKER, NodeFacts("c1-w", "c1-w", "eth0", "172.18.0.12", 1500, "cni0", "10.8.2.1")),
    ],
)
def test_an_observed_node_is_as_its_own_facts_and_the_objects_demand(role: str, node: Node, facts: NodeFacts) -> None:
    found = state(role, node.name)
    assert node_facts(node, found, PODS) == facts
    wanted = expected_state(node_facts(node, found, PODS), VIEW)
    told = [str(d) for d in differences(wanted, found)]
    # The agents ran without their container's entrypoint, which writes this one.
    assert told == (["sysctls: missing net.ipv4.conf.all.send_redirects = 0"] if role == "gateway" else [])


def test_first_address_first_default_route_and_the_hostname_of_the_system() -> None:
    facts = node_facts(WORKER, replace(PLAIN, hostname="c1-w.example.org"), PODS)
    assert (facts.underlay_device, facts.underlay_ip, facts.underlay_mtu) == ("eth0", "172.18.0.12", 9000)
    assert (facts.hostname, facts.cni_device, facts.cni_ip) == ("c1-w.example.org", None, None)


def test_the_first_pod_cidr_with_any_address_decides() -> None:
    """Not the first device: upstream walks CIDRs first, devices inside."""
    addresses = (*(PLAIN.addresses or ()), Address("tunl0", "10.99.0.1", 32), Address("cni0", "10.8.2.1", 24))
    found = replace(PLAIN, addresses=addresses)
    for cidrs, device in ((("10.8.0.0/16", "10.99.0.0/16"), "cni0"), (("fd00::/48", "10.99.0.0/16", *PODS), "tunl0")):
        assert node_facts(WORKER, found, cidrs).cni_device == device


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"routes": ()}, "no default route in table main"),
        ({"routes": (Route("default", "eth0", table="7"),)}, "no default route in table main"),
        ({"routes": (Route("default", "", kind="unreachable"),)}, "no default route in table main"),
        ({"addresses": ()}, "eth0, the device of the default route, has no IPv4 address"),
        ({"links": None, "unread": {"links": "ip: not found"}}, "links could not be read: ip: not found"),
    ],
)
def test_what_facts_cannot_be_had_from(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TopologyError, match=complaint):
        node_facts(WORKER, replace(PLAIN, **change), PODS)


@pytest.mark.parametrize(("text", "mss"), [("1300", 1300), ("small", None), ("", None)])
def test_the_annotation_that_fixes_the_segment_size(text: str, mss: int | None) -> None:
    assert node_facts(WORKER, PLAIN, PODS, annotations={"submariner.io/tcp-clamp-mss": text}).tcp_clamp_mss == mss


def test_the_next_hop_to_a_remote_gateway_inside_its_own_subnet() -> None:
    remote = Endpoint("c2", "cable", "c2-gw", ("10.9.0.0/16",), "10.9.0.5")
    routes = (
        *(PLAIN.routes or ()),
        Route("10.9.0.0/16", "vx-submariner", gateway="240.18.0.11"),
        Route("10.0.0.0/8", "eth0", gateway="172.18.0.7"),
        Route("10.9.0.0/24", "eth0", gateway="172.18.0.8", table="7"),
    )
    assert node_facts(WORKER, replace(PLAIN, routes=routes), PODS, remotes=[remote]).next_hops == {
        "10.9.0.5": "172.18.0.7"
    }
    outside = replace(remote, private_ip="172.19.0.5")
    assert node_facts(WORKER, replace(PLAIN, routes=routes), PODS, remotes=[outside]).next_hops == {}


def test_the_view_has_ipv4_node_addresses_and_the_cables_of_the_active_gateway() -> None:
    assert VIEW.node_ips == ("172.18.0.11", "172.18.0.12")
    assert [(remote.cluster_id, ip) for remote, ip in VIEW.cables] == [("c2", VIEW.remotes[0].private_ip)]


def _gateway(**changes: Any) -> dict[str, Any]:
    gateway = OBJECTS["gateways"][0]
    connection = gateway["status"]["connections"][0]
    changed = {**connection, "usingIP": "203.0.113.9", "endpoint": {**connection["endpoint"], **changes}}
    return {**gateway, "status": {**gateway["status"], "connections": [changed]}}


def test_the_address_in_use_counts_unless_the_gateway_lags_behind() -> None:
    """A connection to an Endpoint that was replaced says nothing about the new one."""
    current = cluster_view("c1", **{**OBJECTS, "gateways": [_gateway()]}, nodes=NODES)
    assert [ip for _, ip in current.cables] == ["203.0.113.9"]
    late = cluster_view("c1", **{**OBJECTS, "gateways": [_gateway(private_ip="172.18.77.7")]}, nodes=NODES)
    assert [ip for _, ip in late.cables] == [VIEW.remotes[0].private_ip]


def test_a_gateway_that_is_starting_or_passive_has_no_say() -> None:
    passive = {**_gateway(), "status": {**_gateway()["status"], "haStatus": "passive"}}
    starting = {"metadata": {"name": "c1-gw2"}, "status": {}}
    view = cluster_view("c1", **{**OBJECTS, "gateways": [starting, passive]}, nodes=NODES)
    assert view.connections is None

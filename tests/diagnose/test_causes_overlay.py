"""Causes of the overlay: named alone where they are, in more than one form, and not where something else looks like them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from observations import changed, counted, failing, found, healthy, lost, of_layers, suspicions, told, unread

from pytest_submariner.dataplane.links import FLOOD_MAC
from pytest_submariner.diagnose.catalogue import BY_CODE
from pytest_submariner.diagnose.cause import Layer
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.trace import Way
from pytest_submariner.lab.faults.signatures import NODE
from pytest_submariner.model.nodestate import Address, FdbEntry, Link, Neighbour, NodeState, Socket

VX = "vx-submariner"
GATEWAY_MAC = "02:00:f0:12:01:01"
Change = Callable[[Observation], Observation]
OWN = of_layers(Layer.OVERLAY, Layer.ROUTE, Layer.HOST)


def cut_off(seen: Observation) -> Observation:
    """c1-w1 and its paths to other clusters."""
    return failing(seen, NODE, "c1")


def all_cut_off(seen: Observation) -> Observation:
    """Of every non-gateway node of c1."""
    for pattern in ("*.ngw*.{a}--*.{b}--*", "*.{b}--*.ngw*.{a}--*"):
        seen = failing(seen, pattern, "c1")
    return seen


def device(node: str, **values: object) -> Change:
    """With other properties; one that is down has no socket."""

    def change(seen: Observation) -> Observation:
        if values.get("up") is False:
            seen = changed(seen, node, sockets=lambda sockets: [s for s in sockets if s.port != 4800])
        return changed(seen, node, links=lambda links: [replace(x, **values) if x.name == VX else x for x in links])

    return change


def without_device(node: str) -> Change:
    def change(seen: Observation) -> Observation:
        seen = without_routes(node)(seen)
        return changed(seen, node, links=lambda links: [x for x in links if x.name != VX], fdb=without)

    return change


def without_routes(node: str) -> Change:
    return lambda seen: changed(seen, node, routes=without)


def without(elements: tuple[FdbEntry, ...]) -> list[FdbEntry]:
    return [element for element in elements if element.device != VX]


def aimed_at(node: str, *ips: str, mac: str = FLOOD_MAC) -> Change:
    entries = [FdbEntry(VX, mac, ip) for ip in ips]
    return lambda seen: changed(seen, node, fdb=lambda fdb: entries if mac == FLOOD_MAC else [*fdb, *entries])


def neighbour(node: str, ip: str, mac: str | None, state: str) -> Change:
    entry = Neighbour(VX, ip, mac, state)
    return lambda seen: changed(seen, node, neighbours=lambda old: [*(n for n in old if n.device != VX), entry])


def address(node: str, *new: Address, keep: bool = True) -> Change:
    return lambda seen: changed(seen, node, addresses=lambda old: [*(a for a in old if keep or a.device != VX), *new])


def taken(*sockets: Socket) -> Change:
    return lambda seen: changed(seen, "c1-w1", sockets=sockets)


def both(*changes: Change) -> Change:
    def change(seen: Observation) -> Observation:
        for step in changes:
            seen = step(seen)
        return seen

    return change


FOREIGN = Link("foreign.1", "vxlan", 1450, vni=1, port=4800)
FAULTS: dict[str, tuple[str, str, Change]] = {
    "down": ("OVERLAY_LINK_DOWN", "c1-w1", both(device("c1-w1", up=False), without_routes("c1-w1"))),
    "down, routes still listed": ("OVERLAY_LINK_DOWN", "c1-w1", device("c1-w1", up=False)),
    "missing": ("OVERLAY_DEVICE_MISSING", "c1-w1", without_device("c1-w1")),
    "renamed": (
        "OVERLAY_DEVICE_MISSING",
        "c1-w1",
        both(without_routes("c1-w1"), device("c1-w1", name="vx-renamed", up=False)),
    ),
    "another VNI": ("OVERLAY_VNI_OR_PORT_MISMATCH", "c1-w1", device("c1-w1", vni=101)),
    "another port": ("OVERLAY_VNI_OR_PORT_MISMATCH", "c1-w1", device("c1-w1", port=4789)),
    "port of a foreign device": (
        "OVERLAY_PORT_TAKEN",
        "c1-w1",
        both(device("c1-w1", up=False), lambda seen: changed(seen, "c1-w1", links=lambda links: [*links, FOREIGN])),
    ),
    "port of a process": (
        "OVERLAY_PORT_TAKEN",
        "c1-w1",
        both(device("c1-w1", up=False), taken(Socket("udp", "0.0.0.0", 4800, "python3"))),
    ),
    "port of an unknown process, by IPv6": (
        "OVERLAY_PORT_TAKEN",
        "c1-w1",
        both(device("c1-w1", up=False), taken(Socket("udp", "::", 4800))),
    ),
    "sends to nobody's address": ("OVERLAY_FDB_WRONG_GATEWAY_IP", "c1-w1", aimed_at("c1-w1", "172.18.250.250")),
    "has no destination": ("OVERLAY_FDB_WRONG_GATEWAY_IP", "c1-w1", aimed_at("c1-w1")),
    "sends to another worker": ("OVERLAY_FDB_WRONG_GATEWAY_IP", "c1-w1", aimed_at("c1-w1", "172.18.1.3")),
    "an entry for the gateway's MAC": (
        "OVERLAY_FDB_WRONG_GATEWAY_IP",
        "c1-w1",
        aimed_at("c1-w1", "172.18.250.250", mac=GATEWAY_MAC),
    ),
    "the gateway does not know it": (
        "OVERLAY_FDB_WORKER_MISSING",
        "c1-gw",
        lambda seen: changed(seen, "c1-gw", fdb=lambda fdb: [e for e in fdb if e.dst != "172.18.1.2"]),
    ),
    "MAC of the gateway": ("OVERLAY_DUPLICATE_MAC", "c1-w1", device("c1-w1", mac=GATEWAY_MAC)),
    "address of the gateway": (
        "OVERLAY_VTEP_COLLISION",
        "c1-w1",
        both(address("c1-w1", Address(VX, "240.18.1.1", 8), keep=False), without_routes("c1-w1")),
    ),
    "address of the gateway on lo": (
        "OVERLAY_VTEP_COLLISION",
        "c1-w1",
        address("c1-w1", Address("lo", "240.18.1.1", 32)),
    ),
    "permanent neighbour": (
        "OVERLAY_NEIGHBOUR_POISONED",
        "c1-w1",
        neighbour("c1-w1", "240.18.1.1", "02:de:ad:be:ef:00", "PERMANENT"),
    ),
    "neighbour without ARP": (
        "OVERLAY_NEIGHBOUR_POISONED",
        "c1-w1",
        neighbour("c1-w1", "240.18.1.1", "02:de:ad:be:ef:00", "NOARP"),
    ),
    "stale neighbour": (
        "OVERLAY_NEIGHBOUR_POISONED",
        "c1-w1",
        neighbour("c1-w1", "240.18.1.1", "02:de:ad:be:ef:00", "STALE"),
    ),
}
ON_THE_GATEWAY: dict[str, tuple[str, Change]] = {
    "down": ("OVERLAY_LINK_DOWN", device("c1-gw", up=False)),
    "missing": ("OVERLAY_DEVICE_MISSING", without_device("c1-gw")),
    "another VNI": ("OVERLAY_VNI_OR_PORT_MISMATCH", device("c1-gw", vni=7)),
    "cloned machines": (
        "OVERLAY_DUPLICATE_MAC",
        both(device("c1-w1", mac=GATEWAY_MAC), device("c1-w2", mac=GATEWAY_MAC)),
    ),
}


@pytest.mark.parametrize(("code", "node", "change"), FAULTS.values(), ids=FAULTS)
def test_one_node(code: str, node: str, change: Change) -> None:
    assert found(cut_off(change(healthy()))) == [(code, "c1", node)]


@pytest.mark.parametrize(("code", "change"), ON_THE_GATEWAY.values(), ids=ON_THE_GATEWAY)
def test_all_nodes_behind_a_gateway(code: str, change: Change) -> None:
    assert found(all_cut_off(change(healthy()))) == [(code, "c1", "c1-gw")]


@pytest.mark.parametrize("kind", ["node", "gateway"])
def test_what_no_path_depends_on_is_not_told(kind: str) -> None:
    """All paths still work: nothing breaks, or nobody uses it."""
    changes = (
        [change for _, _, change in FAULTS.values()] if kind == "node" else [c for _, c in ON_THE_GATEWAY.values()]
    )
    assert [found(change(healthy()), *OWN) for change in changes] == [[]] * len(changes)


class TestAfterAMoveOfTheGateway:
    """c1-gw is active, c1-gw2 passive."""

    def test_the_node_sends_to_the_passive_one(self) -> None:
        seen = aimed_at("c1-w1", "172.18.1.2")(healthy(gateways=2))
        assert found(cut_off(seen)) == [("OVERLAY_FDB_STALE_AFTER_FAILOVER", "c1", "c1-w1")]

    def test_its_next_hops_are_the_same_fault(self) -> None:
        seen = aimed_at("c1-w1", "172.18.1.2")(healthy(gateways=2))
        seen = changed(
            seen,
            "c1-w1",
            routes=lambda routes: [
                replace(r, gateway="240.18.1.2") if r.gateway and r.device == VX else r for r in routes
            ],
        )
        assert found(cut_off(seen)) == [("OVERLAY_FDB_STALE_AFTER_FAILOVER", "c1", "c1-w1")]

    def test_the_former_gateway_is_no_gateway_any_more(self) -> None:
        """c1-w2 was: the next hops are its 240.x address."""
        seen = changed(
            aimed_at("c1-w1", "172.18.1.3")(healthy()),
            "c1-w1",
            routes=lambda routes: [
                replace(r, gateway="240.18.1.3") if r.gateway and r.device == VX else r for r in routes
            ],
        )
        assert found(cut_off(seen)) == [("OVERLAY_FDB_STALE_AFTER_FAILOVER", "c1", "c1-w1")]

    def test_where_the_endpoint_is_wrong_the_forwarding_entry_is_not_to_blame(self) -> None:
        seen = aimed_at("c1-w1", "172.18.250.250")(healthy())

        def stale(endpoints: tuple[dict[str, Any], ...]) -> list[object]:
            wrong = {"private_ip": "172.18.250.250"}
            return [{**e, "spec": {**e["spec"], **wrong}} if e["spec"]["cluster_id"] == "c1" else e for e in endpoints]

        seen = cut_off(told(seen, "c1", endpoints=stale))
        assert [code for code, _ in suspicions(seen, *OWN) if code.startswith("OVERLAY_FDB")] == []


class TestLookAlikes:
    def test_two_workers_with_one_address_or_mac_break_nothing(self) -> None:
        seen = address("c1-w1", Address(VX, "240.18.1.3", 8), keep=False)(healthy())
        seen = device("c1-w1", mac="02:00:f0:12:01:03")(seen)
        assert suspicions(seen, *OWN) == []

    def test_several_destinations_with_the_gateway_among_them(self) -> None:
        assert suspicions(aimed_at("c1-w1", "172.18.250.250", "172.18.1.1")(healthy()), *OWN) == []

    def test_an_unresolved_neighbour_alone_is_no_cause(self) -> None:
        seen = cut_off(neighbour("c1-w1", "240.18.1.1", None, "FAILED")(healthy()))
        assert found(seen) == []

    def test_a_neighbour_that_is_being_asked_for(self) -> None:
        seen = neighbour("c1-w1", "240.18.1.1", "02:de:ad:be:ef:00", "FAILED")(healthy())
        assert suspicions(seen, *OWN) == []

    def test_a_device_with_another_mtu(self) -> None:
        codes = {code for code, _ in suspicions(device("c1-w1", mtu=8950)(healthy()), *OWN)}
        assert not any(code.startswith("OVERLAY_") for code in codes)

    def test_a_gateway_that_learns_needs_no_entry(self) -> None:
        seen = changed(healthy(), "c1-gw", fdb=lambda fdb: [e for e in fdb if e.dst != "172.18.1.2"])
        assert suspicions(device("c1-gw", learning=True)(seen), *OWN) == []

    def test_all_devices_alike_with_other_numbers_work(self) -> None:
        seen = healthy()
        for node in ("c1-gw", "c1-w1", "c1-w2"):
            seen = device(node, vni=200, port=4810)(seen)
        assert [code for code, _ in suspicions(seen, *OWN) if code == "OVERLAY_VNI_OR_PORT_MISMATCH"] == []

    def test_ovn_has_no_overlay(self) -> None:
        seen = without_device("c1-w1")(healthy())
        clusters = tuple(replace(x, network_plugin="OVNKubernetes") for x in seen.topology.clusters)
        sights = {
            key: replace(sight, cluster=next(x for x in clusters if x.position == key[0]))
            for key, sight in seen.sights.items()
        }
        seen = replace(seen, topology=replace(seen.topology, clusters=clusters), sights=sights)
        assert [code for code, _ in suspicions(seen, *OWN) if code.startswith("OVERLAY_")] == []

    @pytest.mark.parametrize("part", ["links", "fdb", "neighbours", "sockets", "addresses"])
    def test_what_was_not_read_proves_nothing(self, part: str) -> None:
        seen = healthy()
        for node in ("c1-gw", "c1-w1"):
            seen = unread(seen, node, part)
        own = [suspicion for suspicion in suspicions(cut_off(seen), *OWN) if suspicion[0].startswith("OVERLAY_")]
        assert own == []


class TestBlockedUnderWay:
    PATH = "pod.ngw.c1--pod.ngw.c2--tcp"

    def test_all_nodes(self) -> None:
        seen = lost(all_cut_off(healthy()), self.PATH, "c1-gw", 4, on="c1-w1")
        assert found(seen) == [("OVERLAY_UDP4800_BLOCKED", "c1", "c1-gw")]

    def test_one_node_while_others_get_through(self) -> None:
        seen = lost(cut_off(healthy()), self.PATH, "c1-gw", 4, on="c1-w1")
        assert found(seen) == [("OVERLAY_UDP4800_BLOCKED", "c1", "c1-w1")]

    def test_replies_are_lost(self) -> None:
        path = "pod.gw.c2--pod.ngw.c1--tcp"
        seen = lost(all_cut_off(healthy()), path, "c1-gw", 4, way=Way.REPLY, on="c1-w1")
        assert found(seen) == [("OVERLAY_UDP4800_BLOCKED", "c1", "c1-gw")]

    def test_packets_that_arrive_are_lost_by_something_else(self) -> None:
        seen = lost(all_cut_off(healthy()), self.PATH, "c1-gw", 5, on="c1-gw")
        assert ("OVERLAY_UDP4800_BLOCKED", "c1", "c1-gw") not in found(seen)

    def test_a_wrong_destination_is_told_instead(self) -> None:
        seen = aimed_at("c1-w1", "172.18.250.250")(lost(cut_off(healthy()), self.PATH, "c1-gw", 4, on="c1-w1"))
        assert found(seen) == [("OVERLAY_FDB_WRONG_GATEWAY_IP", "c1", "c1-w1")]

    def test_no_trace_no_claim(self) -> None:
        assert found(all_cut_off(healthy())) == []


def test_counters_are_told() -> None:
    seen = counted(all_cut_off(device("c1-gw", up=False)(healthy())), "c1-gw", UdpNoPorts=12)
    (suspicion,) = BY_CODE["OVERLAY_LINK_DOWN"].rule(seen)
    assert suspicion.traffic == ("c1-gw: UdpNoPorts rose by 12 while probes ran",)


def test_every_state_sentence_names_its_node() -> None:
    for code, node, change in FAULTS.values():
        for suspicion in BY_CODE[code].rule(cut_off(change(healthy()))):
            assert suspicion.node.name == node
            assert any(line.startswith(f"{node}: ") for line in suspicion.state), suspicion.state


def test_states_are_data() -> None:
    state = healthy().sights["c1", "c1-w1"].before
    assert NodeState.from_dict(state.to_dict()) == state

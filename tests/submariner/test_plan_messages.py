"""Which netlink messages lead from one state to another."""

from __future__ import annotations

from dataclasses import replace

from submariner_bench import states

from pytest_submariner.lab.netlink import Batch
from pytest_submariner.lab.submariner import plan
from pytest_submariner.model.nodestate import FdbEntry

FIRST = states({"c1": "c1-gw1", "c2": "c2-gw1"})
SECOND = states({"c1": "c1-gw2", "c2": "c2-gw1"})


def texts(batch: Batch) -> list[str]:
    return [text for *_, text in batch.messages]


def test_a_non_gateway_node_is_made_in_the_order_the_kernel_needs() -> None:
    assert texts(plan.build(FIRST["c1-w1"])) == [
        "link add vx-submariner type vxlan id 100 dstport 4800",
        "link set #10 up",
        "address add 240.18.1.3/8 dev #10",
        "route add 100.9.0.0/16 via 240.18.1.1 dev #10 table 254",
        "route add 10.9.0.0/16 via 240.18.1.1 dev #10 table 254",
    ]


def test_a_gateway_lists_every_node_and_has_both_tables() -> None:
    found = texts(plan.build(FIRST["c1-gw1"]))
    assert [t for t in found if t.startswith("fdb")] == [
        *(f"fdb append 00:00:00:00:00:00 dev #10 dst 172.18.1.{n}" for n in (1, 2, 3)),
        "fdb append 00:00:00:00:00:00 dev #11 dst 172.18.2.1",
    ]
    assert [t for t in found if t.startswith("rule")] == [
        "rule add pref 100 lookup 100",
        "rule add pref 150 lookup 150",
    ]
    assert sum("table 100" in t for t in found) == sum("table 150" in t for t in found) == 2


def test_nothing_changes_nothing() -> None:
    for state in FIRST.values():
        assert len(plan.change(state, state)) == 0


def test_a_lost_gateway_role_removes_devices_table_150_and_its_rule() -> None:
    found = texts(plan.change(FIRST["c1-gw1"], SECOND["c1-gw1"]))
    assert found[:2] == ["link del #10", "link del #11"]
    assert {t for t in found if " del " in t and not t.startswith("link")} == {
        "route del 100.9.0.0/16 via None dev #2 table 150",
        "route del 10.9.0.0/16 via None dev #2 table 150",
        "rule del pref 100 lookup 100",
        "rule del pref 150 lookup 150",
    }
    assert "link add vx-submariner type vxlan id 100 dstport 4800" in found


def test_a_new_node_is_one_more_entry_on_a_device_that_stays() -> None:
    old = FIRST["c1-gw1"]
    entry = FdbEntry("vx-submariner", "00:00:00:00:00:00", "172.18.1.9")
    new = replace(old, fdb=(*(old.fdb or ()), entry))
    assert texts(plan.change(old, new)) == ["fdb append 00:00:00:00:00:00 dev #10 dst 172.18.1.9"]
    assert texts(plan.change(new, old)) == ["fdb del 00:00:00:00:00:00 dev #10 dst 172.18.1.9"]


def test_another_remote_gateway_replaces_routes_in_place() -> None:
    moved = states({"c1": "c1-gw1", "c2": "c2-gw2"})["c1-gw1"]
    assert texts(plan.change(FIRST["c1-gw1"], moved)) == [
        "fdb del 00:00:00:00:00:00 dev #11 dst 172.18.2.1",
        "fdb append 00:00:00:00:00:00 dev #11 dst 172.18.2.2",
        "route add 100.9.0.0/16 via 241.18.2.2 dev #11 table 100",
        "route add 10.9.0.0/16 via 241.18.2.2 dev #11 table 100",
    ]


def test_next_hops_on_vxlan_devices_can_do_without_arp() -> None:
    assert texts(plan.neighbours(FIRST["c1-w1"])) == [
        "neighbour replace 240.18.1.1 lladdr 02:00:f0:12:01:01 dev #10",
    ]
    assert texts(plan.neighbours(FIRST["c1-gw1"])) == [
        "neighbour replace 241.18.2.1 lladdr 02:00:f1:12:02:01 dev #11",
    ]

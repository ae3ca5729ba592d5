"""The table of faults: ids, signatures, steps, and what is said of wrong names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import pytest_submariner
from pytest_submariner.errors import LabError
from pytest_submariner.lab.faults import FAULTS, LOOK_ALIKES, Role, find
from pytest_submariner.lab.faults.device import rebuild
from pytest_submariner.lab.faults.fault import Injection
from pytest_submariner.lab.faults.signatures import CABLE, HOST_ONLY, NODE, Signature
from pytest_submariner.lab.faults.steps import DeviceChanged, ObjectAdded, ObjectChanged, ObjectRemoved, Shell, Step
from pytest_submariner.lab.faults.values import assignments, filled, values
from pytest_submariner.lab.spec import LabSpec

SPEC = LabSpec.make("faulty", gateways=2, workers=2)
ACTIVE = {"c1": SPEC.node("c1-gw1"), "c2": SPEC.node("c2-gw1")}
EVERY_WAY = [
    *(pytest.param(item, item.steps, id=item.id) for item in (*FAULTS, *LOOK_ALIKES)),
    *(pytest.param(fault, fault.otherwise, id=f"{fault.id}-otherwise") for fault in FAULTS),
]
PATHS = {
    "pod.ngw.c1--pod.gw.c2--tcp",
    "hostpod.ngw.c1--svc.gw.c2--udp",
    "hostpod.gw.c1--pod.ngw.c2--icmp",
    "pod.gw.c2--svc.ngw.c1--tcp",
    "pod.gw.c1--pod.ngw.c1--tcp",
    "gateway.gw.c1--gateway.gw.c2--status",
}


def test_there_are_enough_and_every_id_is_its_own() -> None:
    ids = [fault.id for fault in FAULTS]
    assert len(ids) == len(set(ids)) >= 60


def test_a_code_is_its_id_in_upper_snake_case() -> None:
    assert find("nf-hostnet-snat-missing").code == "NF_HOSTNET_SNAT_MISSING"


@pytest.mark.parametrize(("item", "steps"), EVERY_WAY)
def test_steps_use_values_that_the_lab_has(item: Injection, steps: tuple[Step, ...]) -> None:
    near = SPEC.node("c1-gw1" if item.node_role is Role.GATEWAY else "c1-w1")
    found = values(SPEC, near, ACTIVE)
    for step in steps:
        match step:
            case Shell():
                texts = [step.do, step.undo, step.keep]
            case DeviceChanged():
                texts = [step.do]
            case ObjectChanged() | ObjectRemoved():
                texts = []
                assert "$" not in filled(step.path, found)
            case ObjectAdded():
                texts = []
                assert "$" not in str(filled(step.body, found))
            case _:
                texts = []
        for text in texts:
            used = {word for word in _variables(text) if word.isupper()}
            assert used <= {*found, "KEPT"}, text


def test_another_way_is_another_way() -> None:
    for fault in FAULTS:
        assert fault.otherwise != fault.steps, fault.id


def test_a_look_alike_breaks_nothing_and_has_no_code() -> None:
    assert all(item.code is None and item.id.startswith("healthy-") for item in LOOK_ALIKES)


def _variables(text: str) -> set[str]:
    return set(re.findall(r"\$\{?([A-Za-z_]+)", text))


def test_fault_of_a_host_network_breaks_only_it() -> None:
    must, may = HOST_ONLY.failing(PATHS, "c1", ("c2",))
    assert must == {"hostpod.ngw.c1--svc.gw.c2--udp"}
    assert may == {"gateway.gw.c1--gateway.gw.c2--status"}


def test_node_that_is_cut_off_neither_reaches_nor_is_reached() -> None:
    must, _ = NODE.failing(PATHS, "c1", ("c2",))
    assert must == {"pod.ngw.c1--pod.gw.c2--tcp", "hostpod.ngw.c1--svc.gw.c2--udp", "pod.gw.c2--svc.ngw.c1--tcp"}


def test_cable_fault_spares_what_stays_inside() -> None:
    must, _ = CABLE.failing(PATHS, "c2", ("c1",))
    assert must == {p for p in PATHS if not p.startswith("gateway.")} - {"pod.gw.c1--pod.ngw.c1--tcp"}


def test_alternatives_and_what_may_fail() -> None:
    signature = Signature(("{{pod,hostpod}}.*.{a}--svc.*.{b}--*",), ("*.{a}--*.{b}--icmp",))
    assert signature.failing(PATHS, "c1", ("c2",)) == (
        {"hostpod.ngw.c1--svc.gw.c2--udp"},
        {"hostpod.gw.c1--pod.ngw.c2--icmp", "gateway.gw.c1--gateway.gw.c2--status"},
    )


@pytest.mark.parametrize(
    ("said", "meant"),
    [("nf-hostnet-snat-mising", "nf-hostnet-snat-missing"), ("ROUTE_BLACKHOLE", "route-blackhole")],
)
def test_unknown_fault_gets_the_nearest_name(said: str, meant: str) -> None:
    with pytest.raises(LabError, match=f"there is no fault '{said}'; did you mean .*{meant}"):
        find(said)


def test_values_name_the_passive_gateway_only_where_there_is_one() -> None:
    assert values(SPEC, SPEC.node("c1-w1"), ACTIVE)["OIP"] == SPEC.node("c1-gw2").ip
    small = LabSpec.make("small")
    active = {"c1": small.node("c1-gw"), "c2": small.node("c2-gw")}
    assert "OTHER_GATEWAY" not in values(small, small.node("c1-w1"), active)


def test_one_cluster_is_refused_in_words() -> None:
    alone = LabSpec.make("alone", clusters=1)
    with pytest.raises(LabError, match=r"lab alone has one cluster.*--clusters 2"):
        values(alone, alone.node("c1-w1"), {"c1": alone.node("c1-gw")})


def test_values_are_quoted_for_the_shell() -> None:
    assert assignments({"A": "x y", "B": "1"}) == "A='x y'\nB=1\n"


def test_device_is_made_again_with_its_routes_of_every_table() -> None:
    surveyed = "\n--\n".join(
        (
            '[{"ifindex":11,"ifname":"vxlan-tunnel","flags":["UP"],"mtu":1450,"address":"02:00:f1:12:01:01",'
            '"linkinfo":{"info_data":{"id":1000,"port":4500,"learning":false,"udp_csum":true}}}]',
            '[{"addr_info":[{"local":"241.18.1.1","prefixlen":8}]}]',
            '[{"mac":"00:00:00:00:00:00","dst":"172.18.2.1","state":"permanent"}]',
            "10.9.0.0/16 via 241.18.2.1 table 100 src 10.8.1.1 metric 100 linkdown\n"
            "241.0.0.0/8 proto kernel scope link src 241.18.1.1",
            "rp_filter:2",
        )
    )
    assert rebuild("vxlan-tunnel", surveyed).splitlines()[1:] == [
        "ip link add vxlan-tunnel index 11 address 02:00:f1:12:01:01 mtu 1450 txqueuelen 0 type vxlan id 1000 dstport 4500"
        " nolearning udpcsum",
        "ip addr add 241.18.1.1/8 dev vxlan-tunnel",
        "bridge fdb append 00:00:00:00:00:00 dev vxlan-tunnel dst 172.18.2.1 self permanent",
        "echo 2 > /proc/sys/net/ipv4/conf/vxlan-tunnel/rp_filter 2>/dev/null || true",
        "ip link set vxlan-tunnel up",
        "ip route add 10.9.0.0/16 via 241.18.2.1 table 100 src 10.8.1.1 metric 100 dev vxlan-tunnel",
    ]


def test_nobody_outside_the_lab_knows_the_faults() -> None:
    package = Path(pytest_submariner.__file__).parent
    for file in package.rglob("*.py"):
        if file.is_relative_to(package / "lab"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("pytest_submariner.lab.faults") for name in names), file

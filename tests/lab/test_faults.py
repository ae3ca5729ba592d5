"""Faults in a running lab: each is made and undone without a trace, three of them with the paths they break."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from running_lab import RunningLab, submariner_lab

from pytest_submariner.lab.control import ask
from pytest_submariner.lab.faults import FAULTS, LOOK_ALIKES, Fault, Injection, Layer, lookup
from pytest_submariner.lab.faults.signatures import NOTHING
from pytest_submariner.lab.state import LabState

SURVEY = """ip -d -o link; ip -o -4 addr; ip rule; ip route show table all | sort
for device in vx-submariner vxlan-tunnel; do bridge fdb show dev $device 2>/dev/null | sort; done
iptables-save; ipset save | sort; ip neigh show nud permanent; tc qdisc show | sort
cd /proc/sys/net/ipv4/conf; grep -r . eth0 cni0 vx-submariner vxlan-tunnel 2>/dev/null
"""
PASSING = re.compile(
    r"\[\d+:\d+\]|\w+_timer +[\d.]+|^#.*$| linkdown| state [A-Z]+|NO-CARRIER,|,LOWER_UP|.*veth.*| tso_max_size \d+",
    re.M,
)
"""Counters, timers and what follows from pods that come and go."""
LACKING = {"OTHER_GATEWAY", "OTHER_WORKER"}
"""What the tests' lab has not."""


@pytest.fixture
def healed(lab: RunningLab) -> Iterator[RunningLab]:
    yield lab
    submariner_lab("heal", "--name", lab.name, "--all")


def survey(lab: RunningLab) -> dict[str, list[str]]:
    def of(node: str) -> list[str]:
        return PASSING.sub("", lab.run(node, "sh", "-c", SURVEY).stdout.decode()).splitlines()

    names = [node["name"] for node in lab.nodes]
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(of, names), strict=True))


@pytest.fixture(scope="module")
def before(lab: RunningLab) -> dict[str, list[str]]:
    return survey(lab)


def inject(lab: RunningLab, *argv: str) -> tuple[int, str]:
    done = submariner_lab("inject", "--name", lab.name, *argv)
    return done.returncode, (done.stdout + done.stderr).decode().strip()


def ask_lab(lab: RunningLab, **request: Any) -> Any:
    """What the command line asks, without its start-up time."""
    return ask(LabState.find(lab.name).control, request)


def inject_and_heal(lab: RunningLab, item: Injection, *, otherwise: bool) -> None:
    injected = ask_lab(lab, op="inject", id=item.id, cluster=None, node=None, otherwise=otherwise)
    assert injected["code"] == item.code
    assert ask_lab(lab, op="heal", id=item.id)["healed"] == [f"{item.id}@{injected['node']}"]


@pytest.mark.parametrize("layer", Layer, ids=str)
def test_faults_leave_no_trace(healed: RunningLab, before: dict[str, list[str]], layer: Layer) -> None:
    """One after another, each in both ways, with the nodes read once per layer."""
    for fault in (fault for fault in FAULTS if fault.layer is layer and not LACKING & set(fault.needs)):
        inject_and_heal(healed, fault, otherwise=False)
        inject_and_heal(healed, fault, otherwise=True)
    assert survey(healed) == before


def test_look_alikes_leave_no_trace(healed: RunningLab, before: dict[str, list[str]]) -> None:
    for item in (item for item in LOOK_ALIKES if not LACKING & set(item.needs)):
        inject_and_heal(healed, item, otherwise=False)
    assert survey(healed) == before


def test_look_alikes_are_listed_apart() -> None:
    listed = json.loads(submariner_lab("faults", "--healthy", "--json").stdout)
    assert {item["id"] for item in listed} == {item.id for item in LOOK_ALIKES}
    assert not {item["id"] for item in json.loads(submariner_lab("faults", "--json").stdout)} & {
        item["id"] for item in listed
    }


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nf-hostnet-snat-missing", []),
        ("overlay-device-missing", ["--otherwise"]),
        ("healthy-calico-pools", []),
    ],
)
def test_paths_break_that_the_table_says_and_no_others(
    healed: RunningLab, tmp_path: Path, name: str, options: list[str]
) -> None:
    assert inject(healed, name, *options)[0] == 0
    _, results, output = healed.pytest(["-q", "suites/cross_cluster/test_host_network.py", "-k", "tcp"], tmp_path)
    asked = {path["id"]: path["verdict"] for path in results["paths"] if path["verdict"] != "skipped"}
    item = lookup(name)
    breaks = item.breaks if isinstance(item, Fault) else NOTHING
    must, may = breaks.failing(asked, "c1", ("c2",))
    assert asked, output
    assert bool(must) is isinstance(item, Fault)
    assert {path for path, verdict in asked.items() if verdict != "ok"} - may == must


def test_status_lists_what_is_injected_and_the_same_twice_is_refused(healed: RunningLab) -> None:
    assert inject(healed, "route-blackhole")[0] == 0
    assert inject(healed, "host-rpfilter-strict-vx", "--cluster", "c2")[0] == 0
    (status,) = json.loads(submariner_lab("status", "--name", healed.name, "--json").stdout)
    assert status["faults"] == ["route-blackhole@c1-w1", "host-rpfilter-strict-vx@c2-gw"]
    status_again, said = inject(healed, "route-blackhole")
    assert status_again == 1
    assert "route-blackhole is on c1-w1 already" in said


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["route-black-hole"], "there is no fault 'route-black-hole'; did you mean route-blackhole"),
        (
            ["route-blackhole", "--node", "c1-gw"],
            "is a fault of a node that is not the active gateway: c1-gw is not one",
        ),
        (["route-blackhole", "--cluster", "c1", "--node", "c2-w1"], "cluster c1 has no node 'c2-w1'"),
        (["healthy-rpfilter-off", "--otherwise"], "healthy-rpfilter-off can be made in one way only"),
        (["overlay-fdb-stale-after-failover"], "needs a passive gateway node; boot the lab with --gateways 2"),
    ],
)
def test_what_cannot_be_injected_is_said_in_one_line(lab: RunningLab, argv: list[str], complaint: str) -> None:
    status, said = inject(lab, *argv)
    assert status == 1
    assert complaint in said
    assert "\n" not in said


def test_fault_that_fails_halfway_is_undone(healed: RunningLab, before: dict[str, list[str]]) -> None:
    assert inject(healed, "route-remote-cidr-missing")[0] == 0
    status, said = inject(healed, "route-blackhole")
    assert status == 1
    assert "route-blackhole@c1-w1 was not injected: c1-w1 does not have what the fault works on" in said
    assert submariner_lab("heal", "--name", healed.name, "--all").returncode == 0
    assert survey(healed) == before

"""kube-proxy's rules under real packets, in namespaces made for the test. Skipped where the machine allows no namespaces."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import proxy_bench
import pytest

from pytest_submariner.lab.controllers.proxyrules import Ruleset, ruleset
from pytest_submariner.lab.controllers.serviceports import ServicePort

IN_CLUSTER, OFF_CLUSTER = proxy_bench.CLIENT_ADDRESSES
FIRST, SECOND = proxy_bench.POD_ADDRESSES
NODE = proxy_bench.NODE_ADDRESS
SERVICE = "100.8.0.10"


class Bench:
    """A node whose rules can be set, and a client and a pod beside it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._programmed: Ruleset | None = None

    def ask(self, **order: Any) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: str = json.loads(self._process.stdout.readline())
        assert not answer.startswith("failed"), answer
        return answer

    def program(self, *ports: ServicePort) -> None:
        rules = ruleset(ports, "10.8.0.0/16")
        stale = self._programmed.nat_chains if self._programmed else ()
        self.ask(restore=rules.restore_text(jumps=self._programmed is None, stale=stale))
        self._programmed = rules

    def dial(self, source: str, place: str = "client", port: int = 80, address: str = SERVICE) -> str:
        """`source-seen address-reached`, or the name of the error."""
        return self.ask(dial=[place, source, address, port, 1])

    def reached(self, times: int) -> set[str]:
        """The pod's addresses a client in the cluster comes to."""
        lines = self.ask(dial=["client", IN_CLUSTER, SERVICE, 80, times]).splitlines()
        return {line.split()[1] for line in lines}


@pytest.fixture
def bench() -> Iterator[Bench]:
    argv = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    process = subprocess.Popen(
        [*argv, sys.executable, proxy_bench.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        if not process.stdout.readline():
            why = process.stderr.read().strip().splitlines()
            pytest.skip(f"no namespaces to try packets in: {why[-1] if why else 'unshare said nothing'}")
        yield Bench(process)
    finally:
        process.kill()
        process.communicate()


def port(*endpoints: str, name: str = "ns/web:http", number: int = 80, **more: Any) -> ServicePort:
    fields: dict[str, Any] = {"node_port": 0, "external_ips": (), **more}
    return ServicePort(name, "tcp", SERVICE, number, endpoints=tuple(f"{e}:8080" for e in endpoints), **fields)


def test_sources_seen_behind_a_service(bench: Bench) -> None:
    bench.program(port(FIRST), port(name="ns/empty", number=81), port(FIRST, name="ns/np", number=82, node_port=30080))
    assert bench.dial(IN_CLUSTER) == f"{IN_CLUSTER} {FIRST}"
    assert bench.dial(OFF_CLUSTER) == f"{NODE} {FIRST}"
    # A pod that reaches itself through its Service
    assert bench.dial(FIRST, "pod") == f"{NODE} {FIRST}"
    # Without endpoints: refused at once, not left to time out
    assert bench.dial(IN_CLUSTER, port=81) == "ConnectionRefusedError"
    assert bench.dial(IN_CLUSTER, port=30080, address=NODE) == f"{NODE} {FIRST}"
    # Submariner comes later, puts itself first, and ends the way to KUBE-POSTROUTING for sources in joined clusters
    bench.ask(run=["iptables", "-t", "nat", "-N", "SUBMARINER-POSTROUTING"])
    bench.ask(run=["iptables", "-t", "nat", "-I", "POSTROUTING", "-j", "SUBMARINER-POSTROUTING"])
    accept = ["-s", "10.9.0.0/16", "-d", "10.8.0.0/16", "-j", "ACCEPT"]
    bench.ask(run=["iptables", "-t", "nat", "-A", "SUBMARINER-POSTROUTING", *accept])
    assert bench.dial(OFF_CLUSTER) == f"{OFF_CLUSTER} {FIRST}"


def test_endpoints_share_the_load_and_rules_follow_changes(bench: Bench) -> None:
    both = port(FIRST, SECOND)
    bench.program(both)
    assert bench.reached(40) == {FIRST, SECOND}
    bench.program(port(SECOND))
    assert bench.reached(10) == {SECOND}
    saved = bench.ask(run=["iptables-save", "-t", "nat"])
    assert both.endpoint_chain(f"{FIRST}:8080") not in saved
    assert saved.count("-j KUBE-POSTROUTING") == 1
    bench.program()
    saved = bench.ask(run=["iptables-save"])
    assert "KUBE-SVC-" not in saved
    assert "KUBE-SEP-" not in saved

"""The modelled Submariner against its own agents, on every topology, element by element; then the suites on labs with agents. Run as
`python -m benchmarks.fidelity`; writes benchmarks/results/fidelity.md. About fifteen minutes; --only WORD runs the scenarios it is in.

Needs the agents (SUBMARINER_AGENTS_DIR, or submariner-gateway in PATH), and for the suites a kube-apiserver with etcd in PATH.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import fidelity  # noqa: E402
import node_survey  # noqa: E402
import object_survey  # noqa: E402
import peers  # noqa: E402
from agent_pods import OPERATOR, eventually, gateways, reaches, set_gateway_label  # noqa: E402
from running_lab import RunningLab  # noqa: E402

from pytest_submariner.kube.client import KubeClient  # noqa: E402

RESULT = Path(__file__).with_name("results") / "fidelity.md"
LAB = f"fidelity-{os.getpid()}"
ROUTE_AGENTS_REPORT_S = 130
"""A route agent pings first after a minute and reports it a minute later."""
SETTLED_S = 6
"""A Gateway is written every five seconds."""
Step = Callable[[RunningLab], float]


@dataclass(frozen=True)
class Scenario:
    """`step` is done to both labs before they are surveyed; `without`: clusters whose nodes are not compared."""

    title: str
    options: tuple[str, ...] = ()
    step: Step | None = None
    without: tuple[str, ...] = ()
    patient: bool = False


@dataclass(frozen=True)
class Row:
    scenario: Scenario
    nodes: int
    elements: int
    deviations: list[str]
    step_s: tuple[float, float] | None
    """With agents, modelled."""


def fail_over(lab: RunningLab) -> float:
    """Seconds from taking the gateway label of c1's active gateway until every node answers again. Before that, what devices made from
    now on inherit is set to the opposite of what Submariner writes: a setting that only looks right by inheritance is then seen."""
    unlike = [f"net.ipv4.conf.default.{key}" for key in ("forwarding=0", "rp_filter=1", "send_redirects=1")]
    for node in lab.nodes:
        assert lab.run(node["name"], "sysctl", "-w", *unlike).returncode == 0
    kube = KubeClient(lab.kubeconfig, "c1")
    start = time.monotonic()
    set_gateway_label(kube, "c1-gw1", None)
    eventually(lambda: gateways(kube) == {"c1-gw2": "active, connected"}, 60)
    _await_answers(lab, ("c1-w1", "10.9.1.1"), ("c1-gw1", "10.9.1.1"), ("c2-w1", "10.8.2.1"), ("c2-gw2", "10.8.2.1"))
    seconds = time.monotonic() - start
    time.sleep(SETTLED_S)
    return seconds


def _await_answers(lab: RunningLab, *pairs: tuple[str, str]) -> None:
    for source, ip in pairs:
        eventually(partial(reaches, lab, source, ip), 30)


def fail_back(lab: RunningLab) -> float:
    """The same, and then back: c1-gw1 gets its label, and c1-gw2 loses it."""
    first = fail_over(lab)
    kube = KubeClient(lab.kubeconfig, "c1")
    set_gateway_label(kube, "c1-gw1", "true")
    eventually(lambda: gateways(kube) == {"c1-gw1": "passive", "c1-gw2": "active, connected"}, 60)
    set_gateway_label(kube, "c1-gw2", None)
    eventually(lambda: gateways(kube) == {"c1-gw1": "active, connected"}, 60)
    _await_answers(lab, ("c1-w1", "10.9.1.1"), ("c1-gw2", "10.9.1.1"), ("c2-w1", "10.8.1.1"))
    time.sleep(SETTLED_S)
    return first


def leave(lab: RunningLab) -> float:
    """Cluster c3 goes: its agents first, then its objects from the broker. Seconds until the others have forgotten it."""
    start = time.monotonic()
    leaving, broker = KubeClient(lab.kubeconfig, "c3"), KubeClient(lab.kubeconfig, "c1")
    for name in ("submariner-gateway", "submariner-routeagent"):
        leaving.delete("daemonsets.apps", name, namespace=OPERATOR)
    eventually(lambda: not leaving.list("pods", namespace=OPERATOR), 30)
    for kind in ("endpoints.submariner.io", "clusters.submariner.io"):
        for item in broker.list(kind, namespace=object_survey.BROKER, labels="submariner-io/clusterID=c3"):
            broker.delete(kind, item["metadata"]["name"], namespace=object_survey.BROKER)
    for cluster in ("c1", "c2"):
        eventually(partial(_has_forgotten, KubeClient(lab.kubeconfig, cluster), "c3"), 30)
    seconds = time.monotonic() - start
    time.sleep(SETTLED_S)
    return seconds


def _has_forgotten(kube: KubeClient, cluster: str) -> bool:
    label = f"submariner-io/clusterID={cluster}"
    kinds = ("endpoints.submariner.io", "clusters.submariner.io")
    return not any(kube.list(kind, namespace=OPERATOR, labels=label) for kind in kinds)


OTHER = ("--pod-cidr", "10.44.0.0/18", "--service-cidr", "10.96.0.0/16", "--pod-cidr", "192.168.0.0/17")
SCENARIOS = (
    Scenario("2 clusters, each a gateway and a worker; route agents have reported", patient=True),
    Scenario("3 clusters", ("--clusters", "3")),
    Scenario("2 gateways, active and passive", ("--gateways", "2")),
    Scenario("3 workers", ("--workers", "3")),
    Scenario("other CIDRs (pods /18 and /17, services 10.96.0.0/16)", OTHER),
    Scenario("after a fail-over", ("--gateways", "2"), fail_over),
    Scenario("after a fail-over and back", ("--gateways", "2"), fail_back),
    Scenario("after the third cluster left", ("--clusters", "3"), leave, ("c3",)),
)


@contextmanager
def lab(*options: str) -> Iterator[RunningLab]:
    running = RunningLab.boot(LAB, *options)
    try:
        yield running
    finally:
        running.down()


def agents() -> tuple[str, ...]:
    return ("--submariner", "agents", "--agents-dir", str(peers.agents_dir()))


def compare(scenario: Scenario) -> Row:
    surveys, seconds = [], []
    for way in (agents(), ()):
        with lab(*way, *scenario.options) as running:
            if scenario.step is not None:
                seconds.append(scenario.step(running))
            time.sleep(ROUTE_AGENTS_REPORT_S if scenario.patient else 1)
            surveys.append(fidelity.survey(running, without=scenario.without, patient=scenario.patient))
    genuine, modelled = surveys
    nodes = sum("links" in parts for parts in genuine.values())
    steps = (seconds[0], seconds[1]) if seconds else None
    return Row(scenario, nodes, fidelity.size(genuine), fidelity.deviations(genuine, modelled), steps)


def suites(title: str, *options: str, step: Step | None = None) -> tuple[str, str, bool]:
    """(title, pytest's last line, whether all passed) of the whole suites."""
    with lab(*options) as running, tempfile.TemporaryDirectory() as folder:
        if step is not None:
            step(running)
        status, _, said = running.pytest(("suites/cross_cluster", "suites/intra_cluster"), Path(folder))
    last = next(line for line in reversed(said.splitlines()) if re.search(r"\d+ (passed|failed|error)", line))
    return title, re.sub(r" in [\d.]+s.*", "", last).strip("= "), status == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.fidelity", description=(__doc__ or "").partition(". Run")[0])
    parser.add_argument("--only", default="", help="a word of the scenarios to run; the page is then printed only")
    only = parser.parse_args().only
    try:
        peers.agents_dir()
        peers.kube_apiserver()
    except pytest.skip.Exception as missing:
        say(f"benchmarks.fidelity: {missing}")
        return 1
    rows = []
    for scenario in SCENARIOS:
        if only in scenario.title:
            rows.append(compare(scenario))
            say(f"{scenario.title}: {len(rows[-1].deviations)} deviations in {rows[-1].elements} elements")
    runs = []
    for title, options, step in (
        ("agents, embedded control plane", agents(), None),
        ("agents, genuine control plane", ("--control-plane", "kube", *agents()), None),
        ("agents, after a fail-over", ("--gateways", "2", *agents()), fail_over),
        ("modelled, after a fail-over", ("--gateways", "2"), fail_over),
    ):
        if only in title:
            runs.append(suites(title, *options, step=step))
            say(f"suites on {title}: {runs[-1][1]}")
    text = "\n".join(page(rows, runs)) + "\n"
    sys.stdout.write(text)
    if not only:
        RESULT.write_text(text)
    return 1 if any(row.deviations for row in rows) or not all(passed for _, _, passed in runs) else 0


def page(rows: Sequence[Row], runs: Sequence[tuple[str, str, bool]]) -> Iterator[str]:
    yield "# Fidelity: the model against Submariner's agents"
    yield ""
    yield "The same lab twice, once with the genuine agents and once modelled. Compared is all that every node's kernel tells about its"
    yield "network (links, addresses, forwarding entries, all routing tables, rules, packet filters of both backends, ipsets, XFRM, every"
    yield "setting below `net`) and what is published (Endpoint, Cluster, Gateway, RouteAgent, lease, gateway pods' labels), element by"
    yield "element. Written by `python -m benchmarks.fidelity`."
    yield ""
    yield "| topology | nodes | elements | deviations | step, agents | step, modelled |"
    yield "|---|---:|---:|---:|---:|---:|"
    for row in rows:
        steps = ("", "") if row.step_s is None else tuple(f"{seconds:.0f} s" for seconds in row.step_s)
        yield f"| {row.scenario.title} | {row.nodes} | {row.elements} | {len(row.deviations)} | {steps[0]} | {steps[1]} |"
    yield ""
    if wrong := [f"- {row.scenario.title}: {deviation}" for row in rows for deviation in row.deviations]:
        yield from (*wrong, "")
    yield "A step is a fail-over until every node answers across clusters again (the lease of a gateway that went expires after 15 s), or"
    yield "a leave until the others have forgotten the cluster."
    yield ""
    yield "## Not compared"
    yield ""
    attributes = (*node_survey.ATTRIBUTES, *object_survey.ATTRIBUTES, object_survey.FIRST_PINGS)
    yield from (f"- {attribute.part}: {attribute.why} (`{attribute.pattern}`)" for attribute in attributes)
    yield "- neighbours, connections, counters, sockets: made by traffic and by processes"
    yield ""
    yield "## The suites"
    yield ""
    yield "| lab | result |"
    yield "|---|---|"
    yield from (f"| {title} | {result} |" for title, result, _ in runs)


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())

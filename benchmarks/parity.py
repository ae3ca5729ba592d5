"""Stock `subctl verify` against this project's verdicts, on the lab: every control plane with every Submariner, three times each, and
with faults. Run as `python -m benchmarks.parity`; writes benchmarks/results/parity.md. Takes about a quarter of an hour.

Needs subctl, the agents and a kube-apiserver (with etcd) in PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_submariner.compare.mapping import CONNECTIVITY
from pytest_submariner.kube.client import KubeClient

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).with_name("results") / "parity.md"
LAB = f"parity-{os.getpid()}"
WAYS = [(plane, submariner) for plane in ("embedded", "kube") for submariner in ("modelled", "agents")]
HEALED_S = 60.0


@dataclass(frozen=True)
class Fault:
    """`inject` and `heal` run on `node`."""

    title: str
    node: str
    inject: str
    heal: str


FAULTS = (
    Fault(
        "host-network SNAT rule removed",
        "c1-w1",
        "iptables -t nat -D SUBMARINER-POSTROUTING -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.2.1",
        "iptables -t nat -I SUBMARINER-POSTROUTING -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source 10.8.2.1",
    ),
    Fault(
        "one route missing",
        "c1-w1",
        "ip route del 10.9.0.0/16",
        "ip route add 10.9.0.0/16 via 240.18.1.1 dev vx-submariner proto static",
    ),
    Fault(
        "UDP 4800 blocked",
        "c1-gw",
        "iptables -I INPUT -p udp --dport 4800 -j DROP",
        "iptables -D INPUT -p udp --dport 4800 -j DROP",
    ),
    Fault(
        "cable port 4500 blocked",
        "c2-gw",
        "iptables -I INPUT -p udp --dport 4500 -j DROP",
        "iptables -D INPUT -p udp --dport 4500 -j DROP",
    ),
)


@dataclass(frozen=True)
class Outcome:
    """One comparison: spec id -> its entry in results.json, and how long subctl took."""

    specs: dict[str, dict[str, Any]]
    seconds: float

    def count(self, key: str, value: object) -> int:
        return sum(1 for spec in self.specs.values() if spec[key] == value)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0] if __doc__ else None)
    arguments.add_argument("--subctl", default=shutil.which("subctl"), help="default: the one in PATH")
    arguments.add_argument("--agents-dir", help="default: where submariner-gateway in PATH is")
    arguments.add_argument("--repeat", type=int, default=3, help="default: %(default)s")
    given = arguments.parse_args()
    gateway = shutil.which("submariner-gateway")
    folder = given.agents_dir or (str(Path(gateway).parent) if gateway else None)
    if not given.subctl or not folder or not shutil.which("kube-apiserver"):
        arguments.error("needs subctl, submariner-gateway, submariner-route-agent and kube-apiserver in PATH")
    ways = []
    for plane, submariner in WAYS:
        with lab(plane, submariner, folder):
            ways += [(plane, submariner, compare(given.subctl)) for _ in range(given.repeat)]
    with lab("embedded", "agents", folder) as kubeconfig:
        faults = [(fault, under(fault, given.subctl, kubeconfig)) for fault in FAULTS]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(page(ways, faults)) + "\n")
    say(f"written: {RESULT}")
    outcomes = [outcome for _, _, outcome in ways] + [outcome for _, outcome in faults]
    return 1 if any(outcome.count("agree", False) for outcome in outcomes) else 0


@contextmanager
def lab(plane: str, submariner: str, folder: str) -> Iterator[str]:
    """A lab of its own; its kubeconfig."""
    say(f"lab: control plane {plane}, Submariner {submariner}")
    agents = ["--agents-dir", folder] if submariner == "agents" else []
    command("up", "--name", LAB, "--control-plane", plane, "--submariner", submariner, *agents)
    try:
        yield command("kubeconfig", "--name", LAB).strip()
    finally:
        command("down", "--name", LAB)


def command(*argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest_submariner.lab.cli", *argv], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def compare(subctl: str) -> Outcome:
    """The suite `parity` against the lab, as a user runs it."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        argv = ["suites/parity", "-q", "-p", "no:cacheprovider", f"--submariner-lab={LAB}"]
        argv += [f"--submariner-subctl={subctl}", f"--submariner-results={results}"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *argv], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        if not results.exists():
            raise SystemExit(f"the suite did not run:\n{done.stdout}")
        data = json.loads(results.read_text())
    if data["comparison"] is None:
        raise SystemExit(f"nothing was compared:\n{done.stdout}")
    wanted = {spec.id for spec in CONNECTIVITY}
    specs = {spec["id"]: spec for spec in data["comparison"]["specs"] if spec["id"] in wanted}
    outcome = Outcome(specs, data["timings"]["subctl_s"])
    say(f"  {outcome.count('agree', True)} of {len(specs)} agree, subctl took {outcome.seconds:.0f} s")
    return outcome


def under(fault: Fault, subctl: str, kubeconfig: str) -> Outcome:
    say(f"fault: {fault.title} on {fault.node}")
    command("exec", "--name", LAB, fault.node, "--", *fault.inject.split())
    try:
        return compare(subctl)
    finally:
        command("exec", "--name", LAB, fault.node, "--", *fault.heal.split())
        await_connected(kubeconfig)


def await_connected(kubeconfig: str) -> None:
    """A fault that cut the cable is over when both gateways say so."""
    deadline = time.monotonic() + HEALED_S
    for context in ("c1", "c2"):
        kube = KubeClient(kubeconfig, context)
        while any(
            connection["status"] != "connected"
            for gateway in kube.list("gateways.submariner.io")
            for connection in gateway["status"]["connections"]
        ):
            if time.monotonic() > deadline:
                raise SystemExit(f"{context} is not connected {HEALED_S:.0f} s after the fault was healed")
            time.sleep(0.5)
        kube.close()


def page(ways: Sequence[tuple[str, str, Outcome]], faults: Sequence[tuple[Fault, Outcome]]) -> Iterator[str]:
    yield from (
        "# Parity with stock subctl",
        "",
        "Written by `python -m benchmarks.parity`. `subctl verify --only connectivity` (connection timeout 20 s, one",
        "attempt) and the suite `parity`, on the same lab of two clusters with a gateway and a worker each.",
        "",
        "## Healthy",
        "",
        "| control plane | Submariner | subctl passed | ours ok | agree | subctl took |",
        "|---|---|---|---|---|---|",
    )
    for plane, submariner, outcome in ways:
        total = len(outcome.specs)
        passed, ok = outcome.count("subctl", "passed"), outcome.count("ours", "ok")
        row = f"{passed} of {total} | {ok} of {total} | {outcome.count('agree', True)} of {total}"
        yield f"| {plane} | {submariner} | {row} | {outcome.seconds:.0f} s |"
    yield from ("", "## With a fault", "", "The agents on the embedded control plane. Each cell: subctl / ours.", "")
    yield f"| spec | path | {' | '.join(f'{fault.title} on {fault.node}' for fault, _ in faults)} |"
    yield "|---|---|" + "---|" * len(faults)
    for spec in CONNECTIVITY:
        cells = [cell(outcome.specs[spec.id]) for _, outcome in faults]
        yield f"| {spec.id} | `{spec.path_id}` | {' | '.join(cells)} |"
    agreed = [f"{outcome.count('agree', True)} of {len(outcome.specs)}" for _, outcome in faults]
    yield f"| agree | | {' | '.join(agreed)} |"
    yield f"| subctl took | | {' | '.join(f'{outcome.seconds:.0f} s' for _, outcome in faults)} |"
    reasons = [
        f"- {fault.title}, {spec['id']}: {spec['reason'] or 'no reason known'}"
        for fault, outcome in faults
        for spec in outcome.specs.values()
        if spec["agree"] is not True
    ]
    if reasons:
        yield from ("", "Where they do not agree, or one has no answer:", "", *reasons)
    yield from ("", "How each fault was made:", "")
    yield from (f"- {fault.title}: `{fault.inject}` on {fault.node}" for fault, _ in faults)


def cell(spec: dict[str, Any]) -> str:
    mark = {True: "", False: " **disagree**", None: " (not compared)"}[spec["agree"]]
    return f"{spec['subctl']} / {spec['ours'] or '-'}{mark}"


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())

"""Every fault in a lab, one at a time: do the paths break which the table says, and no others?

    python -m benchmarks.faults [--otherwise | --healthy] [--sizes] [--results benchmarks/results/faults.md] [ID …]

Boots a lab of two clusters, each a gateway and a worker, and removes it. The suites' paths are asked by probe pods that stay from
fault to fault. Exit status 1 when a fault differs from its signature, or the lab is not healthy before the first or after the last.
`--otherwise` makes each fault by its other means; `--healthy` makes the look-alikes, which must break nothing."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.labs import Lab
from pytest_submariner.kube.client import KubeClient
from pytest_submariner.lab.faults import FAULTS, LOOK_ALIKES, Fault, Injection, lookup
from pytest_submariner.lab.faults.signatures import NOTHING
from pytest_submariner.model.path import Kind, PathCase, Protocol
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Verdict
from pytest_submariner.paths.cases import SUITES, cases
from pytest_submariner.paths.sizes import size_tag
from pytest_submariner.probes.prober import PlainSettings, Prober
from pytest_submariner.providers.contexts import Place
from pytest_submariner.providers.kubeconfig import find_topology

_CLUSTERS = ("c1", "c2")
_PASSED = (Verdict.OK, Verdict.BY_DESIGN)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, help="File for the table (default: print it only)")
    parser.add_argument("--sizes", action="store_true", help="Ask for path MTU and bulk data too")
    parser.add_argument("--timeout", type=float, default=3.0, help="Seconds of an attempt (default: %(default)s)")
    parser.add_argument("--gateways", type=int, default=1, help="Gateway nodes per cluster (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="Other nodes per cluster (default: %(default)s)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--otherwise", action="store_true", help="Make the faults by their other means")
    which.add_argument("--healthy", action="store_true", help="Make healthy look-alikes instead of faults")
    parser.add_argument("ids", nargs="*", metavar="ID", help="Faults (default: all that this lab can have)")
    arguments = parser.parse_args()
    known: Sequence[Injection] = LOOK_ALIKES if arguments.healthy else FAULTS
    lacking = {
        name for name, few in (("OTHER_GATEWAY", arguments.gateways), ("OTHER_WORKER", arguments.workers)) if few == 1
    }
    wanted = [lookup(name) for name in arguments.ids] or [item for item in known if not lacking & set(item.needs)]
    options = ["--otherwise"] * arguments.otherwise
    rows: list[tuple[bool, str]] = []
    sizes = ("--gateways", str(arguments.gateways), "--workers", str(arguments.workers))
    with Lab.booted(f"faults-{os.getpid()}", *sizes) as lab, _prober(lab, arguments.timeout) as prober:
        asked = list(_paths(sizes=arguments.sizes))
        rows.append(_sound(prober, asked, "before"))
        rows += [_try(lab, prober, asked, item, options) for item in wanted]
        rows.append(_sound(prober, asked, "after"))
    if arguments.results:
        arguments.results.write_text(_page([row for _, row in rows], " ".join(sys.argv[1:])))
    return 0 if all(agrees for agrees, _ in rows) else 1


@contextmanager
def _prober(lab: Lab, timeout: float) -> Iterator[Prober]:
    kubeconfig = lab.description["kubeconfig"]
    clients = {name: KubeClient(kubeconfig, name) for name in _CLUSTERS}
    topology = find_topology([Place(name, kubeconfig, name) for name in _CLUSTERS], "lab")
    prober = Prober(topology, clients.__getitem__, PlainSettings("python", timeout), run_id=f"faults{os.getpid()}")
    try:
        yield prober
    finally:
        prober.close()
        for client in clients.values():
            client.close()


def _paths(*, sizes: bool) -> Iterator[PathCase]:
    """Those of traffic: a Gateway's status follows its own clock, and the ping of vx-submariner is characterised."""
    for case in (case for suite in SUITES for case in cases(suite, _CLUSTERS)):
        if case.protocol is not Protocol.STATUS and case.target.kind is not Kind.VX and (sizes or not size_tag(case)):
            yield case


def _sound(prober: Prober, asked: Sequence[PathCase], when: str) -> tuple[bool, str]:
    """(nothing fails, a row of the page) for the lab without a fault."""
    results = _measured(prober.measure(asked))
    broken = [path for path, result in results.items() if result.verdict not in _PASSED]
    row = f"| no fault, {when} | – | {len(broken)} of {len(results)} | {_some(broken) or 'healthy'} | |"
    return not broken, _said(row)


def _try(
    lab: Lab, prober: Prober, asked: Sequence[PathCase], item: Injection, options: Sequence[str]
) -> tuple[bool, str]:
    """(as the table says, a row of the page)."""
    lab.command("inject", *options, item.id)
    try:
        start = time.monotonic()
        results = _measured(prober.measure(asked))
        seconds = time.monotonic() - start
    finally:
        lab.command("heal", "--all")
    broken = {path for path, result in results.items() if result.verdict not in _PASSED}
    breaks = item.breaks if isinstance(item, Fault) else NOTHING
    must, may = breaks.failing(results, _CLUSTERS[0], _CLUSTERS[1:])
    missed, more = sorted(must - broken), sorted(broken - must - may)
    remarks = [f"works: {_some(missed)}"] * bool(missed) + [f"fails too: {_some(more)}"] * bool(more)
    agrees = bool(results) and not missed and not more
    said = "as the table says" if agrees else "; ".join(remarks) or "no path was asked"
    layer = item.layer if isinstance(item, Fault) else "–"
    return agrees, _said(f"| `{item.id}` | {layer} | {len(broken)} of {len(results)} | {said} | {seconds:.0f} s |")


def _measured(results: dict[str, PathResult]) -> dict[str, PathResult]:
    return {path: result for path, result in results.items() if result.verdict is not Verdict.SKIPPED}


def _said(row: str) -> str:
    sys.stdout.write(row + "\n")
    sys.stdout.flush()
    return row


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")


def _page(rows: Sequence[str], options: str) -> str:
    head = f"# Faults and the paths they break\n\nWritten by `python -m benchmarks.faults {options}`: two clusters; every fault alone."
    head += "\n\n| fault | layer | paths that fail | compared with its signature |"
    return "\n".join((head + " measured in |", "|---|---|---|---|---|", *rows, ""))


if __name__ == "__main__":
    sys.exit(main())

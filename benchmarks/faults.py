"""Every fault in a lab, one at a time, with the suites: do the paths break which the table says, and no others?

    python -m benchmarks.faults [--otherwise | --healthy] [--results benchmarks/results/faults.md] [ID …]

Boots a lab of two clusters, each a gateway and a worker, and removes it. Exit status 1 when a fault differs from its signature.
`--otherwise` makes each fault by its other means; `--healthy` makes the look-alikes, which must break nothing."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_submariner.lab.faults import FAULTS, LOOK_ALIKES, Fault, Injection, lookup
from pytest_submariner.lab.faults.signatures import NOTHING

_LAB = (sys.executable, "-m", "pytest_submariner.lab.cli")
_SUITES = ("suites/cross_cluster", "suites/intra_cluster")
_SECONDS = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--results", type=Path, help="File for the table (default: print it only)")
    parser.add_argument("-k", dest="paths", default="", help="Ask these paths only, as pytest's -k (default: all)")
    parser.add_argument("--gateways", type=int, default=1, help="Gateway nodes per cluster (default: %(default)s)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--otherwise", action="store_true", help="Make the faults by their other means")
    which.add_argument("--healthy", action="store_true", help="Make healthy look-alikes instead of faults")
    parser.add_argument("ids", nargs="*", metavar="ID", help="Faults (default: all that this lab can have)")
    arguments = parser.parse_args()
    known: Sequence[Injection] = LOOK_ALIKES if arguments.healthy else FAULTS
    lacking = {"OTHER_WORKER"} | ({"OTHER_GATEWAY"} if arguments.gateways == 1 else set())
    wanted = [lookup(name) for name in arguments.ids] or [item for item in known if not lacking & set(item.needs)]
    lab = f"faults-{os.getpid()}"
    _command("up", "--name", lab, "--gateways", str(arguments.gateways), "--owner-pid", str(os.getpid()))
    rows: list[tuple[bool, str]] = []
    try:
        for fault in wanted:
            rows.append(_try(lab, fault, arguments.paths, ["--otherwise"] * arguments.otherwise))
            sys.stdout.write(rows[-1][1] + "\n")
            sys.stdout.flush()
    finally:
        _command("down", "--name", lab)
    if arguments.results:
        arguments.results.write_text(_page([row for _, row in rows]))
    return 0 if all(agrees for agrees, _ in rows) else 1


def _try(lab: str, fault: Injection, selection: str, options: Sequence[str]) -> tuple[bool, str]:
    """(as the table says, a row of the page)."""
    _command("inject", "--name", lab, *options, fault.id)
    try:
        start = time.monotonic()
        paths = _measure(lab, selection)
        seconds = time.monotonic() - start
    finally:
        _command("heal", "--name", lab, "--all")
    asked = {path["id"] for path in paths if path["verdict"] != "skipped"}
    broken = {path["id"] for path in paths if path["verdict"] not in ("ok", "by-design", "skipped")}
    breaks = fault.breaks if isinstance(fault, Fault) else NOTHING
    must, may = breaks.failing(asked, "c1", ("c2",))
    missed, more = sorted(must - broken), sorted(broken - must - may)
    remarks = [f"works: {_some(missed)}"] * bool(missed) + [f"fails too: {_some(more)}"] * bool(more)
    agrees = bool(asked) and not missed and not more
    said = "as the table says" if agrees else "; ".join(remarks) or "no path was asked"
    layer = fault.layer if isinstance(fault, Fault) else "–"
    return agrees, f"| `{fault.id}` | {layer} | {len(broken)} of {len(asked)} | {said} | {seconds:.0f} s |"


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")


def _measure(lab: str, selection: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", selection, *_SUITES]
        command += [f"--submariner-lab={lab}", f"--submariner-results={results}"]
        subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        found: list[dict[str, Any]] = json.loads(results.read_text())["paths"] if results.exists() else []
        return found


def _command(*argv: str) -> None:
    done = subprocess.run([*_LAB, *argv], capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip())


def _page(rows: Sequence[str]) -> str:
    head = "# Faults and the paths they break\n\nWritten by `python -m benchmarks.faults`: two clusters, each a gateway"
    head += " and a worker; every fault alone.\n\n| fault | layer | paths that fail | compared with its signature |"
    return "\n".join((head + " measured in |", "|---|---|---|---|---|", *rows, ""))


if __name__ == "__main__":
    sys.exit(main())

"""How a mesh grows: labs of 10 to 100 nodes, and every ordered pair of nodes by every protocol. Run as `python -m benchmarks.growth`.

Writes a table and a plot: time, CPU, memory and API requests against nodes and against pairs of nodes, to reports/growth.md and .svg and,
with --commit, to benchmarks/results/. About three minutes on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import running
from benchmarks.growth_page import Size, page, picture

REPORTS = running.ROOT / "reports"
RESULTS = Path(__file__).with_name("results")
NODES = "10,20,50,100"
CLUSTERS = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.growth", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--nodes", default=NODES, help="nodes of both clusters together (default: %(default)s)")
    parser.add_argument("--commit", action="store_true", help="write benchmarks/results/growth.md and .svg as well")
    given = parser.parse_args()
    load = running.load_of_others()
    sizes = [grow(int(word)) for word in given.nodes.split(",")]
    text, plot = "\n".join(page(sizes, load)) + "\n", picture(sizes)
    sys.stdout.write(text)
    for folder in (REPORTS, *([RESULTS] if given.commit else [])):
        folder.mkdir(exist_ok=True)
        (folder / "growth.md").write_text(text)
        (folder / "growth.svg").write_text(plot)
    return 1 if any(size.wrong for size in sizes) else 0


def grow(nodes: int) -> Size:
    """A lab of so many nodes, half of them in each cluster, and the mesh in it."""
    sys.stderr.write(f"{nodes} nodes (load {os.getloadavg()[0]:.1f})\n")
    with running.lab("--workers", str(nodes // CLUSTERS - 1)) as boot:
        run = running.suites("--submariner-mesh", folder="suites/mesh")
    for path in run.wrong:
        sys.stderr.write(f"  {path}: {run.verdicts[path]}\n")
    return Size(
        nodes=nodes,
        boot_s=boot.boot_s,
        lab_mib=boot.resident_mib,
        run_s=run.seconds,
        probing_s=run.probing_s,
        cpu_s=run.cpu_s,
        peak_mib=run.peak_mib,
        requests=run.requests,
        paths=len(run.verdicts),
        wrong=len(run.wrong),
    )


if __name__ == "__main__":
    sys.exit(main())

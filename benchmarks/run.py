"""How fast it is: boot, the twelve counterparts of subctl, the default matrix, removal. Run as `python -m benchmarks.run`.

Prints a table, writes it to reports/benchmarks.md and, with --commit, to benchmarks/results/speed.md. Stock subctl is measured when it
is in PATH (or --subctl names it). About four minutes; --quick leaves out the big labs and repeats less. How a mesh grows is for
`benchmarks.growth`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from benchmarks import running
from benchmarks.speed_page import Row, page

REPORT = running.ROOT / "reports" / "benchmarks.md"
RESULT = Path(__file__).with_name("results") / "speed.md"
COUNTERPARTS = ("-m", "submariner_subctl")
RULE = ["SUBMARINER-POSTROUTING", "-s", "240.0.0.0/8", "-o", "vx-submariner", "-j", "SNAT", "--to-source", "10.8.2.1"]
FAULTY_NODE = "c1-w1"
SHORT = "--submariner-timeout=1"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--subctl", default=shutil.which("subctl"), help="stock binary (default: the one in PATH)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each (default: %(default)s)")
    parser.add_argument("--healthy", type=int, default=30, help="healthy runs in a row (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two runs of each, five healthy ones, no big labs")
    parser.add_argument("--commit", action="store_true", help="write benchmarks/results/speed.md as well")
    given = parser.parse_args()
    if given.quick:
        given.repeat, given.healthy = 2, 5
    load = running.load_of_others()
    rows = small(given.repeat, given.subctl)
    healthy = in_a_row(given.healthy)
    rows += [] if given.quick else boots(min(3, given.repeat))
    text = "\n".join(page(rows, healthy, load)) + "\n"
    sys.stdout.write(text)
    for path in (REPORT, *([RESULT] if given.commit else [])):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 1 if healthy[2] else 0


def small(repeat: int, subctl: str | None) -> list[Row]:
    """Everything about the default lab: two clusters with a gateway and a worker each."""
    say("boot and removal")
    boots, removals = [], []
    for _ in range(repeat):
        with running.lab() as boot:
            boots.append(boot.seconds)
            ended = time.monotonic()
        removals.append(time.monotonic() - ended)
    with running.lab() as boot:
        say("the twelve counterparts")
        running.suites(*COUNTERPARTS)  # compiles what nobody has imported yet
        ours = [running.suites(*COUNTERPARTS).seconds for _ in range(repeat)]
        stock = [running.subctl(subctl, boot.kubeconfig) for _ in range(min(2, repeat))] if subctl else []
        say("the default matrix")
        matrix = [running.suites().seconds for _ in range(repeat)]
        say("with a broken path")
        with running.fault(FAULTY_NODE, ["iptables", "-t", "nat", "-D", *RULE], ["iptables", "-t", "nat", "-I", *RULE]):
            broken = [running.suites(*COUNTERPARTS).seconds for _ in range(min(2, repeat))]
            short = [running.suites(*COUNTERPARTS, SHORT).seconds for _ in range(repeat)]
            broken_stock = [running.subctl(subctl, boot.kubeconfig)] if subctl else []
    return [
        Row("the 12 counterparts of subctl, healthy", ours, stock, goal_ratio=10),
        Row("the same, SNAT rule removed on a worker", broken, broken_stock, goal_ratio=10),
        Row(f"the same with `{SHORT}`", short, broken_stock, goal_ratio=10),
        Row("the default matrix, attached to a lab", matrix, goal_s=4.0),
        Row("`submariner-lab up` until it returns", boots, goal_s=1.0),
        Row("`submariner-lab down`", removals, goal_s=0.5),
    ]


def in_a_row(count: int) -> tuple[int, int, int]:
    """(runs, verdicts, wrong ones) of the counterparts on one healthy lab."""
    say(f"{count} healthy runs")
    verdicts = wrong = 0
    with running.lab():
        for _ in range(count):
            run = running.suites(*COUNTERPARTS)
            verdicts += len(run.verdicts)
            wrong += len(run.wrong)
            for path in run.wrong:
                say(f"  {path}: {run.verdicts[path]}")
    return count, verdicts, wrong


def boots(repeat: int) -> list[Row]:
    """Larger labs, each booted so often."""
    rows = []
    for nodes, goal in ((10, 2.0), (50, 5.0)):
        say(f"2 × {nodes} nodes")
        seconds = []
        for _ in range(repeat):
            with running.lab("--workers", str(nodes - 1)) as boot:
                seconds.append(boot.seconds)
        rows.append(Row(f"the same, 2 × {nodes} nodes", seconds, goal_s=goal))
    return rows


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())

"""Runs what is measured: labs, pytest with the suites, stock subctl; each from a cold start, in a process of its own."""

from __future__ import annotations

import atexit
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pytest_submariner.lab.state import LabState

ROOT = Path(__file__).parents[1]
PLUGINS = ("-p", "pytest_submariner.plugin", "-p", "allure_pytest.plugin", "-p", "benchmarks.counting")
"""What `pip install pytest-submariner` brings, and the counter. Other plugins of a developer's environment cost time of their own."""
LAB = f"speed-{os.getpid()}"
SAMPLE_S = 3.0
ENDING_S = 1.5
"""Probe pods end within a second of their removal; only then is their CPU time known."""


@dataclass(frozen=True)
class Run:
    """One run of pytest. `verdicts`: path id -> verdict; `cpu_s`, `peak_mib`: of pytest and all processes of the lab together."""

    seconds: float
    probing_s: float
    cpu_s: float
    requests: int
    peak_mib: float
    verdicts: Mapping[str, str]

    @property
    def wrong(self) -> list[str]:
        """Paths of a healthy lab that are not said to be as promised."""
        return [path for path, verdict in self.verdicts.items() if verdict not in {"ok", "by-design", "skipped"}]


def suites(*options: str, lab: str = LAB, folder: str = "suites") -> Run:
    """`pytest suites` (or a folder of it) with these options on the running lab, imports and report included. SystemExit when nothing
    was measured."""
    with tempfile.TemporaryDirectory() as scratch:
        results, requests = Path(scratch) / "results.json", Path(scratch) / "requests"
        argv = [sys.executable, "-m", "pytest", folder, "-q", "-p", "no:cacheprovider", *PLUGINS, *options]
        argv += [f"--submariner-lab={lab}", f"--submariner-results={results}"]
        environment = {**_environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "BENCHMARK_REQUESTS": str(requests)}
        with _memory(lab) as memory:
            before = _cpu_of_children() + _cpu_of(lab)
            started = time.monotonic()
            done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            seconds = time.monotonic() - started
            time.sleep(ENDING_S)
            cpu = _cpu_of_children() + _cpu_of(lab) - before
        if not results.exists():
            raise SystemExit(f"{' '.join(argv)} gave no results:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        data: dict[str, Any] = json.loads(results.read_text())
        verdicts = {result["id"]: result["verdict"] for result in data["paths"]}
        probing = float(data["timings"].get("probe_s", 0.0))
        return Run(seconds, probing, cpu, int(requests.read_text()), memory.peak_mib, verdicts)


def load_of_others() -> float:
    """Runnable processes per core in the last minute."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


@cache
def _bytecode() -> str:
    folder = tempfile.mkdtemp(prefix="submariner-bytecode-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _environment() -> dict[str, str]:
    """Compiled modules are kept, as pip leaves them: compiling them is no part of a run, whatever this machine's settings are."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "PYTHONPYCACHEPREFIX": _bytecode()}


def subctl(binary: str, kubeconfig: str) -> float:
    """Seconds of the stock tool's connectivity specs on the same lab, whatever their outcome."""
    argv = [binary, "verify", "--only", "connectivity", "--context", "c1", "--tocontext", "c2"]
    argv += ["--connection-timeout", "20", "--connection-attempts", "1", "--verbose"]
    started = time.monotonic()
    subprocess.run(
        argv, env={**os.environ, "KUBECONFIG": kubeconfig}, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return time.monotonic() - started


def command(*argv: str) -> str:
    """`submariner-lab` in a process of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest_submariner.lab.cli", *argv],
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


@dataclass(frozen=True)
class Boot:
    """`seconds` until the command returned, its start included; `boot_s` inside the lab; `removal_s` is filled at the end."""

    seconds: float
    boot_s: float
    kubeconfig: str
    resident_mib: float


@contextmanager
def lab(*options: str) -> Iterator[Boot]:
    """A lab of the name LAB, removed afterwards."""
    started = time.monotonic()
    described = json.loads(command("up", "--json", "--name", LAB, *options))
    seconds = time.monotonic() - started
    try:
        yield Boot(seconds, described["timings"]["boot_s"], described["kubeconfig"], _resident(_namespace(LAB)))
    finally:
        command("down", "--name", LAB)


@contextmanager
def fault(node: str, inject: Sequence[str], heal: Sequence[str]) -> Iterator[None]:
    """A command on a node, and the one that undoes it."""
    command("exec", "--name", LAB, node, "--", *inject)
    try:
        yield
    finally:
        command("exec", "--name", LAB, node, "--", *heal)


class _Peak:
    peak_mib = 0.0


@contextmanager
def _memory(name: str) -> Iterator[_Peak]:
    """The largest sum seen in samples, as many as cost little: the lab's processes share most of their pages, hence PSS."""
    peak, over, namespace = _Peak(), threading.Event(), _namespace(name)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    def watch() -> None:
        while not over.wait(SAMPLE_S):
            peak.peak_mib = max(peak.peak_mib, _resident(namespace))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()
        largest = max(
            before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        )  # of any child so far: an upper bound
        peak.peak_mib = max(peak.peak_mib, _resident(namespace)) + largest / 1024


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_of(name: str) -> float:
    """Seconds of all processes of a lab, those that have ended included (proc(5), stat: utime, stime, cutime, cstime)."""
    namespace, total = _namespace(name), 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns" / "pid").stat().st_ino == namespace:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                total += sum(map(int, fields[11:15]))
        except OSError:
            continue
    return total / os.sysconf("SC_CLK_TCK")


def _namespace(name: str) -> int:
    pid = LabState.find(name).describe()["pid"]
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino


def _resident(namespace: int) -> float:
    """MiB of all processes in the lab's PID namespace, shared pages divided among those who share them (proc(5), smaps_rollup)."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns" / "pid").stat().st_ino == namespace:
                text = (process / "smaps_rollup").read_text()
                total += int(text.partition("\nPss:")[2].split()[0])
        except (OSError, IndexError):
            continue
    return total / 1024

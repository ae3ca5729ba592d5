"""The lab: clusters in network namespaces, booted for this run or attached to. Once it is up it is a kubeconfig like any other."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from pytest_submariner.errors import LabError, LabUnavailable
from pytest_submariner.options import OPTIONS
from pytest_submariner.providers.base import Run, World
from pytest_submariner.providers.contexts import Place
from pytest_submariner.providers.kubeconfig import find_topology
from pytest_submariner.settings import Settings, nearest, refuse

UNAVAILABLE = 3
"""Exit status of `submariner-lab` when this machine cannot run a lab; its last line says what is missing."""
BOOT_DEADLINE_S = 120.0
REMOVAL_DEADLINE_S = 30.0


class LabProvider:
    """Attaches to the lab `--submariner-lab` names; without a name boots one that ends with this run."""

    name = "lab"

    def __init__(self, settings: Settings, run: Run) -> None:
        self._settings = settings
        self._run = run

    @property
    def lab_name(self) -> str:
        """Derived from the run, so that the process which removes the lab need not be the one that booted it."""
        return self._settings.lab or f"pytest-{self._run.id}"

    def find(self) -> World:
        timings: dict[str, float] = {}
        if self._settings.lab is not None:
            lab = self._attach(self._settings.lab)
        else:
            started = time.monotonic()
            lab = self._boot()
            timings["boot_s"] = time.monotonic() - started
        wanted = [Place(f"c{i}", lab["kubeconfig"], context) for i, context in enumerate(lab["contexts"], start=1)]
        return World(find_topology(wanted, self.name), ssh_config=lab["ssh_config"], lab=lab, timings=timings)

    def release(self) -> None:
        if (
            self._settings.owns_lab
            and not self._settings.keep
            and self.lab_name in {lab["name"] for lab in running_labs()}
        ):
            command("down", "--name", self.lab_name, deadline_s=REMOVAL_DEADLINE_S)

    def _boot(self) -> dict[str, Any]:
        # A lab that is kept must outlive us; any other ends with us, however we end.
        owner = () if self._settings.keep else ("--owner-pid", str(self._run.owner_pid))
        clusters = ("--clusters", str(self._settings.clusters)) if self._settings.clusters else ()
        options = (*clusters, *owner)
        return _described(_json("up", "--json", "--name", self.lab_name, *options, deadline_s=BOOT_DEADLINE_S), "up")

    def _attach(self, name: str) -> dict[str, Any]:
        """Its files say all; asking `submariner-lab status` would cost a process."""
        from pytest_submariner.lab.state import LabState

        try:
            return _described(LabState.find(name).describe(), "up")
        except LabError as error:
            raise LabError(f"--submariner-lab {name}: {error}; boot it with submariner-lab up --name {name}") from None


def check(settings: Settings, name: str) -> None:
    """`pytest.UsageError` (exit 4) when the lab to attach to is not there. Looks at its files only."""
    from pytest_submariner.lab.state import LabState

    running = [state.name for state in LabState.running()]
    if name not in running:
        why = f"is not a running lab (running: {', '.join(running) or 'none'}); boot it with submariner-lab up --name {name}"
        raise refuse(OPTIONS["lab"], name, settings.source("lab"), why + nearest(name, running))

    has = clusters_of(name)
    if settings.clusters is not None and has is not None and settings.clusters > has:
        why = f"is more than lab {name} has, which is {has}"
        raise refuse(OPTIONS["clusters"], settings.clusters, settings.source("clusters"), why)


def clusters_of(name: str) -> int | None:
    """How many clusters a running lab has, from its files; None when nobody can say."""
    from pytest_submariner.lab.state import LabState

    try:
        return len(LabState.of(name).describe()["contexts"])
    except (LabError, KeyError, TypeError):
        return None


def running_labs() -> list[dict[str, Any]]:
    """What `submariner-lab status --json` lists, in the order of names."""
    labs = _json("status", "--json", deadline_s=REMOVAL_DEADLINE_S)
    return sorted((_described(lab, "status") for lab in labs), key=lambda lab: str(lab["name"]))


def command(*argv: str, deadline_s: float) -> str:
    """Run `submariner-lab` and give what it printed. LabUnavailable or LabError carry its own message, which may have lines of
    a process' log below the first."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_submariner.lab.cli", *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=deadline_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"submariner-lab {argv[0]} did not end within {deadline_s:g} s") from None
    if done.returncode != 0:
        _, _, said = f"\n{done.stderr.strip()}".rpartition("\nsubmariner-lab: ")
        message = said.strip() or f"submariner-lab {argv[0]}: exit status {done.returncode}"
        raise (LabUnavailable if done.returncode == UNAVAILABLE else LabError)(message)
    return done.stdout


def _json(*argv: str, deadline_s: float) -> Any:
    answer = command(*argv, deadline_s=deadline_s)
    try:
        return json.loads(answer)
    except ValueError:
        raise LabError(f"submariner-lab {argv[0]} answered with something that is not JSON: {answer[:80]!r}") from None


def _described(lab: Any, asked: str) -> dict[str, Any]:
    missing = [key for key in ("name", "kubeconfig", "ssh_config", "contexts", "nodes") if key not in lab]
    if missing:
        raise LabError(f"submariner-lab {asked} --json left out {', '.join(missing)}")
    return dict(lab)

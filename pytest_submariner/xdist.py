"""pytest-xdist: one world for all workers, disruptive items alone, results carried to the controller.

Every worker is a pytest session of its own and none knows who is last. So the first worker that needs the world makes it, under a
file lock, and writes it down as plain data; the controller, which outlives them, removes it. A run that asks for nothing makes nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from pytest_submariner import errors
from pytest_submariner.keys import RECORDED, SESSION
from pytest_submariner.model.result import PathResult
from pytest_submariner.providers.base import Run, World

if TYPE_CHECKING:
    from pytest_submariner.session import Session  # which imports us

INPUT = "submariner"
"""Our key in `workerinput` and `workeroutput`."""
ATTACHED = "submariner_results"
"""Our attribute of reports."""
CRASHED = "???"
"""The phase pytest-xdist gives the report of an item whose worker died."""


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def worker_id(config: pytest.Config) -> str:
    """`gw0`, `gw1`, …; empty in a process that is no worker."""
    return str(getattr(config, "workerinput", {}).get("workerid", ""))


def is_controller(config: pytest.Config) -> bool:
    """True in the process that starts workers; there, no item runs."""
    return not is_worker(config) and config.pluginmanager.hasplugin("dsession")


@dataclass(frozen=True)
class Exchange:
    """The folder in which the processes of a run leave things for each other. It exists from first use on."""

    folder: Path

    @property
    def is_used(self) -> bool:
        return self.folder.is_dir()

    def open(self, name: str) -> IO[bytes]:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        return (self.folder / name).open("a+b")

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
        """What `make` gave the process of the run that came first, and whether that was this one."""
        with self.open(name) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = file.read()
            if known:
                return json.loads(known), False
            made = make()
            file.write(json.dumps(made).encode())
            return made, True

    def world(self, find: Callable[[], World]) -> World:
        """The world, made by whoever comes first. A failure is written down as well: nobody tries in vain again."""
        answer, _ = self.once("world.json", lambda: _attempt(find))
        if "error" in answer:
            kind, text = answer["error"]
            raise getattr(errors, kind)(text)
        return World.from_dict(answer["world"])

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _attempt(find: Callable[[], World]) -> dict[str, Any]:
    try:
        return {"world": find().to_dict()}
    except errors.SubmarinerError as error:
        known = next(kind for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
        return {"error": [known.__name__, str(error)]}


def new_run() -> tuple[Run, Exchange]:
    """For a process that nobody started as a worker. The name cannot be guessed, and nothing is created yet."""
    token = uuid.uuid4().hex
    return Run(token[:8], os.getpid()), Exchange(Path(tempfile.gettempdir()) / f"pytest-submariner-{token}")


def joined_run(config: pytest.Config) -> tuple[Run, Exchange]:
    """The run a worker belongs to; a run of its own when the controller does not know us (it runs without this plugin)."""
    given = getattr(config, "workerinput", {}).get(INPUT)
    if given is None:
        return new_run()
    return Run(given["run"], given["owner_pid"]), Exchange(Path(given["folder"]))


def invite(node: Any, session: Session) -> None:
    """Tell a worker, before it starts, which run it belongs to."""
    node.workerinput[INPUT] = {
        "run": session.run.id,
        "owner_pid": session.run.owner_pid,
        "folder": str(session.exchange.folder),
    }


def attach(item: pytest.Item, report: pytest.TestReport) -> None:
    """Results travel with the report of their item, so that those of a worker which dies later are not lost."""
    if is_worker(item.config) and (recorded := item.stash.get(RECORDED, [])):
        setattr(report, ATTACHED, _plain([result.to_dict() for result in recorded]))
        recorded.clear()


def detach(report: pytest.TestReport) -> None:
    """On the controller, where pytest-xdist says which worker a report came from."""
    node = getattr(report, "node", None)
    session = node.config.stash.get(SESSION, None) if node is not None else None
    if session is None:
        return
    for data in getattr(report, ATTACHED, ()):
        session.recorder.add(PathResult.from_dict(data))
        session.asked = True
    if report.when == CRASHED:
        session.crashed.append((report.nodeid, str(report.longrepr)))


def hand_in(config: Any, session: Session) -> None:
    """The rest of what a worker found out: topology, timings, causes, whether anything was measured."""
    told = {"recorder": session.recorder.to_dict(), "asked": session.asked, "answers": session.answers}
    config.workeroutput[INPUT] = _plain(told)


def _plain(data: Any) -> Any:
    """execnet takes no enums, nor other relatives of plain types, which JSON does."""
    return json.loads(json.dumps(data))


def collect(node: Any, session: Session) -> None:
    """Take in what a worker found out. One that died has handed in nothing; pytest-xdist reports its item as failed."""
    given = getattr(node, "workeroutput", {}).get(INPUT)
    if given is None:
        return
    session.recorder.merge(given["recorder"])
    session.asked = session.asked or given["asked"]
    session.answers += given["answers"]


@contextmanager
def take_turn(exchange: Exchange, *, alone: bool) -> Iterator[None]:
    """Hold the world while an item runs: many ordinary items at a time, or one disruptive item and nothing else.

    A lock and not a scheduling group: pytest 9.2 ignores `xdist_group` (pytest-xdist #1386).
    """
    with exchange.open("turn.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield

"""What happens to a run, in the order it happens: settings, collection, items, the end. The hooks of `plugin` call these."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_submariner import items, marks, outcome, performance, xdist
from pytest_submariner.errors import SubmarinerError
from pytest_submariner.keys import SESSION
from pytest_submariner.options import OPTIONS
from pytest_submariner.session import Session
from pytest_submariner.settings import Settings, refuse, resolve

_COMPLETE = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
"""All other ways to end are early: nothing new is asked then, but what is known is written."""
_SHOWING = ("help", "version", "markers", "showfixtures", "show_fixtures_per_test")


def clean_instead(config: pytest.Config) -> pytest.ExitCode | None:
    """--submariner-cleanup takes the place of the whole run."""
    if _only_shows(config):
        return None
    settings = resolve(config)
    if not settings.cleanup:
        return None
    from pytest_submariner.leftovers import clean

    check_inputs(settings)
    return clean(settings)


def start(config: pytest.Config) -> None:
    """Read the settings. A broken one stops every run but those that only show what pytest knows."""
    try:
        settings = resolve(config)
    except pytest.UsageError:
        if _only_shows(config):
            return
        raise
    session = config.stash[SESSION] = Session(config, _with_clusters(settings))
    config.pluginmanager.register(session.ending, "submariner-ending")
    if settings.plan:
        from pytest_submariner.plan import prevent_workers

        prevent_workers(config)
    if "option" in settings.sources.values() and not (_only_shows(config) or xdist.is_worker(config)):
        check_inputs(session.settings)


def _with_clusters(settings: Settings) -> Settings:
    """A lab that runs says in its files how many clusters it has."""
    if settings.lab is None or settings.clusters is not None:
        return settings
    from pytest_submariner.providers.lab import clusters_of

    return replace(settings, clusters=clusters_of(settings.lab))


def check_inputs(settings: Settings) -> None:
    """`pytest.UsageError` (exit 4) for files and contexts that are not there. Reads files only."""
    for name in ("ssh_config", "subctl_junit"):
        file: Path | None = getattr(settings, name)
        if file is not None and not file.is_file():
            raise refuse(OPTIONS[name], file, settings.source(name), "is not a file; check the path")
    if settings.provider == "kubeconfig":
        from pytest_submariner.providers.contexts import check

        check(settings)
    if settings.subctl_junit is not None:
        _check_report(settings, settings.subctl_junit)
    if settings.subctl is not None:
        _check_subctl(settings, settings.subctl)


def _check_report(settings: Settings, file: Path) -> None:
    from pytest_submariner.compare.ginkgo import ReportUnreadable, read_junit

    try:
        read_junit(file)
    except ReportUnreadable as error:
        source = settings.source("subctl_junit")
        raise refuse(OPTIONS["subctl_junit"], file, source, f"cannot be used: {error}") from None


def _check_subctl(settings: Settings, program: Path) -> None:
    from pytest_submariner.compare.subctl import SubctlUnusable, version

    try:
        version(program)
    except SubctlUnusable as error:
        raise refuse(OPTIONS["subctl"], program, settings.source("subctl"), f"cannot be used: {error}") from None


def arrange(config: pytest.Config, collected: list[pytest.Item]) -> None:
    """Check marks, expect known issues to fail, leave out load nobody asked for, put the order right. In a pytest-xdist
    worker an error ends nothing but the worker, so there a wrong mark is told by its item."""
    if not xdist.is_worker(config):
        marks.validate(collected)
    marks.expect_known_issues(collected)
    performance.deselect(config, collected)
    items.order(collected)


def select(session: pytest.Session) -> None:
    """Know what will run; then, if it is ours, see that the inputs are there. Workers leave complaints to their items."""
    ours = session.config.stash.get(SESSION, None)
    if ours is None:
        return
    items.select(ours, session.items)
    if not any(map(items.touches_world, session.items)):
        return
    # pytest ends a run with five full garbage collections. What is there now stays until then anyway: a tenth of a second saved.
    gc.freeze()
    if xdist.is_worker(session.config):
        if xdist.worker_id(session.config) == "gw0":  # the controller collects nothing, so one of them speaks for all
            _announce(ours)
        return
    check_inputs(ours.settings)
    if (why := items.unreachable(ours)) is not None:
        raise pytest.UsageError(why)
    if ours.settings.lab is not None and not (ours.settings.plan or session.config.option.collectonly):
        from pytest_submariner.providers.lab import check

        check(ours.settings, ours.settings.lab)
    _announce(ours)


def _announce(ours: Session) -> None:
    if ours.asked and not (ours.settings.plan or ours.config.option.collectonly):
        from pytest_submariner import reports

        reports.announce(ours.settings)
        if not xdist.is_worker(ours.config):
            ours.ending.heed()


def plan_instead(session: pytest.Session) -> bool | None:
    """--submariner-plan takes the place of running; after collection errors pytest itself speaks."""
    ours = session.config.stash.get(SESSION, None)
    if ours is None or not ours.settings.plan or session.config.option.collectonly or session.testsfailed:
        return None
    from pytest_submariner.plan import show

    show(ours, session.items)
    return True


def turn(item: pytest.Item) -> AbstractContextManager[None]:
    """Under pytest-xdist items that use the world take turns with disruptive ones."""
    ours = item.config.stash.get(SESSION, None)
    if ours is None or not xdist.is_worker(item.config) or not items.touches_world(item):
        return nullcontext()
    return xdist.take_turn(ours.exchange, alone=marks.runs_alone(item))


def check_requirements(item: pytest.Item) -> None:
    """RequirementUnmet when a mark asks for what this run does not have."""
    ours = item.config.stash.get(SESSION, None)
    if ours is None:
        return
    if xdist.is_worker(item.config):
        marks.validate([item])
    if marks.is_disruptive(item):
        ours.require_disruption()
    for needed in marks.requirements(item):
        needed.check_provider(ours.settings.provider)
        if needed.needs_topology:
            needed.check(ours.topology)


def header(config: pytest.Config) -> str | None:
    """The settings, ahead of collection when somebody gave one on the command line."""
    ours = config.stash.get(SESSION, None)
    if ours is None or "option" not in ours.settings.sources.values():
        return None
    ours.described = True
    return ours.settings.describe()


def header_once_asked(config: pytest.Config) -> str | None:
    """The settings, once collection shows that somebody asks for us."""
    ours = config.stash.get(SESSION, None)
    if ours is None or ours.described or not ours.touched or config.option.verbose < 0:
        return None
    ours.described = True
    return ours.settings.describe()


def finish(session: pytest.Session) -> None:
    """Hand results to the controller, or write them, however the run ended. One that asked and got no answer is not a success."""
    config = session.config
    ours = config.stash.get(SESSION, None)
    if ours is None or ours.settings.plan or config.option.collectonly:
        return
    ours.ending.hold()
    complete = session.exitstatus in _COMPLETE
    if xdist.is_worker(config):
        ours.recorder.finish()
        xdist.hand_in(config, ours)
        return
    outcome.record_crashed(ours)
    if complete:
        ours.diagnosing.finish()
    else:
        ours.recorder.note(ours.ending.sentence(session.exitstatus))
    ours.recorder.finish()
    if ours.asked:
        _write(session, ours, complete=complete)
        if not (ours.answers or ours.recorder.measured) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _write(session: pytest.Session, ours: Session, *, complete: bool) -> None:
    from pytest_submariner import reports
    from pytest_submariner.stock import of

    report = None
    try:
        report = of(ours).report_at_end(may_run=complete)  # after an early end nothing new is started
    except SubmarinerError as error:
        sys.stderr.write(f"submariner: {error}\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    try:
        ours.written = reports.write(session.config, ours, report) + of(ours).written
    except reports.Unwritten as failed:
        for refused in failed.errors:
            sys.stderr.write(f"submariner: cannot write {refused.filename}: {refused.strerror}\n")
        ours.written = failed.written + of(ours).written
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def summarize(reporter: Any, config: pytest.Config) -> None:
    """The section at the end, if this run asked any path."""
    ours = config.stash.get(SESSION, None)
    if ours is None or ours.written is None:
        return
    from pytest_submariner.report import terminal
    from pytest_submariner.report.github import commands

    terminal.summary(reporter, ours.recorder, ours.written, again=ours.settings.again())
    for line in commands(ours.recorder, os.environ):
        reporter.write_line(line)
    if ours.recorder.is_empty:
        reporter.write_line("submariner: NOTHING WAS MEASURED: no selected test asked a path.", red=True, bold=True)


def end(config: pytest.Config) -> None:
    """Close and remove. What could not be removed is told, and by which command it can be."""
    ours = config.stash.get(SESSION, None)
    if ours is None:
        return
    try:
        ours.close()
    except SubmarinerError as error:
        sys.stderr.write(f"submariner: could not clean up: {error}; try again with pytest --submariner-cleanup\n")
    finally:
        ours.ending.release()


def _only_shows(config: pytest.Config) -> bool:
    return any(config.getoption(name, None) for name in _SHOWING)

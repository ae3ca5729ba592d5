"""Which reports a run writes, and where: the writers of `report/` called once, by the process that has all results."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_submariner.settings import Settings

if TYPE_CHECKING:
    from pytest_submariner.compare.ginkgo import GinkgoReport
    from pytest_submariner.diagnose.sysdump.dumpfiles import File
    from pytest_submariner.session import Session

Written = list[tuple[str, str]]
"""(kind, file) of every report, for the summary."""


class Unwritten(Exception):
    """Reports that could not be written: `errors`, one each. The others were: `written`."""

    def __init__(self, errors: list[OSError], written: Written) -> None:
        super().__init__(str(errors))
        self.errors, self.written = errors, written


def write(config: pytest.Config, ours: Session, stock: GinkgoReport | None) -> Written:
    """Compare with what stock subctl said, then write everything that was asked for. Unwritten names the files that could not be
    written; one that cannot keeps no other from being written."""
    if stock is not None:
        from pytest_submariner.compare.diff import compare

        ours.recorder.comparison = compare(stock, ours.recorder.results).to_dict()
    written: Written = []
    errors: list[OSError] = []
    for kind, writer in _WRITERS:
        try:
            file = writer(config, ours)
        except OSError as error:
            errors.append(error)
            continue
        if file:
            written.append((kind, str(file)))
    if errors:
        raise Unwritten(errors, written)
    return written


def _results(_config: pytest.Config, ours: Session) -> Path:
    from pytest_submariner.report.json import write_results

    write_results(ours.recorder, ours.settings.results)
    return ours.settings.results


def _overview(_config: pytest.Config, ours: Session) -> Path | None:
    from pytest_submariner.report.overview.place import may_replace

    settings = ours.settings
    if not may_replace(settings.overview_page, named=settings.overview is not None):
        return None
    from pytest_submariner.report.overview.page import write_overview

    write_overview(ours.recorder, settings.overview_page, settings.given())
    return settings.overview_page


def _markdown(_config: pytest.Config, ours: Session) -> Path | None:
    if ours.settings.markdown is None:
        return None
    from pytest_submariner.report.json import write_atomically
    from pytest_submariner.report.markdown import page

    write_atomically(ours.settings.markdown, page(ours.recorder))
    return ours.settings.markdown


def _junit(config: pytest.Config, ours: Session) -> Path | None:
    file = config.getoption("xmlpath", None)
    if not file:
        return None
    from pytest_submariner.report.junit import complete

    complete(config, ours.recorder)
    return Path(file)


def _sysdump(_config: pytest.Config, ours: Session) -> Path | None:
    """When it was asked for, or paths failed; it needs a diagnosis, which has seen what it holds."""
    diagnosed, settings = ours.diagnosing.last, ours.settings
    if diagnosed is None or not (settings.sysdump is not None or ours.recorder.failures()):
        return None
    from pytest_submariner.diagnose.sysdump import archive as sysdump

    file = settings.sysdump_file
    if not sysdump.may_replace(file, named=settings.sysdump is not None):
        return None
    sysdump.write(
        file, diagnosed, _of_the_run(ours), about=f"Made at the end of a run that began at {ours.recorder.started}."
    )
    return file


def _allure(config: pytest.Config, ours: Session) -> Path | None:
    folder = config.getoption("allure_report_dir", None)
    if not folder:
        return None
    from pytest_submariner.evidence import Proofs
    from pytest_submariner.report.allure_folder import finish

    finish(Path(folder), ours.recorder, os.environ, proofs=Proofs(ours.diagnosing.last), crashed=ours.crashed)
    return Path(folder)


def _github(config: pytest.Config, ours: Session) -> Path | None:
    from pytest_submariner.report.github import summarise

    return summarise(ours.recorder, os.environ)


_WRITERS: tuple[tuple[str, Callable[[pytest.Config, Session], Path | None]], ...] = (
    ("results", _results),
    ("overview", _overview),
    ("markdown", _markdown),
    ("sysdump", _sysdump),
    ("junit", _junit),
    ("allure", _allure),
    ("summary", _github),
)


def _of_the_run(ours: Session) -> list[File]:
    """The reports that stand beside an observation in a sysdump, without secrets."""
    from pytest_submariner.diagnose.objects.redaction import blank, redact
    from pytest_submariner.diagnose.sysdump.dumpfiles import File
    from pytest_submariner.report.json import document
    from pytest_submariner.report.markdown import page

    return [
        File("report.md", "matrices, causes and failing paths of the run", redact(page(ours.recorder))),
        File(
            "results.json", "the run as data", json.dumps(blank(document(ours.recorder)), indent=1, ensure_ascii=False)
        ),
    ]


def announce(settings: Settings) -> None:
    """Ahead of the first question: no page of an earlier run shall be taken for this one's. A file that cannot be written is
    told at the end."""
    from pytest_submariner.report.overview.place import may_replace, write_unfinished

    with suppress(OSError):
        if may_replace(settings.overview_page, named=settings.overview is not None):
            write_unfinished(settings.overview_page)

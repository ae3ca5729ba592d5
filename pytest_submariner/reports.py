"""Which reports a run writes, and where: the writers of `report/` called once, by the process that has all results."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_submariner.report.recorder import Recorder
from pytest_submariner.settings import Settings

if TYPE_CHECKING:
    from pytest_submariner.compare.ginkgo import GinkgoReport

Written = list[tuple[str, str]]
"""(kind, file) of every report, for the summary."""


def write(config: pytest.Config, recorder: Recorder, settings: Settings, stock: GinkgoReport | None) -> Written:
    """Compare with what stock subctl said, then write everything that was asked for. OSError names the file that could not be written."""
    if stock is not None:
        from pytest_submariner.compare.diff import compare

        recorder.comparison = compare(stock, recorder.results).to_dict()
    written: Written = []
    from pytest_submariner.report.json import write_results

    write_results(recorder, settings.results)
    written.append(("results", str(settings.results)))
    from pytest_submariner.report.overview.place import may_replace

    if may_replace(settings.overview_page, named=settings.overview is not None):
        from pytest_submariner.report.overview.page import write_overview

        write_overview(recorder, settings.overview_page, settings.given())
        written.append(("overview", str(settings.overview_page)))
    if file := config.getoption("xmlpath", None):
        from pytest_submariner.report.junit import add_suite_properties

        add_suite_properties(config, recorder)
        written.append(("junit", str(file)))
    if folder := config.getoption("allure_report_dir", None):
        from pytest_submariner.report.allure_folder import finish

        finish(Path(folder), recorder)
        written.append(("allure", str(folder)))
    return written


def announce(settings: Settings) -> None:
    """Ahead of the first question: no page of an earlier run shall be taken for this one's. A file that cannot be written is
    told at the end."""
    from pytest_submariner.report.overview.place import may_replace, write_unfinished

    with suppress(OSError):
        if may_replace(settings.overview_page, named=settings.overview is not None):
            write_unfinished(settings.overview_page)

"""Every pytest hook of the plugin, each a call: the table of contents. Nothing here, nor what it imports, loads a library for
clusters; that happens when the first item asks."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pytest_submariner import hookspecs, items, keys, lifecycle, marks, options, outcome, xdist
from pytest_submariner.session import Session

pytest_plugins = (
    "pytest_submariner.fixtures.clusters",
    "pytest_submariner.fixtures.nodes",
    "pytest_submariner.fixtures.probing",
    "pytest_submariner.fixtures.performance",
    "pytest_submariner.fixtures.lab",
    "pytest_submariner.fixtures.subctl",
)


def _session(config: pytest.Config) -> Session | None:
    """None while pytest only shows its help, its marks or its fixtures."""
    return config.stash.get(keys.SESSION, None)


# --- options and configuration


def pytest_addoption(parser: pytest.Parser) -> None:
    options.register(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> pytest.ExitCode | None:
    return lifecycle.clean_instead(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    marks.register(config)
    lifecycle.start(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    lifecycle.end(config)


# --- collection


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    items.parametrize_pairs(metafunc)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lifecycle.arrange(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    lifecycle.select(session)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    return lifecycle.plan_instead(session)


# --- running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with lifecycle.turn(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with outcome.skips(item):
        lifecycle.check_requirements(item)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with outcome.skips(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    brief = outcome.prepare(item, call)
    report = yield
    outcome.mark_report(item, report, call, brief=brief)
    xdist.attach(item, report)
    return report


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    return outcome.status(report)


# --- reports


def pytest_report_header(config: pytest.Config) -> str | None:
    return lifecycle.header(config)


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    return lifecycle.header_once_asked(config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    lifecycle.finish(session)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lifecycle.summarize(terminalreporter, config)


# --- pytest-xdist, on its controller


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    if (session := _session(node.config)) is not None:
        xdist.invite(node, session)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    xdist.detach(report)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if (session := _session(node.config)) is not None:
        xdist.collect(node, session)

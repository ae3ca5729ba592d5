"""Hooks other plugins and conftest files can implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_submariner.model.path import PathCase
    from pytest_submariner.model.result import PathResult
    from pytest_submariner.model.topology import Node, Topology
    from pytest_submariner.session import PathProber
    from pytest_submariner.transport.base import Transport


@pytest.hookspec(firstresult=True)
def pytest_submariner_topology(config: pytest.Config) -> Topology | None:
    """Say what clusters there are, instead of the provider the settings name. Called once per run, when the first item needs
    it; stops at the first answer. Each cluster is reached by its `kubeconfig` and `context`."""


@pytest.hookspec(firstresult=True)
def pytest_submariner_transport(config: pytest.Config, node: Node) -> Transport | None:
    """Say how commands get to this node, instead of `--submariner-exec`. Called once per node and process; the transport is closed
    at the end of the session."""


@pytest.hookspec(firstresult=True)
def pytest_submariner_prober(config: pytest.Config, topology: Topology) -> PathProber | None:
    """Measure paths by other means than probe pods. Called once per process, when the first path is asked."""


@pytest.hookspec
def pytest_submariner_path_cases(config: pytest.Config, suite: str, cases: list[PathCase]) -> None:
    """Edit the cases of a suite in place before items are made of them: remove, reorder, add. Called at collection, so nothing here may
    ask a cluster; under pytest-xdist every process must come to the same list."""


@pytest.hookspec
def pytest_submariner_path_finished(config: pytest.Config, result: PathResult) -> None:
    """A path got its verdict. Called in the process that asked, once per recorded result."""

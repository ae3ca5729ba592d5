"""A lab for the tests that need one: booted once per session by the command line, removed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from peers import agents_dir
from running_lab import RunningLab


@pytest.fixture(scope="session")
def lab() -> Iterator[RunningLab]:
    """The default lab: two clusters, each a gateway and a worker."""
    running = RunningLab.boot(f"tests-{os.getpid()}")
    yield running
    running.down()


@pytest.fixture(scope="session")
def lab_3134() -> Iterator[RunningLab]:
    """The default lab on an underlay that drops class-E addresses."""
    running = RunningLab.boot(f"tests-3134-{os.getpid()}", "--profile", "issue-3134")
    yield running
    running.down()


@pytest.fixture(scope="session")
def agents_lab() -> Iterator[RunningLab]:
    """The default lab with Submariner's own agents; skips where they are not at hand."""
    running = RunningLab.boot(
        f"tests-agents-{os.getpid()}", "--submariner", "agents", "--agents-dir", str(agents_dir())
    )
    yield running
    running.down()

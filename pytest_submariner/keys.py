"""Where the plugin keeps its state: typed keys of pytest's stashes, never attributes on other people's objects."""

from __future__ import annotations

from typing import IO

import pytest

from pytest_submariner.model.result import PathResult
from pytest_submariner.session import Session

SESSION: pytest.StashKey[Session] = pytest.StashKey()
"""On the config, from pytest_configure on."""
LOCK: pytest.StashKey[IO[bytes]] = pytest.StashKey()
"""On the config of a pytest-xdist worker: the file which keeps disruptive items apart from the others."""
RESULT: pytest.StashKey[PathResult] = pytest.StashKey()
"""On an item: what `assert_path` recorded last, for the writers that report per item."""

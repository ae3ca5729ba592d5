"""Where the plugin keeps its state: typed keys of pytest's stashes, never attributes on other people's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_submariner.model.result import PathResult
    from pytest_submariner.session import Session
    from pytest_submariner.stock import Stock

SESSION: pytest.StashKey[Session] = pytest.StashKey()
"""On the config, from pytest_configure on."""
RECORDED: pytest.StashKey[list[PathResult]] = pytest.StashKey()
"""On an item: what was recorded for it, in order."""
STOCK: pytest.StashKey[Stock] = pytest.StashKey()
"""On the config, once somebody asks what stock subctl says."""

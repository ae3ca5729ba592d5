"""A kubelet with fakes around it, fresh for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import kubelet_fakes
import pytest_asyncio


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[kubelet_fakes.World]:
    async with kubelet_fakes.running_world(tmp_path) as made:
        yield made

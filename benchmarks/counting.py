"""A pytest plugin (`-p benchmarks.counting`) that counts the API requests of a run, exec streams included, and writes the number into the
file that BENCHMARK_REQUESTS names."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pytest_submariner.kube import rest
from pytest_submariner.kube import websocket as streams


class _Count:
    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()

    def wrap(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def counted(*arguments: Any, **keywords: Any) -> Any:
            with self._lock:
                self.number += 1
            return original(*arguments, **keywords)

        setattr(owner, name, counted)


_COUNT = _Count()


def pytest_configure() -> None:
    """Every request passes one of the two, retries too."""
    _COUNT.wrap(rest.Rest, "_send")
    _COUNT.wrap(streams.ChannelSocket, "__init__")


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """After the plugin has removed what it made."""
    Path(os.environ["BENCHMARK_REQUESTS"]).write_text(str(_COUNT.number))

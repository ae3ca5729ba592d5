"""What the active Gateway says about its cable to another cluster."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.submariner_paths(source="gateway", target="gateway")
def test_gateway_is_connected(path: str, assert_path: Callable[[str], object]) -> None:
    """One Gateway is active, it is connected to the other cluster, and its health check measures a round trip."""
    assert_path(path)

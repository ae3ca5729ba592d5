"""Pod to pod inside a cluster: without address translation, on one node and between nodes."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.submariner_paths(source="pod", target="pod")
def test_pod_reaches_pod(path: str, assert_path: Callable[[str], object]) -> None:
    """The pod answers, and sees the other pod's own address."""
    assert_path(path)

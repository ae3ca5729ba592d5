"""Pod to pod of another cluster, in both directions."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.submariner_paths(source="pod", target="pod")
def test_pod_reaches_remote_pod(path: str, assert_path: Callable[[str], object]) -> None:
    """The remote pod answers, and sees the pod's own address."""
    assert_path(path)

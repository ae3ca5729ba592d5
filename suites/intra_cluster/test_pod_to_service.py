"""Pod to Service inside a cluster: through kube-proxy, whatever node backs the Service."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.submariner_paths(source="pod", target="svc")
def test_pod_reaches_service(path: str, assert_path: Callable[[str], object]) -> None:
    """The Service's pod answers at its ClusterIP."""
    assert_path(path)

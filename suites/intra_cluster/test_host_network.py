"""Host-network pods inside their cluster: nodes reach pods, Services and each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.submariner_paths(source="hostpod", target=["pod", "hostpod", "svc", "node"])
def test_host_network_pod_reaches(path: str, assert_path: Callable[[str], object]) -> None:
    """The target answers; which of the node's addresses it sees is the kernel's choice."""
    assert_path(path)

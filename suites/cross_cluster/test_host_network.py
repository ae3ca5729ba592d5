"""Host-network pods to pods and Services of another cluster, in both directions."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.submariner_paths(source="hostpod", target=["pod", "svc"])
def test_host_network_pod_reaches_remote(path: str, assert_path: Callable[[str], object]) -> None:
    """The remote pod answers, and sees the CNI address of the node: the only one of a node's addresses that is routed back."""
    assert_path(path)

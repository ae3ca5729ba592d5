"""Pod to the nodes of its cluster: to a host-network pod there, and to the node's InternalIP."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.submariner_paths(source="pod", target=["hostpod", "node"])
def test_pod_reaches_node(path: str, assert_path: Callable[[str], object]) -> None:
    """The node answers; a CNI may masquerade what leaves the pod network, so any source will do."""
    assert_path(path)

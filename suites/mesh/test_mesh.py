"""The mesh: from every node to every other node, inside and between clusters. One item per pair of clusters, role and protocol."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_submariner.paths.groups import MeshRow


@pytest.mark.submariner_path_groups("mesh")
def test_every_pair_of_nodes(group: MeshRow, assert_paths: Callable[[MeshRow], object]) -> None:
    """A pod on every node of this role reaches a pod on every node of the other cluster, which sees its own address."""
    assert_paths(group)

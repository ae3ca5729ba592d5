"""Passive gateway nodes: labelled as gateways, with the data plane of other nodes until they take over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_submariner.paths.groups import PassiveGateways


@pytest.mark.submariner_path_groups("passive")
def test_passive_gateway_is_like_any_node(group: PassiveGateways, assert_paths: Callable[[object], object]) -> None:
    """What the role matrix asks between these clusters, with a passive gateway node at one end or both."""
    assert_paths(group)

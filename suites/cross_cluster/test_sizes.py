"""Pods and host-network pods to pods of another cluster: packets as large as the tunnels allow, and more data than fits into a few."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.submariner_paths(source=["pod", "hostpod"], target="pod", size="pmtu")
def test_path_mtu(path: str, assert_path: Callable[[str], object]) -> None:
    """Packets that must not be fragmented get through up to the MTU of the nodes less what the tunnels take."""
    assert_path(path)


@pytest.mark.submariner_paths(source=["pod", "hostpod"], target="pod", size="bulk")
def test_bulk_transfer(path: str, assert_path: Callable[[str], object]) -> None:
    """A mebibyte goes each way. Where the handshake works and data hangs, some hop loses full-sized packets without a word."""
    assert_path(path)

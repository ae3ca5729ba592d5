"""How much the paths carry, and how fast they answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.submariner_performance


def test_throughput(load: str, assert_performance: Callable[[str], object]) -> None:
    """TCP payload that arrives in a second by one stream or by ten, beside what arrives inside the source's cluster.

    Measured, not judged, unless --submariner-min-throughput says what is allowed between clusters.
    """
    assert_performance(load)


def test_latency(load: str, assert_performance: Callable[[str], object]) -> None:
    """Round trips, one at a time: over a TCP connection, and echo requests.

    Measured, not judged, unless --submariner-max-latency says what the 99th percentile may be between clusters.
    """
    assert_performance(load)

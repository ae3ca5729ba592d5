"""Round-trip times in Go's spelling, statistics as upstream's."""

from __future__ import annotations

import statistics

import pytest

from pytest_submariner.lab.submariner.latency import SAMPLES, Latency, go_duration


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (7, "7ns"),
        (1_000, "1µs"),
        (364_542, "364.542µs"),
        (1_000_000, "1ms"),
        (2_100_000, "2.1ms"),
        (1_000_000_000, "1s"),
        (1_500_000_000, "1.5s"),
        (61_000_000_001, "1m1.000000001s"),
        (3_600_000_000_000, "1h0m0s"),
    ],
)
def test_durations_read_as_go_prints_them(nanoseconds: int, text: str) -> None:
    assert go_duration(nanoseconds) == text


def test_before_the_first_sample_everything_is_zero() -> None:
    assert set(Latency().to_dict().values()) == {"0s"}


def test_statistics_over_some_samples() -> None:
    samples = [400_000, 200_000, 900_000, 300_000]
    latency = Latency()
    for sample in samples:
        latency.add(sample)
    assert latency.to_dict() == {
        "last": "300µs",
        "min": "200µs",
        "average": "450µs",
        "max": "900µs",
        "stdDev": go_duration(int(statistics.pstdev(samples))),
    }


def test_after_many_samples_the_mean_starts_over_and_the_extremes_stay() -> None:
    latency = Latency()
    latency.add(1)
    for _ in range(SAMPLES):
        latency.add(1_000)
    assert (latency.average, latency.minimum, latency.last) == (1_000, 1, 1_000)

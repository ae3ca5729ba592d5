"""The arithmetic of MTUs."""

from __future__ import annotations

import pytest

from pytest_submariner.model.path import PathCase
from pytest_submariner.paths.sizes import must_carry, overhead, size_tag


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        ("pod.gw.c1--pod.gw.c2--icmp--pmtu", "pmtu"),
        ("pod.gw.c1--pod.gw.c2--tcp--bulk", "bulk"),
        ("pod.gw.c1--pod.gw.c1--tcp--samenode", None),
        ("pod.gw.c1--pod.gw.c2--tcp", None),
    ],
)
def test_the_tag_of_a_size(path: str, tag: str | None) -> None:
    assert size_tag(PathCase.parse(path)) == tag


@pytest.mark.parametrize(("driver", "taken"), [("vxlan", 50), ("libreswan", 80), ("wireguard", 80), ("", 80)])
def test_tunnels_take_their_share_once(driver: str, taken: int) -> None:
    assert overhead(driver) == taken


@pytest.mark.parametrize(
    ("underlays", "ends", "wanted"),
    [
        ([[1500], [1500]], 1500, 1450),
        ([[9001], [1500]], 65535, 1450),  # the narrower cluster limits
        ([[1500, 1400], [1500]], 1500, 1450),  # one node that is lower than its neighbours is what shall be found
        ([[1500], []], 65535, 1450),
        ([[9001], [9001]], 1500, 1500),  # the pods at its ends are narrower
        ([[], []], 1500, None),
    ],
)
def test_what_must_be_carried(underlays: list[list[int]], ends: int, wanted: int | None) -> None:
    assert must_carry(underlays, "vxlan", ends) == wanted

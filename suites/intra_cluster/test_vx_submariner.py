"""The story of submariner issue 3134: a ping that proves nothing.

Someone logs in to a non-gateway node, pings the vx-submariner address (240.x) of the gateway node, gets no answer, and concludes that
Submariner's VXLAN is broken. It is not. vx-submariner carries traffic *to other clusters*; inside a cluster the CNI carries
everything. A process on a non-gateway node that talks to another cluster leaves with a 240.x source, which nobody there could
answer. So SUBMARINER-POSTROUTING rewrites it to the node's CNI address:

    -s 240.0.0.0/8 -o vx-submariner -j SNAT --to-source <CNI address>

The ping matches that rule too. Its request crosses the VXLAN with the CNI address as source, and the reply goes where the CNI routes that
address: over the plain network, with a bare 240.x source, which many networks drop as class E. Deleting the rule makes the
ping work, and breaks what the rule is for.
"""

from __future__ import annotations

from collections.abc import Callable

import allure
import pytest

from pytest_submariner import PathResult, Verdict

SUPPORTED = [
    "pod.ngw.c1--pod.gw.c1--tcp",
    "pod.ngw.c1--pod.ngw.c2--tcp",
    "hostpod.ngw.c1--pod.gw.c2--tcp",
    "hostpod.ngw.c1--pod.ngw.c2--tcp",
]
"""What the node of the ping is meant to do: in its cluster, and through the VXLAN to the other, pods and host network."""


@pytest.mark.submariner_paths(source="hostpod", target="vx")
def test_ping_is_rewritten_by_design(path: str, assert_path: Callable[[str], object]) -> None:
    """The rule is there, its counter rose by our packets, and the capture shows the source before and after the rewrite.

    Whether the ping was answered depends on the network between the nodes. It is recorded, not judged.
    """
    assert_path(path)


@pytest.mark.submariner_requires(clusters=2, non_gateways=1)
def test_supported_paths_work_all_the_same(reach: Callable[[str], PathResult]) -> None:
    """Answered or not, the ping says nothing about these, and these are what Submariner promises."""
    allure.dynamic.epic("vx-submariner inside a cluster")  # type: ignore[no-untyped-call]
    allure.dynamic.title("What the node of the ping is meant to do works all the same")  # type: ignore[no-untyped-call]
    broken = {result.id: result.detail for result in map(reach, SUPPORTED) if result.verdict is not Verdict.OK}
    assert not broken

"""Pod to the ClusterIP of a Service in another cluster, in both directions."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.submariner_paths(source="pod", target="svc")
def test_pod_reaches_remote_service(path: str, assert_path: Callable[[str], object]) -> None:
    """The Service's pod answers, and sees the pod's own address: kube-proxy must not masquerade it on the way."""
    assert_path(path)

"""What a control plane is to the lab: API servers that kubelets, controllers and users speak to over HTTPS, nothing more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_submariner.lab.kubelet.kubelet import Kubelet
from pytest_submariner.lab.spec import ClusterSpec


@dataclass(frozen=True)
class ClusterParts:
    """A cluster and the kubelet that serves exec and logs behind its API."""

    spec: ClusterSpec
    kubelet: Kubelet


Early = Callable[[ClusterSpec], Awaitable[None]]
"""What may be done with a cluster's API as soon as it takes requests, while the rest of it is still getting ready."""


class ControlPlane(Protocol):
    """Either of the two; everything else of the lab is the same on both."""

    async def start(self, clusters: Sequence[ClusterParts], early: Early) -> None:
        """Returns when every API answers on UNDERLAY_GATEWAY and on the host's loopback, and `early` has been done for each.
        LabError says what did not start."""

    def own_url(self, cluster: ClusterSpec) -> str:
        """Where the lab's own kubelets and controllers reach the API of a cluster, from the holder."""

    async def stop(self) -> None:
        """Ends what runs in the holder; processes end with the lab."""

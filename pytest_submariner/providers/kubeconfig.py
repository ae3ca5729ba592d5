"""Clusters that exist: one per context, in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pytest_submariner.errors import TopologyError
from pytest_submariner.model.topology import Cluster, Topology
from pytest_submariner.providers.base import World
from pytest_submariner.providers.contexts import Place, places
from pytest_submariner.providers.discovery import discover
from pytest_submariner.settings import Settings


class KubeconfigProvider:
    """The clusters of `--submariner-context` and `--submariner-kubeconfig`. Makes nothing, so it has nothing to release."""

    name = "kubeconfig"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def find(self) -> World:
        return World(find_topology(places(self._settings), self.name))

    def release(self) -> None:
        return


def find_topology(wanted: Sequence[Place], provider: str) -> Topology:
    """Ask all clusters at once. TopologyError is one line: the first cluster that is not fit, or two that are one."""
    with ThreadPoolExecutor(max_workers=min(16, len(wanted)), thread_name_prefix="submariner-discovery") as pool:
        found = list(pool.map(_find, wanted))
    for i, cluster in enumerate(found):
        for earlier in found[:i]:
            _refuse_same(earlier, cluster)
    return Topology(tuple(cluster for cluster in found), provider)


def _find(place: Place) -> Cluster:
    from pytest_submariner.kube.client import KubeClient

    kube = KubeClient(place.kubeconfig, place.context)
    try:
        where = f"{place.position} (context {kube.context} at {kube.server})"
        return discover(kube, place.position, context=kube.context, kubeconfig=place.kubeconfig, where=where)
    finally:
        kube.close()


def _refuse_same(one: Cluster, other: Cluster) -> None:
    if one.cluster_id == other.cluster_id:
        raise TopologyError(
            f"{one.position} (context {one.context}) and {other.position} (context {other.context}) are both cluster ID {one.cluster_id}: "
            "paths between clusters need two different ones; name another context"
        )

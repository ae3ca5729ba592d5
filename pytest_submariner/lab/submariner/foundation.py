"""What an installation has before any agent runs: kinds, namespaces, the operator's own objects. The same for agents and model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.lab.spec import ClusterSpec, LabSpec
from pytest_submariner.lab.submariner import crds, objects
from pytest_submariner.lab.submariner.access import ApiAccess
from pytest_submariner.lab.submariner.creation import Creator
from pytest_submariner.lab.submariner.readiness import nodes_registered

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi

_DEADLINE_S: Final = 30.0


def broker_address(spec: LabSpec, access: ApiAccess) -> str:
    """`host:port` of the API of the cluster that is the broker: the first."""
    return access.urls[spec.clusters[0].name].partition("://")[2]


async def lay_foundation(api: KubeApi, spec: LabSpec, cluster: ClusterSpec, access: ApiAccess) -> None:
    """Kinds and namespaces first; then the rest, whose order does not matter. Returns when the cluster's nodes are registered."""
    await crds.install(api, crds.definitions())
    create = Creator(api)
    is_broker = cluster == spec.clusters[0]
    names = [c.OPERATOR_NAMESPACE, *([c.BROKER_NAMESPACE] if is_broker else [])]
    await asyncio.gather(*(create("v1", "namespaces", objects.namespace(name)) for name in names))
    broker = broker_address(spec, access)
    more = [(objects.GROUP_V1ALPHA1, "brokers", objects.broker())] if is_broker else []
    await asyncio.gather(
        create.with_status(
            objects.GROUP_V1ALPHA1,
            "submariners",
            objects.submariner(cluster, spec.cable, broker),
            objects.submariner_status(cluster),
        ),
        create(objects.GROUP_V1ALPHA1, "servicediscoveries", objects.service_discovery(cluster, broker)),
        *(create(*item) for item in more),
        nodes_registered(api, cluster, _DEADLINE_S),
    )

"""What an installation has before any agent runs: kinds, namespaces, the operator's own objects. The same for agents and model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.lab.spec import ClusterSpec, LabSpec
from pytest_submariner.lab.submariner import crds, objects, rbac
from pytest_submariner.lab.submariner.access import ApiAccess
from pytest_submariner.lab.submariner.creation import Creator
from pytest_submariner.lab.submariner.readiness import nodes_registered

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]
_DEADLINE_S: Final = 30.0
_TOKEN_SECONDS: Final = 7 * 86400


@dataclass(frozen=True)
class Broker:
    """The API of the first cluster as the broker: `host:port` for nodes and for the machine, and the token of the broker's account."""

    inside: str
    outside: str
    ca_pem: bytes = field(repr=False)
    token: str = field(repr=False)


async def open_broker(api: KubeApi, spec: LabSpec, access: ApiAccess) -> Broker:
    """Makes the broker's namespace and account; `api` is the first cluster's."""
    create = Creator(api)
    await create("v1", "namespaces", objects.namespace(c.BROKER_NAMESPACE))
    await grant(create, rbac.broker())
    name = spec.clusters[0].name
    return Broker(
        inside=access.urls[name].partition("://")[2],
        outside=access.outside[name].partition("://")[2],
        ca_pem=access.ca_pem,
        token=await token(api, c.BROKER_NAMESPACE, rbac.BROKER_ACCOUNT),
    )


async def lay_foundation(api: KubeApi, spec: LabSpec, cluster: ClusterSpec, broker: Broker) -> None:
    """Kinds and namespace first; then the rest, whose order does not matter. Returns when the cluster's nodes are registered."""
    await crds.install(api, crds.definitions())
    create = Creator(api)
    await create("v1", "namespaces", objects.namespace(c.OPERATOR_NAMESPACE))
    is_broker = cluster == spec.clusters[0]
    more = [(objects.GROUP_V1ALPHA1, "brokers", objects.broker())] if is_broker else []
    # Who reads the resource is a tool on the machine, with the kubeconfig; agents are told by their environment.
    resource = objects.submariner(cluster, spec.cable, broker.outside, token=broker.token, ca_pem=broker.ca_pem)
    await asyncio.gather(
        create.with_status(objects.GROUP_V1ALPHA1, "submariners", resource, objects.submariner_status(cluster)),
        *(create(*item) for item in more),
        nodes_registered(api, cluster, _DEADLINE_S),
    )


async def grant(create: Creator, granted: Sequence[tuple[str, str, Object]]) -> None:
    """Objects of `rbac`: accounts before what binds them."""
    accounts = [item for item in granted if item[1] == "serviceaccounts"]
    await asyncio.gather(*(create(*item) for item in accounts))
    await asyncio.gather(*(create(*item) for item in granted if item not in accounts))


async def token(api: KubeApi, namespace: str, account: str) -> str:
    """A token of a service account that outlasts any lab."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": _TOKEN_SECONDS},
    }
    answer = await api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body)
    return str(answer["status"]["token"])

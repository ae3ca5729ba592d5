"""Creating objects that may be there already."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from pytest_submariner.lab.apierrors import ApiError

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]


class Creator:
    """Creates objects; one that is there already stays as it is."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def __call__(self, api_version: str, resource: str, body: Object) -> None:
        await self._once(self._api.create(path(api_version, resource, body["metadata"].get("namespace")), body))

    async def with_status(self, api_version: str, resource: str, body: Object, status: Object) -> None:
        """For kinds with a status subresource, which a create ignores."""
        await self(api_version, resource, body)
        collection = path(api_version, resource, body["metadata"].get("namespace"))
        await self._api.patch(f"{collection}/{body['metadata']['name']}/status", status)

    async def _once(self, creation: Awaitable[Object]) -> None:
        try:
            await creation
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise


def path(api_version: str, resource: str, namespace: str | None) -> str:
    root = "/apis" if "/" in api_version else "/api"
    return (
        f"{root}/{api_version}/namespaces/{namespace}/{resource}" if namespace else f"{root}/{api_version}/{resource}"
    )

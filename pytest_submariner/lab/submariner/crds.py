"""CustomResourceDefinitions of Submariner's kinds, for API servers that do not have them built in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.errors import LabError
from pytest_submariner.lab.api.builtin import submariner_kinds
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.apierrors import ApiError

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_DEADLINE_S: Final = 20.0
_POLL_S: Final = 0.02
_ANYTHING: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""The agents' own definitions have schemas of their release; a lab takes objects of any release."""


def definitions() -> list[Object]:
    """One per kind, in the shape of `kubectl get crd -o yaml`, without a schema."""
    return [_definition(kind) for kind in submariner_kinds()]


def _definition(kind: Kind) -> Object:
    version: Object = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _ANYTHING},
        "additionalPrinterColumns": [{"name": c.name, "jsonPath": c.path, "type": c.type} for c in kind.columns],
    }
    if kind.status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": kind.qualified,
            # Names below x-k8s.io are protected: without this note a genuine server refuses them (KEP-1111).
            "annotations": {
                "api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster"
            },
        },
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular_name,
                "shortNames": list(kind.short_names),
            },
            "versions": [version],
        },
    }


async def install(api: KubeApi, made: Sequence[Object]) -> None:
    """Creates the definitions that are missing and returns when the server serves all of them. LabError names those
    it does not.

    Nothing is created where the first kind is served already: the embedded API server has them built in.
    """
    if await _is_served(api, *_resources(made)[0]):
        return
    await asyncio.gather(*(_create(api, definition) for definition in made))
    deadline = asyncio.get_running_loop().time() + _DEADLINE_S
    waiting = _resources(made)
    while waiting:
        served = await asyncio.gather(*(_is_served(api, *resource) for resource in waiting))
        waiting = [resource for resource, there in zip(waiting, served, strict=True) if not there]
        if waiting and asyncio.get_running_loop().time() > deadline:
            names = ", ".join(f"{plural}.{group}/{version}" for group, version, plural in waiting)
            raise LabError(f"{api.server} does not serve {names} {_DEADLINE_S:.0f} s after their definition")
        if waiting:
            await asyncio.sleep(_POLL_S)


def _resources(made: Sequence[Object]) -> list[tuple[str, str, str]]:
    """(group, version, plural) of everything the definitions serve."""
    return [(d["spec"]["group"], v["name"], d["spec"]["names"]["plural"]) for d in made for v in d["spec"]["versions"]]


async def _create(api: KubeApi, definition: Object) -> None:
    try:
        await api.create(_CRDS, definition)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


async def _is_served(api: KubeApi, group: str, version: str, plural: str) -> bool:
    try:
        await api.list(f"/apis/{group}/{version}/{plural}")
    except ApiError as error:
        if error.status in (404, 503):
            return False
        raise
    return True

"""CustomResourceDefinitions of Submariner's kinds, for API servers that do not have them built in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.errors import LabError
from pytest_submariner.lab.api.builtin import submariner_kinds
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.apierrors import ApiError
from pytest_submariner.lab.submariner.readiness import wait_for

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_DEADLINE_S: Final = 20.0
log = logging.getLogger(__name__)
_POLL_S: Final = 0.1
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

    Nothing is created where all are served already: the embedded API server has them built in.
    """
    if not await _missing(api, made):
        return
    await asyncio.gather(*(_create(api, definition) for definition in made))
    names = {definition["metadata"]["name"] for definition in made}
    await wait_for(api, _CRDS, lambda stored: _not_established(names, stored), _DEADLINE_S)
    deadline = asyncio.get_running_loop().time() + _DEADLINE_S
    while missing := await _missing(api, made):
        if asyncio.get_running_loop().time() > deadline:
            raise LabError(
                f"{api.server} does not serve {', '.join(missing)} {_DEADLINE_S:.0f} s after their definition"
            )
        await asyncio.sleep(_POLL_S)


async def install_early(api: KubeApi, made: Sequence[Object]) -> None:
    """The same on a server that is still getting ready, and may refuse. Worth a try: a genuine one holds up the first objects of
    kinds younger than two seconds (apiextensions-apiserver:pkg/apiserver/customresource_handler.go)."""
    try:
        await install(api, made)
    except LabError as error:
        log.info("kinds too early: %s", error)


def _not_established(names: set[str], stored: Sequence[Object]) -> str:
    complaints = (f"{name} ({_complaint(item)})" for item in stored if (name := item["metadata"]["name"]) in names)
    return ", ".join(sorted(complaint for complaint in complaints if not complaint.endswith("()")))


def _complaint(definition: Object) -> str:
    """Why a definition is not served yet; "" when it is established."""
    conditions = {item["type"]: item for item in (definition.get("status") or {}).get("conditions") or ()}
    if conditions.get("Established", {}).get("status") == "True":
        return ""
    refused = conditions.get("NamesAccepted", {})
    return str(refused.get("message") or "not established") if refused.get("status") == "False" else "not established"


async def _create(api: KubeApi, definition: Object) -> None:
    try:
        await api.create(_CRDS, definition)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


async def _missing(api: KubeApi, made: Sequence[Object]) -> list[str]:
    """`endpoints.submariner.io/v1` and so on, of what is defined and not served. Asked of discovery: a list would make a genuine
    server set up the storage of each kind, which costs more than all else here."""
    resources = [
        (d["spec"]["group"], v["name"], d["spec"]["names"]["plural"]) for d in made for v in d["spec"]["versions"]
    ]
    groups = sorted({(group, version) for group, version, _ in resources})
    answers = await asyncio.gather(*(api.get(f"/apis/{group}/{version}") for group, version in groups))
    served = {
        (*group, resource["name"])
        for group, answer in zip(groups, answers, strict=True)
        for resource in (answer or {}).get("resources", ())
    }
    return [
        f"{plural}.{group}/{version}" for group, version, plural in resources if (group, version, plural) not in served
    ]

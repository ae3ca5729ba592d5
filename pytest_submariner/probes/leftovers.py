"""What earlier runs left behind in a cluster: found by the owner's label, removed when its lifetime is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_submariner.kube.ownership import EXPIRES_ANNOTATION, OWNER, OWNER_LABEL

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient


def remove_expired(kube: KubeClient, now: float) -> list[str]:
    """Remove the namespaces of dead runs; `now` in seconds since 1970. Names of those removed.

    A namespace of ours without a readable lifetime was made by another version: it is left to `--submariner-cleanup`.
    """
    return _remove(kube, [namespace for namespace in _ours(kube) if _expires(namespace) <= now])


def _ours(kube: KubeClient) -> list[dict[str, Any]]:
    return kube.list("namespaces", labels=f"{OWNER_LABEL}={OWNER}")


def _expires(namespace: dict[str, Any]) -> float:
    try:
        return float((namespace["metadata"].get("annotations") or {})[EXPIRES_ANNOTATION])
    except (KeyError, ValueError):
        return float("inf")


def _remove(kube: KubeClient, namespaces: list[dict[str, Any]]) -> list[str]:
    names = [str(n["metadata"]["name"]) for n in namespaces if "deletionTimestamp" not in n["metadata"]]
    for name in names:
        kube.delete("namespaces", name)
    return names

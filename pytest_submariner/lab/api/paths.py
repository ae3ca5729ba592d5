"""URL paths of the Kubernetes API to the kind, object and subresource they name."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_submariner.lab.api.kinds import Kind, KindRegistry
from pytest_submariner.lab.api.status import PageNotFound, StatusError

_NAMESPACE_SUBRESOURCES = {"status", "finalize"}


@dataclass(frozen=True)
class Target:
    """What a request is about: a collection (no name), an object, or a part of one."""

    kind: Kind
    namespace: str | None
    """None for cluster-scoped kinds, and for a namespaced collection of all namespaces."""
    name: str = ""
    subresource: str = ""
    watch: bool = False
    """The deprecated `/watch/` prefix."""


def resolve(kinds: KindRegistry, path: str) -> Target:
    """PageNotFound for an unknown group, version or shape; StatusError 404 for an unknown resource of a known group."""
    root, *parts = path.strip("/").split("/")
    if root == "api" and len(parts) >= 2:
        group, version, rest = "", parts[0], parts[1:]
    elif root == "apis" and len(parts) >= 3:
        group, version, rest = parts[0], parts[1], parts[2:]
    else:
        raise PageNotFound
    if not kinds.serves(group, version):
        raise PageNotFound
    watch = rest[0] == "watch" and len(rest) > 1
    return _target(kinds, group, version, rest[1:] if watch else rest, watch)


def _target(kinds: KindRegistry, group: str, version: str, rest: list[str], watch: bool) -> Target:
    namespace: str | None = None
    if (
        rest[0] == "namespaces"
        and len(rest) > 2
        and not (group == "" and len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES)
    ):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.find(group, version, rest[0])
    name, subresource = (rest[1] if len(rest) > 1 else ""), "/".join(rest[2:])
    if (
        kind is None
        or (namespace is not None and not kind.namespaced)
        or (kind.namespaced and namespace is None and name)
    ):
        raise not_served()
    if subresource and not any(s.name == subresource for s in kind.all_subresources):
        raise not_served()
    if not name and len(rest) > 1:
        raise not_served()
    return Target(kind, namespace, name, subresource, watch)


def not_served() -> StatusError:
    """The 404 of a path inside a group that the server has."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})

"""As much OpenAPI as kubectl needs to leave validation to the server."""

from __future__ import annotations

import hashlib
from typing import Any

from pytest_submariner.lab.api.kinds import KindRegistry
from pytest_submariner.lab.api.status import Object, PageNotFound
from pytest_submariner.lab.api.store import encode

_PATCH_QUERY = ("dryRun", "fieldManager", "fieldValidation", "force")
_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


def index(kinds: KindRegistry) -> Object:
    """`/openapi/v3`: one document per group version, its hash in the URL so that clients may keep it."""
    paths = {}
    for group, versions in kinds.group_versions().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(encode(document(kinds, path)).encode()).hexdigest()[:32].upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def document(kinds: KindRegistry, path: str) -> Object:
    """`/openapi/v3/…`: per kind the parameters of PATCH, which is how kubectl learns that the server validates."""
    root, *rest = path.split("/")
    group, version = (
        ("", rest[0]) if root == "api" and len(rest) == 1 else (rest[0], rest[-1]) if len(rest) == 2 else ("", "")
    )
    found = kinds.in_version(group, version)
    if not found:
        raise PageNotFound
    paths, schemas = {}, {}
    for kind in found:
        gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        middle = "namespaces/{namespace}/" if kind.namespaced else ""
        paths[f"/{path}/{middle}{kind.plural}/{{name}}"] = _path(gvk)
        schemas[f"{kind.group or 'core'}.{kind.version}.{kind.kind}"] = {
            "type": "object",
            "x-kubernetes-group-version-kind": [gvk],
        }
    info = {"title": "Kubernetes", "version": "v1"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _path(gvk: Object) -> Object:
    parameters: list[Any] = [
        {
            "name": name,
            "in": "query",
            "schema": {"type": "boolean" if name == "force" else "string", "uniqueItems": True},
        }
        for name in _PATCH_QUERY
    ]
    answer = {"200": {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}}
    return {
        "patch": {
            "parameters": parameters,
            "responses": answer,
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": gvk,
        }
    }


def version_2(accept: str) -> tuple[bytes, str]:
    """`/openapi/v2` and its content type, without definitions: kubectl validates a List by it, and skips kinds it does not find."""
    if "protobuf" not in accept:
        info = {"title": "Kubernetes", "version": "unversioned"}
        empty: Object = {"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}
        return encode(empty).encode(), "application/json"
    title = b"\x0a\x0aKubernetes\x12\x0bunversioned"
    body = b"\x0a\x032.0\x12" + bytes([len(title)]) + title  # Document{1: swagger, 2: Info{1: title, 2: version}}
    return body, _V2_PROTOBUF

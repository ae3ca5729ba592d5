"""Which shape of answer a client accepts, and how its request bodies read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from pytest_submariner.lab.api import protobuf
from pytest_submariner.lab.api.patch import APPLY_PATCH
from pytest_submariner.lab.api.status import Object, bad_request, not_acceptable, unsupported_media

JSON = "application/json"
YAML = "application/yaml"
_BODY_TYPES = (JSON, YAML, protobuf.MEDIA_TYPE)


class Shape(Enum):
    """What objects are turned into on their way out."""

    OBJECT = "object"
    TABLE = "table"
    PARTIAL = "partial"


@lru_cache(maxsize=256)
def accepted_shape(accept: str) -> Shape:
    """The first clause of the Accept header this server can satisfy; StatusError 406 when there is none."""
    if not accept:
        return Shape.OBJECT
    for clause in accept.split(","):
        media_type, *rest = (part.strip() for part in clause.split(";"))
        parameters = dict(part.partition("=")[::2] for part in rest)
        if media_type not in {JSON, "*/*", "application/*"}:
            continue
        wanted = parameters.get("as")
        if wanted is None:
            return Shape.OBJECT
        if parameters.get("g") == "meta.k8s.io" and parameters.get("v") in {"v1", "v1beta1"}:
            if wanted == "Table":
                return Shape.TABLE
            if wanted.startswith("PartialObjectMetadata"):
                return Shape.PARTIAL
    raise not_acceptable()


@lru_cache(maxsize=256)
def discovery_version(accept: str) -> str | None:
    """`v2` or `v2beta1` when the client wants aggregated discovery, None for the legacy documents."""
    for clause in accept.split(","):
        parameters = dict(part.strip().partition("=")[::2] for part in clause.split(";")[1:])
        if parameters.get("as") == "APIGroupDiscoveryList" and parameters.get("v") in {"v2", "v2beta1"}:
            return parameters["v"]
        if not parameters.get("as") and clause.split(";")[0].strip() in {JSON, "*/*"}:
            return None
    return None


def media_type(headers: Mapping[str, str]) -> str:
    """The Content-Type without parameters; a body without one is JSON (the Python client sends none)."""
    return headers.get("Content-Type", JSON).split(";")[0].strip().lower() or JSON


def parse(content_type: str, body: bytes) -> Any:
    """A request body as data. StatusError 400 for what cannot be read, 415 for an unknown type."""
    if content_type == protobuf.MEDIA_TYPE:
        try:
            return protobuf.decode(body)
        except protobuf.BadProtobuf as why:
            raise bad_request(f"the object provided is unrecognized: {why}") from why
    if content_type in {YAML, APPLY_PATCH}:
        return _yaml(body)
    if not content_type.endswith("json"):
        raise unsupported_media(_BODY_TYPES)
    try:
        return json.loads(body)
    except ValueError as why:
        raise bad_request(
            f"the object provided is unrecognized: couldn't get version/kind; json parse error: {why}"
        ) from why


def parse_object(content_type: str, body: bytes) -> Object:
    """As `parse`, and it must be an object."""
    found = parse(content_type, body)
    if not isinstance(found, dict):
        raise bad_request(
            "the object provided is unrecognized: couldn't get version/kind; json parse error: not an object"
        )
    return found


def _yaml(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        pass
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(body, Loader=loader)
    except yaml.YAMLError as why:
        raise bad_request(f"error decoding YAML: {' '.join(str(why).split())}") from why

"""Objects as the Table `kubectl get` asks for: columns of built-in kinds, printer columns of custom ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from pytest_submariner.lab.api.columns import BUILTIN
from pytest_submariner.lab.api.humane import age
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.store import Stored

_MARKS = {"*": ("string", 1), "#": ("integer", 0), "@": ("date", 0)}
_STEP = re.compile(r"\.?(?:([\w-]+)|\['([^']+)'\]|\[(\d+|\*)\]|\[\?\(@\.([\w.]+)\s*==\s*[\"']([^\"']*)[\"']\)\])")


@lru_cache
def column_definitions(kind: Kind) -> list[Object]:
    """The head of the table."""
    if kind.qualified in BUILTIN and not kind.custom:
        return [_definition(text) for text in BUILTIN[kind.qualified][0].split("|")]
    definitions = [_definition("Name")]
    for column in kind.columns or ():
        definition = _definition(column.name)
        definition.update(type=column.type, priority=column.priority)
        definition["description"] = column.description or definition["description"]
        definitions.append(definition)
    if kind.custom:
        return definitions
    return [*definitions, {**_definition("Created At"), "type": "date"}]


def _definition(text: str) -> Object:
    kind, priority = _MARKS.get(text[-1], ("string", 0))
    name = text.rstrip("*#@")
    return {
        "name": name,
        "type": kind,
        "format": "name" if name == "Name" else "",
        "description": name,
        "priority": priority,
    }


def table(kind: Kind, found: Iterable[Stored], meta: Object, include: str, *, head: bool = True) -> Object:
    """A Table of one row per object; `include` is None, Metadata or Object: what each row carries along."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": column_definitions(kind) if head else None,
        "rows": [_row(kind, stored.data, include) for stored in found],
    }


def partial(obj: Object) -> Object:
    """The object's metadata alone, as metadata clients and table rows have it."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _row(kind: Kind, obj: Object, include: str) -> Object:
    row: Object = {"cells": _cells(kind, obj)}
    if include != "None":
        row["object"] = obj if include == "Object" else partial(obj)
    return row


def _cells(kind: Kind, obj: Object) -> list[Any]:
    if kind.qualified in BUILTIN and not kind.custom:
        return BUILTIN[kind.qualified][1](obj)
    name = obj["metadata"]["name"]
    if not kind.custom:
        return [name, obj["metadata"].get("creationTimestamp")]
    return [name, *(_custom_cell(obj, c.path, c.type) for c in kind.columns)]


def _custom_cell(obj: Object, path: str, kind: str) -> Any:
    """The first value the path finds; dates as an age, None when there is nothing."""
    values = _walk([obj], path)
    if not values or values[0] is None:
        return None
    value = values[0]
    if kind == "date":
        return age(str(value))
    if kind == "string" and not isinstance(value, str):
        from pytest_submariner.lab.api.store import encode

        return encode(value)
    return value


def _walk(values: list[Any], path: str) -> list[Any]:
    """The JSONPath subset CRDs use: fields, indexes, `[*]` and `[?(@.a=="b")]`."""
    for field, quoted, index, where, wanted in _STEP.findall(path):
        name = field or quoted
        if name:
            values = [v[name] for v in values if isinstance(v, dict) and name in v]
        elif where:
            values = [e for v in values if isinstance(v, list) for e in v if _walk([e], f".{where}") == [wanted]]
        elif index == "*":
            values = [e for v in values if isinstance(v, list) for e in v]
        else:
            values = [v[int(index)] for v in values if isinstance(v, list) and len(v) > int(index)]
    return values

"""Strategic merge patch: JSON merge patch that knows which lists are maps (apimachinery:pkg/util/strategicpatch)."""

from __future__ import annotations

from typing import Any

from pytest_submariner.lab.api.schema import Field, Type, type_named
from pytest_submariner.lab.api.status import Object, bad_request

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"


def strategic_merge(target: Object, patch: Object, kind: Type | None) -> Object:
    """`target` with `patch` merged in, as a new object; fields of unknown type merge like JSON merge patch."""
    directive = patch.get(_DIRECTIVE)
    for key, value in patch.items():
        if (key == _RETAIN or key.startswith((_ORDER, _DELETE_PRIMITIVES))) and not isinstance(value, list):
            raise bad_request(f"{key}: a list is expected")
    if directive == "replace":
        return {k: v for k, v in patch.items() if k != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unable to process $patch directive: {directive}")
    result = dict(target)
    if (retain := patch.get(_RETAIN)) is not None:
        result = {k: v for k, v in result.items() if k in retain}
    fields = kind.by_name if kind else {}
    for key, value in patch.items():
        if key.startswith(_DELETE_PRIMITIVES):
            name = key.removeprefix(_DELETE_PRIMITIVES)
            result[name] = [v for v in result.get(name) or [] if v not in value]
        elif key in {_DIRECTIVE, _RETAIN} or key.startswith(_ORDER):
            continue
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_field(result.get(key), value, fields.get(key), patch.get(_ORDER + key))
    for key, order in patch.items():
        name = key.removeprefix(_ORDER)
        if name != key and name not in patch and isinstance(result.get(name), list):
            result[name] = _ordered(result[name], order, result[name], _key(fields.get(name)))
    return result


def _merge_field(old: Any, new: Any, field: Field | None, order: list[Any] | None) -> Any:
    inner = type_named(field.type) if field and field.message else None
    if isinstance(new, dict):
        return strategic_merge(old if isinstance(old, dict) else {}, new, None if field and field.map else inner)
    if not isinstance(new, list):
        return new
    if not field or "merge" not in field.strategy.split(","):
        return [v for v in new if not (isinstance(v, dict) and _DIRECTIVE in v)]
    have = old if isinstance(old, list) else []
    if field.merge_key:
        merged = _merge_maps(have, new, field.merge_key, inner)
    else:
        merged = have + [v for i, v in enumerate(new) if v not in have and v not in new[:i]]
    return _ordered(merged, new if order is None else order, have, field.merge_key)


def _merge_maps(old: list[Any], new: list[Any], key: str, inner: Type | None) -> list[Any]:
    """Elements are the same when their merge key is; new ones go to the end."""
    if any(isinstance(v, dict) and v.get(_DIRECTIVE) == "replace" for v in new):
        return [v for v in new if v.get(_DIRECTIVE) != "replace"]
    result = list(old)
    for element in new:
        if not isinstance(element, dict) or key not in element:
            raise bad_request(f"map: {element} does not contain declared merge key: {key}")
        at = next((i for i, have in enumerate(result) if have.get(key) == element[key]), None)
        if element.get(_DIRECTIVE) == "delete":
            result = [have for have in result if have.get(key) != element[key]]
        elif at is None:
            result.append(strategic_merge({}, element, inner))
        else:
            result[at] = strategic_merge(result[at], element, inner)
    return result


def _key(field: Field | None) -> str:
    return field.merge_key if field else ""


def _ordered(merged: list[Any], order: list[Any], before: list[Any], key: str) -> list[Any]:
    """Elements the patch names, in its order, woven into the others, in theirs.

    Where an element of each kind could come next, the one that was first before comes first; one that was not there goes first.
    """

    def identity(value: Any) -> Any:
        return value.get(key) if key and isinstance(value, dict) else value

    named = [identity(v) for v in order]
    was = [identity(v) for v in before]
    left = sorted((v for v in merged if identity(v) in named), key=lambda v: named.index(identity(v)))
    right = [v for v in merged if identity(v) not in named]
    result = []
    while left and right:
        both = identity(left[0]) in was and identity(right[0]) in was
        behind = both and was.index(identity(right[0])) < was.index(identity(left[0]))
        result.append((right if behind else left).pop(0))
    return result + left + right

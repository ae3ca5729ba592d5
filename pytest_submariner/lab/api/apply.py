"""Server-side apply: what a manager applied before and leaves out now goes away, what it applies now is its own.

An approximation of apimachinery's structured-merge-diff: ownership is kept per manager in `managedFields` as genuine servers write it,
but only for managers that apply; plain updates and patches own nothing, so they never conflict with an apply.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pytest_submariner.lab.api import status
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.schema import Field, Type, type_named
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.store import encode

Path = tuple[str, ...]
"""Steps as fieldsV1 spells them: `f:spec`, `k:{"name":"c"}`, `v:"x"`."""

_IDENTITY = {("f:metadata", "f:name"), ("f:metadata", "f:namespace"), ("f:kind",), ("f:apiVersion",)}


def applied(
    kind: Kind,
    known: Type | None,
    current: Object | None,
    wanted: Object,
    manager: str,
    *,
    force: bool,
    subresource: str = "",
) -> Object:
    """`current` (a private copy; None when there is no object) with `wanted` applied. StatusError 409 when another manager applied a
    different value to a field and `force` is not set."""
    fields = {p: v for p, v in _leaves(wanted, known, ()) if p not in _IDENTITY}
    entries = (current or {}).get("metadata", {}).get("managedFields") or []
    mine = [e for e in entries if _owner(e) == (manager, subresource)]
    others = [e for e in entries if e not in mine]
    if current is None:
        result = wanted
    else:
        _check_conflicts(kind, current, known, fields, others, force=force)
        before = {p for e in mine for p in _paths(e.get("fieldsV1") or {}, ())}
        kept = {p for e in others for p in _paths(e.get("fieldsV1") or {}, ())}
        result = current
        for path in sorted(before - set(fields) - kept, key=len):
            _remove(result, path, known)
        result = _merged(result, {k: v for k, v in wanted.items() if k not in {"kind", "apiVersion"}}, known)
    if force:
        others = [e for e in (_without(e, set(fields)) for e in others) if e["fieldsV1"]]
    entry: Object = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": kind.api_version,
        "time": _time(mine, fields),
        "fieldsType": "FieldsV1",
        "fieldsV1": _tree(fields),
    }
    if subresource:
        entry["subresource"] = subresource
    return {**result, "metadata": {**result["metadata"], "managedFields": [*others, entry]}}


def _owner(entry: Object) -> tuple[str, str]:
    return (entry.get("manager", ""), entry.get("subresource", "")) if entry.get("operation") == "Apply" else ("", "")


def _time(mine: list[Object], fields: dict[Path, Any]) -> str:
    """An apply that changes nothing keeps its time, so that it stays a no-op."""
    from pytest_submariner.lab.api.resources import now

    if mine and mine[0].get("fieldsV1") == _tree(fields):
        return str(mine[0].get("time") or now())
    return now()


def _leaves(value: Any, known: Type | None, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every field set, list elements by their keys; lists without keys are one field."""
    for name, inner in value.items():
        field = known.by_name.get(name) if known else None
        here = (*path, f"f:{name}")
        yield from _field_leaves(inner, field, here, untyped=known is None)


def _field_leaves(inner: Any, field: Field | None, here: Path, *, untyped: bool) -> Iterator[tuple[Path, Any]]:
    message = type_named(field.type) if field and field.message else None
    if isinstance(inner, list) and field and field.map_keys and message:
        for element in inner:
            step = (*here, _key_step(element, field))
            yield step, None
            yield from _leaves(element, message, step)
    elif isinstance(inner, dict) and inner and (message or untyped or (field and field.map) or field is None):
        yield from _leaves(inner, None if field is None or field.map else message, here)
    else:
        yield here, inner


def _key_step(element: Object, field: Field) -> str:
    defaults = {"protocol": "TCP"}
    return "k:" + encode({k: element.get(k, defaults.get(k)) for k in sorted(field.map_keys)})


def _tree(fields: dict[Path, Any]) -> Object:
    """Paths to fieldsV1; a list element that is owned itself carries `.`."""
    root: Object = {}
    for path, value in fields.items():
        node = root
        for step in path:
            node = node.setdefault(step, {})
        if value is None and path[-1].startswith("k:"):
            node["."] = {}
    return root


def _paths(tree: Object, path: Path) -> Iterator[Path]:
    """fieldsV1 back to paths."""
    for step, inner in tree.items():
        if step == ".":
            continue
        here = (*path, step)
        if not inner or "." in inner:
            yield here
        yield from _paths(inner, here)


def _without(entry: Object, taken: set[Path]) -> Object:
    left = {p: None for p in _paths(entry.get("fieldsV1") or {}, ()) if p not in taken}
    return {**entry, "fieldsV1": _tree(left)}


def _find(value: Any, path: Path, known: Type | None) -> tuple[Any, Any, Any]:
    """(container, key, value) of a path in an object; key is None when it is not there."""
    container: Any = None
    key: Any = None
    for step in path:
        if step.startswith("f:"):
            if not isinstance(value, dict) or step[2:] not in value:
                return None, None, None
            container, key = value, step[2:]
        else:
            wanted = json.loads(step[2:])
            defaults = {"protocol": "TCP"}
            at = next(
                (
                    i
                    for i, e in enumerate(value if isinstance(value, list) else ())
                    if isinstance(e, dict) and all(e.get(k, defaults.get(k)) == v for k, v in wanted.items())
                ),
                None,
            )
            if at is None:
                return None, None, None
            container, key = value, at
        value = container[key]
    return container, key, value


def _remove(obj: Object, path: Path, known: Type | None) -> None:
    """Takes a field out, and the objects that become empty by it."""
    container, key, value = _find(obj, path, known)
    if key is None or (isinstance(value, dict) and value and not path[-1].startswith("k:")):
        return
    del container[key]
    if len(path) > 2 and not container:
        _remove_empty(obj, path[:-1], known)


def _remove_empty(obj: Object, path: Path, known: Type | None) -> None:
    container, key, value = _find(obj, path, known)
    if key is not None and not value and len(path) > 1:
        del container[key]
        if not container:
            _remove_empty(obj, path[:-1], known)


def _merged(target: Any, wanted: Any, known: Type | None) -> Any:
    """Objects merge, lists with keys merge by them, everything else is replaced."""
    result = dict(target) if isinstance(target, dict) else {}
    for name, inner in wanted.items():
        field = known.by_name.get(name) if known else None
        message = type_named(field.type) if field and field.message else None
        if isinstance(inner, dict):
            result[name] = _merged(result.get(name) or {}, inner, None if field is None or field.map else message)
        elif isinstance(inner, list) and field and field.map_keys and message:
            have = list(result.get(name) or ())
            for element in inner:
                step = _key_step(element, field)
                at = next((i for i, e in enumerate(have) if _key_step(e, field) == step), None)
                if at is None:
                    have.append(element)
                else:
                    have[at] = _merged(have[at], element, message)
            result[name] = have
        else:
            result[name] = inner
    return result


def _check_conflicts(
    kind: Kind,
    current: Object,
    known: Type | None,
    fields: dict[Path, Any],
    others: list[Object],
    *,
    force: bool,
) -> None:
    if force:
        return
    causes = []
    for entry in others:
        if entry.get("operation") != "Apply":
            continue
        for path in _paths(entry.get("fieldsV1") or {}, ()):
            if path in fields and not path[-1].startswith("k:") and _find(current, path, known)[2] != fields[path]:
                shown = "".join(f".{s[2:]}" if s.startswith("f:") else f"[{_shown_key(s)}]" for s in path)
                causes.append((entry["manager"], shown))
    if not causes:
        return
    details = [{"reason": "FieldManagerConflict", "message": f'conflict with "{m}"', "field": f} for m, f in causes]
    manager, where = causes[0]
    count = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    text = f'Apply failed with {count}: conflict with "{manager}": {where}'
    if len(causes) > 1:
        by_manager: dict[str, list[str]] = {}
        for owner, shown in causes:
            by_manager.setdefault(owner, []).append(shown)
        listed = "\n".join(
            f'conflicts with "{m}":\n' + "\n".join(f"- {w}" for w in where) for m, where in by_manager.items()
        )
        text = f"Apply failed with {count}: {listed}"
    raise status.StatusError(409, "Conflict", text, {"causes": details})


def _shown_key(step: str) -> str:
    return ",".join(f"{k}={encode(v)}" for k, v in json.loads(step[2:]).items())

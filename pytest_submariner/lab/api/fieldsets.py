"""Which fields an object sets, as paths, and the fieldsV1 trees of `managedFields` (structured-merge-diff's notation)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pytest_submariner.lab.api.schema import Field, Type, type_named
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.store import encode

Path = tuple[str, ...]
"""Steps as fieldsV1 spells them: `f:spec`, `k:{"name":"c"}`."""

_KEY_DEFAULTS = {"protocol": "TCP"}


def leaves(value: Object, known: Type | None, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field set with its value; list elements by their keys (with value None), lists without keys as one field."""
    for name, inner in value.items():
        field = known.by_name.get(name) if known else None
        here = (*path, f"f:{name}")
        message = element_type(field)
        if field and message and has_keys(field) and isinstance(inner, list):
            for element in inner:
                step = (*here, key_step(element, field))
                yield step, None
                yield from leaves(element, message, step)
        elif isinstance(inner, dict) and inner:
            yield from leaves(inner, None if field is None or field.map else message, here)
        else:
            yield here, inner


def has_keys(field: Field | None) -> bool:
    """A list whose elements are told apart by some of their fields."""
    return field is not None and field.repeated and bool(field.map_keys)


def element_type(field: Field | None) -> Type | None:
    """The type of a message field or of its elements."""
    return type_named(field.type) if field and field.message else None


def key_step(element: Object, field: Field) -> str:
    return "k:" + encode({k: element.get(k, _KEY_DEFAULTS.get(k)) for k in sorted(field.map_keys)})


def tree(fields: Iterable[Path]) -> Object:
    """Paths to fieldsV1; a list element that is owned itself carries `.`."""
    root: Object = {}
    for path in fields:
        node = root
        for step in path:
            node = node.setdefault(step, {})
        if path[-1].startswith("k:"):
            node["."] = {}
    return root


def paths(found: Object, path: Path = ()) -> Iterator[Path]:
    """fieldsV1 back to paths."""
    for step, inner in found.items():
        if step == ".":
            continue
        here = (*path, step)
        if not inner or "." in inner:
            yield here
        yield from paths(inner, here)


def place(value: Any, path: Path) -> tuple[Any, Any]:
    """The container of a path's last step and the key or index in it; the key is None when it is not there."""
    container: Any = None
    key: Any = None
    for step in path:
        if key is not None:
            value = container[key]
        container, key = value, _key_in(value, step)
        if key is None:
            return None, None
    return container, key


def _key_in(value: Any, step: str) -> str | int | None:
    if step.startswith("f:"):
        return step[2:] if isinstance(value, dict) and step[2:] in value else None
    wanted = json.loads(step[2:])
    for i, element in enumerate(value if isinstance(value, list) else ()):
        if isinstance(element, dict) and all(element.get(k, _KEY_DEFAULTS.get(k)) == v for k, v in wanted.items()):
            return i
    return None


def remove(obj: Object, path: Path) -> None:
    """Takes a field out unless other fields are left in it, and the objects that become empty by it."""
    container, key = place(obj, path)
    if key is None or (isinstance(container[key], dict) and container[key] and not path[-1].startswith("k:")):
        return
    del container[key]
    if len(path) > 1 and not container:
        remove(obj, path[:-1])


def shown(path: Path) -> str:
    """`.spec.containers[name="c"].image`, as conflicts name it."""
    return "".join(f".{s[2:]}" if s.startswith("f:") else f"[{_shown_key(s)}]" for s in path)


def _shown_key(step: str) -> str:
    return ",".join(f"{k}={encode(v)}" for k, v in json.loads(step[2:]).items())

"""The types of the built-in kinds: what protobuf bodies, strategic merge and strict validation need to know of them.

`schema.json` (made by `make_schema.py`) maps a type to its fields by protobuf number: ``[JSON name, type, zero, merge key, patch
strategy, list map keys]``, the tail left off when empty. Zero: 0 it is the same as absent, 1 it is a value of its own, 2 it is also there
when nothing was set. Types: ``s`` string, ``i`` integer, ``b`` boolean, ``y`` bytes, ``T`` Time,
``U`` MicroTime, ``Q`` Quantity, ``I`` IntOrString, ``F`` FieldsV1, ``R`` any JSON; else a type's name; ``[]`` before it a list, ``{}``
a map. A field without a JSON name is inline: its fields belong to the parent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files


@dataclass(frozen=True)
class Field:
    """One field of a type; `type` is without the list or map mark."""

    name: str
    type: str
    repeated: bool = False
    map: bool = False
    keep_zero: bool = False
    """A pointer, or without omitempty: zero on the wire means zero, not absent."""
    always: bool = False
    """Without omitempty and not a pointer: Go writes it even when nothing was set."""
    merge_key: str = ""
    strategy: str = ""
    """`merge`, `merge,retainKeys`, `retainKeys` or empty: lists are replaced."""
    map_keys: tuple[str, ...] = ()
    """What tells one element from another under server-side apply."""

    @property
    def message(self) -> bool:
        """The type has fields of its own."""
        return len(self.type) > 1


@dataclass(frozen=True)
class Type:
    """A message type."""

    name: str
    by_number: dict[int, Field]

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields as JSON has them: inline ones lifted."""
        found: dict[str, Field] = {}
        for field in self.by_number.values():
            found.update({field.name: field} if field.name else type_named(field.type).by_name)
        return found


@cache
def _document() -> dict[str, dict[str, dict[str, list[object]]]]:
    document: dict[str, dict[str, dict[str, list[object]]]] = json.loads(
        files(__package__).joinpath("schema.json").read_text()
    )
    return document


@cache
def type_named(name: str) -> Type:
    """KeyError for a name the file does not have."""
    return Type(name, {int(n): _field(*entry) for n, entry in _document()["types"][name].items()})


def kind_type(api_version: str, kind: str) -> Type | None:
    """The type of a built-in kind, None for custom ones."""
    name = _document()["kinds"].get(f"{api_version}/{kind}")
    return type_named(str(name)) if name else None


def _field(
    name: object,
    kind: object,
    zero: object = 0,
    merge_key: object = "",
    strategy: object = "",
    map_keys: object = (),
) -> Field:
    text = str(kind)
    plain = text.removeprefix("[]").removeprefix("{}")
    keys = tuple(map(str, map_keys)) if isinstance(map_keys, list) else ()
    return Field(
        str(name),
        plain,
        repeated=text.startswith("[]"),
        map=text.startswith("{}"),
        keep_zero=bool(zero),
        always=zero == 2,
        merge_key=str(merge_key),
        strategy=str(strategy),
        map_keys=keys,
    )

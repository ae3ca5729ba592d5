"""Dataclasses to data that JSON can hold and back, by their type hints: what a sysdump keeps is diagnosed later.

Sets become sorted lists, tuples lists, mappings with other keys than text lists of pairs.
"""

from __future__ import annotations

import types
import typing
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def to_data(value: object) -> Any:
    """A dataclass with all its fields, and whatever it holds, as dicts, lists, text, numbers, booleans and None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_data(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: to_data(item) for key, item in value.items()}
        return [[to_data(key), to_data(item)] for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return sorted(to_data(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    return value


def from_data(kind: type[T], data: object) -> T:
    """The `kind` (a dataclass) that `data` describes. Absent fields take their defaults, unknown ones are left out: the
    data may be of another version.

    ValueError names the place where data and type disagree.
    """
    return typing.cast(T, _build(kind, data, kind.__name__))


def _build(hint: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if data is None else _build(inner, data, where)
    if is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, data, where)
    if origin is dict:
        key, item = arguments
        if key is str:
            return {name: _build(item, value, f"{where}.{name}") for name, value in _of(dict, data, where).items()}
        pairs = [] if data == {} else _of(list, data, where)  # written where no key says what kind it would be
        return dict(
            _items(arguments, _of(list, pair, f"{where}[{at}]"), f"{where}[{at}]") for at, pair in enumerate(pairs)
        )
    if origin in (tuple, frozenset):
        return origin(_items(arguments, _of(list, data, where), where))
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    return _of(hint, data, where)


def _items(arguments: tuple[Any, ...], data: list[Any], where: str) -> list[Any]:
    hints = arguments if len(arguments) > 1 and arguments[-1] is not Ellipsis else arguments[:1] * len(data)
    if len(hints) != len(data):
        raise ValueError(f"{where} has {len(data)} parts, not {len(hints)}")
    return [_build(hint, item, f"{where}[{at}]") for at, (hint, item) in enumerate(zip(hints, data, strict=True))]


def _dataclass(kind: Any, data: object, where: str) -> Any:
    given = _of(dict, data, where)
    hints = _hints(kind)
    known = {f.name: _build(hints[f.name], given[f.name], f"{where}.{f.name}") for f in fields(kind) if f.name in given}
    try:
        return kind(**known)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _of(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise ValueError(f"{where} is {type(data).__name__}, not {kind.__name__}")
    return data

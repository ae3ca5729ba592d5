"""Bodies of built-in kinds fitted to their types: unknown fields found, zero values dropped, wrong types refused.

A genuine server decodes into Go structs and encodes them again; this gives the same JSON without the structs. So what comes later
(defaults, validation) may rely on the shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.schema import Field, Type, kind_type, type_named
from pytest_submariner.lab.api.status import Object, bad_request

_ZERO: dict[str, object] = {"s": "", "i": 0, "b": False}
_GO = {"s": "string", "b": "bool", "i": "int64", "y": "[]uint8", "T": "string", "U": "string"}


@dataclass
class Fitted:
    """An object in its type's shape, and the fields the type does not have (`spec.containers[0].imgae`)."""

    object: Object = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def fit(kind: Kind, body: Object) -> Fitted:
    """A new object of the same content; StatusError 400 when a field has another type. Of custom kinds only metadata is looked at."""
    fitted = Fitted()
    meta = type_named("meta.ObjectMeta")
    known = None if kind.custom else kind_type(kind.api_version, kind.kind)
    fitter = _Fitter(kind, fitted.unknown)
    rest = {k: v for k, v in body.items() if k not in {"kind", "apiVersion", "metadata"}}
    fitted.object = {
        "kind": kind.kind,
        "apiVersion": kind.api_version,
        "metadata": fitter.message(body.get("metadata") or {}, meta, "metadata"),
        **(fitter.message(rest, known, "") if known else rest),
    }
    return fitted


@dataclass
class _Fitter:
    kind: Kind
    unknown: list[str]

    def message(self, value: Any, known: Type, path: str) -> Object:
        if not isinstance(value, dict):
            raise self._mismatch(value, path, known.name)
        found: Object = {}
        for name, inner in value.items():
            where = f"{path}.{name}" if path else name
            field_type = known.by_name.get(name)
            if field_type is None:
                self.unknown.append(where)
                continue
            if inner is None:
                continue
            fitted = self._field(inner, field_type, where)
            if (
                field_type.keep_zero
                or fitted not in ("", 0, False, [], {})
                or (isinstance(fitted, dict) and _struct(field_type))
            ):
                found[name] = fitted
        for name, field_type in known.by_name.items():
            if field_type.always and field_type.type in _ZERO:
                found.setdefault(name, _ZERO[field_type.type])
        return found

    def _field(self, value: Any, known: Field, path: str) -> Any:
        if known.map:
            if not isinstance(value, dict):
                raise self._mismatch(value, path, f"map[string]{known.type}")
            return {k: self._one(v, known, f"{path}.{k}") for k, v in value.items()}
        if known.repeated:
            if not isinstance(value, list):
                raise self._mismatch(value, path, f"[]{known.type}")
            return [self._one(v, known, f"{path}[{i}]") for i, v in enumerate(value)]
        return self._one(value, known, path)

    def _one(self, value: Any, known: Field, path: str) -> Any:
        if known.message:
            return self.message(value if value is not None else {}, type_named(known.type), path)
        match known.type:
            case "s" | "y" | "T" | "U":
                fits = isinstance(value, str)
            case "b":
                fits = isinstance(value, bool)
            case "i":
                if isinstance(value, float) and value.is_integer():
                    value = int(value)
                fits = isinstance(value, int) and not isinstance(value, bool)
            case "Q":
                fits = isinstance(value, str | int | float) and not isinstance(value, bool)
                value = str(value)
            case "I":
                fits = isinstance(value, str | int) and not isinstance(value, bool)
            case _:
                fits = True
        if value is None and known.map:
            return ""
        if not fits:
            raise self._mismatch(value, path, _GO.get(known.type, known.type))
        return value

    def _mismatch(self, value: Any, path: str, wanted: str) -> Exception:
        got = {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")
        text = f"json: cannot unmarshal {got} into Go struct field {self.kind.kind}.{path} of type {wanted}"
        group = f'in version "{self.kind.version}" cannot be handled as a {self.kind.kind}'
        return bad_request(f"{self.kind.kind} {group}: {text}")


def fit_as(api_version: str, kind: str, body: Object) -> Object:
    """The body of a subresource (Binding, Eviction, Scale, TokenRequest) or DeleteOptions in its shape; StatusError 400 as with `fit`."""
    known = kind_type(api_version, kind)
    if known is None:
        raise KeyError(f"{api_version}/{kind}")
    shape = Kind(group=api_version.rpartition("/")[0], kind=kind, plural=kind.lower())
    rest = {k: v for k, v in body.items() if k not in {"kind", "apiVersion"}}
    return _Fitter(shape, []).message(rest, known, "")


def _struct(known: Field) -> bool:
    """A struct that is not a pointer is written even when empty, as Go's encoder does."""
    return known.message and not known.repeated and not known.map


def strict_error(kind: Kind, unknown: list[str]) -> Exception:
    """400 of fieldValidation=Strict."""
    listed = ", ".join(f'unknown field "{name}"' for name in unknown)
    text = (
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: strict decoding error: {listed}'
    )
    return bad_request(text)

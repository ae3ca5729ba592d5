"""Server-side apply: what a manager applied before and leaves out now goes away, what it applies now is its own.

An approximation of structured-merge-diff: ownership is kept in `managedFields` as genuine servers write it, but only for managers that
apply; plain updates and patches own nothing, so they never conflict with an apply. Lists of custom kinds have no keys: they are replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_submariner.lab.api.fieldsets import (
    Path,
    element_type,
    has_keys,
    key_step,
    leaves,
    paths,
    place,
    remove,
    shown,
    tree,
)
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.metadata import now
from pytest_submariner.lab.api.schema import Type, kind_type
from pytest_submariner.lab.api.status import Object, StatusError

_IDENTITY: set[Path] = {("f:metadata", "f:name"), ("f:metadata", "f:namespace"), ("f:kind",), ("f:apiVersion",)}


@dataclass(frozen=True)
class Application:
    """One PATCH of media type apply-patch: what a manager wants of an object."""

    kind: Kind
    wanted: Object
    manager: str
    force: bool
    subresource: str = ""

    def new(self) -> Object:
        """The object when there is none yet."""
        return self._recorded(self.wanted, [], None)

    def change(self, current: Object) -> Object:
        """`current` (a private copy) with the wanted fields. StatusError 409 when another manager applied a different value to one of
        them and `force` is not set."""
        known = kind_type(self.kind.api_version, self.kind.kind)
        fields = self._fields()
        entries = current["metadata"].get("managedFields") or []
        mine = next((e for e in entries if self._is_mine(e)), None)
        others = [e for e in entries if e is not mine]
        if self.force:
            others = [e for e in (_without(e, fields) for e in others) if e["fieldsV1"]]
        else:
            self._check_conflicts(current, fields, others)
        kept = {p for e in others for p in paths(e.get("fieldsV1") or {})}
        before = set(paths((mine or {}).get("fieldsV1") or {}))
        for path in sorted(before - fields.keys() - kept, key=len):
            remove(current, path)
        wanted = {k: v for k, v in self.wanted.items() if k not in {"kind", "apiVersion"}}
        return self._recorded(_merged(current, wanted, known), others, mine)

    def _fields(self) -> dict[Path, Any]:
        known = kind_type(self.kind.api_version, self.kind.kind)
        return {p: v for p, v in leaves(self.wanted, known) if p not in _IDENTITY}

    def _is_mine(self, entry: Object) -> bool:
        owner = entry.get("manager"), entry.get("operation"), entry.get("subresource", "")
        return owner == (self.manager, "Apply", self.subresource)

    def _recorded(self, obj: Object, others: list[Object], mine: Object | None) -> Object:
        """With the manager's entry; an apply that changes nothing keeps its time, so that it stays a no-op."""
        owned = tree(self._fields())
        same = mine is not None and mine.get("fieldsV1") == owned
        entry: Object = {
            "manager": self.manager,
            "operation": "Apply",
            "apiVersion": self.kind.api_version,
            "time": mine["time"] if mine and same else now(),
            "fieldsType": "FieldsV1",
            "fieldsV1": owned,
        }
        if self.subresource:
            entry["subresource"] = self.subresource
        return {**obj, "metadata": {**obj["metadata"], "managedFields": [*others, entry]}}

    def _check_conflicts(self, current: Object, fields: dict[Path, Any], others: list[Object]) -> None:
        found: dict[str, list[str]] = {}
        for entry in (e for e in others if e.get("operation") == "Apply"):
            for path in paths(entry.get("fieldsV1") or {}):
                if path not in fields or path[-1].startswith("k:"):
                    continue
                container, key = place(current, path)
                if key is not None and container[key] != fields[path]:
                    found.setdefault(entry["manager"], []).append(shown(path))
        if found:
            raise _conflict(found)


def _conflict(found: dict[str, list[str]]) -> StatusError:
    count = sum(map(len, found.values()))
    if count == 1:
        manager, (where,) = next(iter(found.items()))
        text = f'Apply failed with 1 conflict: conflict with "{manager}": {where}'
    else:
        listed = (f'conflicts with "{m}":\n' + "\n".join(f"- {w}" for w in where) for m, where in found.items())
        text = f"Apply failed with {count} conflicts: " + "\n".join(listed)
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": where}
        for manager, fields in found.items()
        for where in fields
    ]
    return StatusError(409, "Conflict", text, {"causes": causes})


def _without(entry: Object, taken: dict[Path, Any]) -> Object:
    return {**entry, "fieldsV1": tree(p for p in paths(entry.get("fieldsV1") or {}) if p not in taken)}


def _merged(target: Any, wanted: Object, known: Type | None) -> Object:
    """Objects merge, lists with keys merge by them, everything else is replaced."""
    result = dict(target) if isinstance(target, dict) else {}
    for name, inner in wanted.items():
        field = known.by_name.get(name) if known else None
        message = element_type(field)
        if isinstance(inner, dict):
            result[name] = _merged(result.get(name), inner, None if field is None or field.map else message)
        elif field and has_keys(field) and isinstance(inner, list):
            have = list(result.get(name) or ())
            steps = [key_step(e, field) for e in have]
            for element in inner:
                step = key_step(element, field)
                if step in steps:
                    at = steps.index(step)
                    have[at] = _merged(have[at], element, message)
                else:
                    have.append(element)
                    steps.append(step)
            result[name] = have
        else:
            result[name] = inner
    return result

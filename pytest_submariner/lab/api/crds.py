"""CustomResourceDefinitions: the kinds they define, and the status a genuine server gives them."""

from __future__ import annotations

from typing import Any, TypeVar

from pytest_submariner.lab.api.builtin import custom
from pytest_submariner.lab.api.kinds import Kind, PrinterColumn
from pytest_submariner.lab.api.status import Object, bad_request

Part = TypeVar("Part")
_AGE = PrinterColumn("Age", ".metadata.creationTimestamp", "date")


def kinds_of(crd: Object) -> list[Kind]:
    """One kind per served version; StatusError 400 when the definition lacks what a kind needs."""
    spec = _part(crd, "spec", dict)
    names, versions = _part(spec, "names", dict), _part(spec, "versions", list)
    group, kind, plural = _part(spec, "group", str), _part(names, "kind", str), _part(names, "plural", str)
    named = [(_part(v, "name", str), v) for v in versions]
    stored = next((name for name, v in named if v.get("storage") is True), None)
    if stored is None:
        raise bad_request("CustomResourceDefinition: spec.versions: one version must be the storage version")
    return [
        custom(
            group,
            name,
            kind,
            plural,
            columns=_columns(version),
            singular=_part(names, "singular", str, ""),
            short_names=_words(names, "shortNames"),
            categories=_words(names, "categories"),
            namespaced=spec.get("scope") == "Namespaced",
            status="status" in (_part(version, "subresources", dict, {}) or {}),
            storage_version=stored,
        )
        for name, version in named
        if version.get("served") is True
    ]


def _part(obj: Any, key: str, kind: type[Part], default: Part | None = None) -> Part:
    """A member of the wanted type."""
    value = (obj.get(key) if isinstance(obj, dict) else None) or default
    if not isinstance(value, kind) or (value == "" and default is None):
        raise bad_request(f"CustomResourceDefinition: {key}: a {kind.__name__} is expected, not {value!r}")
    return value


def _words(names: Object, key: str) -> tuple[str, ...]:
    words = _part(names, key, list, [])
    if not all(isinstance(w, str) for w in words):
        raise bad_request(f"CustomResourceDefinition: {key}: words are expected, not {words!r}")
    return tuple(words)


def crd_status(crd: Object, moment: str) -> Object:
    """Accepted and established at once; an earlier status keeps its times."""
    if crd.get("status", {}).get("conditions"):
        status: Object = crd["status"]
        return status
    spec = crd["spec"]
    names = {"listKind": f"{spec['names']['kind']}List", "singular": spec["names"]["kind"].lower(), **spec["names"]}
    conditions = [
        _condition("NamesAccepted", "NoConflicts", "no conflicts found", moment),
        _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", moment),
    ]
    stored = [v["name"] for v in spec["versions"] if v.get("storage")]
    return {"conditions": conditions, "acceptedNames": names, "storedVersions": stored}


def _condition(kind: str, reason: str, message: str, moment: str) -> Object:
    return {"type": kind, "status": "True", "lastTransitionTime": moment, "reason": reason, "message": message}


def _columns(version: Object) -> tuple[PrinterColumn, ...]:
    made = tuple(
        PrinterColumn(
            _part(c, "name", str),
            _part(c, "jsonPath", str),
            _part(c, "type", str, "string"),
            _part(c, "priority", int, 0),
            _part(c, "description", str, ""),
        )
        for c in _part(version, "additionalPrinterColumns", list, [])
    )
    return made or (_AGE,)

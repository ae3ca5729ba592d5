"""CustomResourceDefinitions: the kinds they define, and the status a genuine server gives them."""

from __future__ import annotations

from pytest_submariner.lab.api.builtin import custom
from pytest_submariner.lab.api.kinds import Kind, PrinterColumn
from pytest_submariner.lab.api.status import Object, bad_request

_AGE = PrinterColumn("Age", ".metadata.creationTimestamp", "date")


def kinds_of(crd: Object) -> list[Kind]:
    """One kind per served version; StatusError 400 when the definition lacks what a kind needs."""
    try:
        spec, names = crd["spec"], crd["spec"]["names"]
        stored = next(v["name"] for v in spec["versions"] if v.get("storage"))
        return [
            custom(
                spec["group"],
                version["name"],
                names["kind"],
                names["plural"],
                columns=_columns(version),
                singular=names.get("singular", ""),
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                namespaced=spec.get("scope") == "Namespaced",
                status="status" in (version.get("subresources") or {}),
                storage_version=stored,
            )
            for version in spec["versions"]
            if version.get("served")
        ]
    except (KeyError, TypeError, AttributeError, StopIteration) as why:
        raise bad_request(f"CustomResourceDefinition lacks {why or 'a storage version'}") from why


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
        PrinterColumn(c["name"], c["jsonPath"], c.get("type", "string"), c.get("priority", 0), c.get("description", ""))
        for c in version.get("additionalPrinterColumns") or ()
    )
    return made or (_AGE,)

"""When an object may go: preconditions, grace periods, finalizers (apiserver:pkg/registry/rest/delete.go)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pytest_submariner.lab.api import status
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.metadata import moment_of, ordered, timestamp
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.store import Stored

_KEPT_NAMESPACES = {"default", "kube-system", "kube-public"}
_POD_GRACE_S = 30


def check_deletable(kind: Kind, old: Stored, preconditions: Object) -> None:
    """StatusError 409 when uid or resourceVersion are not the wanted ones, 403 for namespaces that stay."""
    name = old.data["metadata"]["name"]
    if (uid := preconditions.get("uid")) and uid != old.uid:
        text = f"the UID in the precondition ({uid}) does not match the UID in record ({old.uid})."
        raise status.conflict(kind, name, f"{text} The object might have been deleted and then recreated")
    have = old.data["metadata"]["resourceVersion"]
    if (version := preconditions.get("resourceVersion")) and version != have:
        text = f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({have})."
        raise status.conflict(kind, name, f"{text} The object might have been modified")
    if kind.qualified == "namespaces" and name in _KEPT_NAMESPACES:
        raise status.forbidden(kind, name, "this namespace may not be deleted")


def is_held(kind: Kind, obj: Object) -> bool:
    """Finalizers keep it; a namespace has some in its spec, too."""
    spec_finalizers = kind.qualified == "namespaces" and bool((obj.get("spec") or {}).get("finalizers"))
    return bool(obj["metadata"].get("finalizers")) or spec_finalizers


def is_finished(kind: Kind, obj: Object) -> bool:
    """Marked for deletion, and nothing holds it any more."""
    meta = obj["metadata"]
    return bool(meta.get("deletionTimestamp")) and not meta.get("deletionGracePeriodSeconds") and not is_held(kind, obj)


def grace_period(kind: Kind, obj: Object, options: Object) -> int:
    """Seconds a pod may take; everything else goes at once. Finished pods and pods without a node do too."""
    if kind.qualified != "pods" or not obj["spec"].get("nodeName"):
        return 0
    if (obj.get("status") or {}).get("phase") in {"Failed", "Succeeded"}:
        return 0
    asked = options.get("gracePeriodSeconds")
    if asked is None:
        already = obj["metadata"].get("deletionGracePeriodSeconds")
        asked = already if already is not None else obj["spec"].get("terminationGracePeriodSeconds", _POD_GRACE_S)
    return 1 if asked < 0 else int(asked)


def is_sooner(obj: Object, grace_s: int) -> bool:
    """Not marked yet, or it would go earlier than it is marked for."""
    meta = obj["metadata"]
    return not meta.get("deletionTimestamp") or grace_s < int(meta.get("deletionGracePeriodSeconds") or 0)


def marked(kind: Kind, obj: Object, grace_s: int) -> Object:
    """With deletionTimestamp: when the object was first asked to go, and the grace period."""
    meta = dict(obj["metadata"])
    asked = datetime.now(UTC)
    if meta.get("deletionTimestamp"):
        asked = moment_of(meta["deletionTimestamp"]) - timedelta(
            seconds=int(meta.get("deletionGracePeriodSeconds") or 0)
        )
    elif kind.generation:
        meta["generation"] = int(meta.get("generation") or 0) + 1
    meta["deletionTimestamp"] = timestamp(asked + timedelta(seconds=grace_s))
    if kind.qualified == "namespaces":
        return {**obj, "metadata": ordered(meta), "status": {**(obj.get("status") or {}), "phase": "Terminating"}}
    return {**obj, "metadata": ordered({**meta, "deletionGracePeriodSeconds": grace_s})}

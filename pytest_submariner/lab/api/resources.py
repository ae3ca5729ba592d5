"""Create, update and delete as Kubernetes means them, on the store: metadata, conflicts, status kept apart, finalizers, grace periods.

Follows apiserver:pkg/registry/rest/{create,update,delete}.go. All of it is synchronous; HTTP is elsewhere.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pytest_submariner.lab.api import deletion, status
from pytest_submariner.lab.api.addresses import ServiceAddresses
from pytest_submariner.lab.api.defaults import empty_status, set_defaults
from pytest_submariner.lab.api.effects import Effects
from pytest_submariner.lab.api.kinds import Kind, KindRegistry
from pytest_submariner.lab.api.metadata import SYSTEM, now, ordered
from pytest_submariner.lab.api.names import check_metadata, check_new_finalizers, generate
from pytest_submariner.lab.api.selectors import Matcher
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.store import Collection, Store, Stored
from pytest_submariner.lab.api.validation import check_change, check_object

Change = Callable[[Object], Object]
"""A private copy of the stored object to the wanted one."""
_GENERATE_ATTEMPTS = 8


@dataclass(frozen=True)
class Deleted:
    """What DELETE did: the object's last or marked state, and whether it is gone."""

    stored: Stored
    gone: bool


class Resources:
    """The objects of one cluster."""

    def __init__(self, kinds: KindRegistry, service_cidr: str) -> None:
        self.kinds = kinds
        self.store = Store()
        self.addresses = ServiceAddresses(service_cidr)
        self._effects = Effects(kinds, self.addresses, self.store)

    def collection(self, kind: Kind) -> Collection:
        return self.store.collection(kind.group, kind.plural)

    def get(self, kind: Kind, namespace: str, name: str) -> Stored:
        """StatusError 404 when there is none."""
        stored = self.collection(kind).get(namespace, name)
        if stored is None:
            raise status.not_found(kind, name)
        return stored

    def select(self, kind: Kind, namespace: str | None, match: Matcher | None) -> list[Stored]:
        found = self.collection(kind).select(namespace)
        return [s for s in found if match(s.data)] if match else found

    def create(self, kind: Kind, namespace: str, body: Object, *, dry_run: bool = False) -> Stored:
        """Stores a new object; `body` is private and fitted to its type. StatusError 403, 404, 409, 422."""
        meta = body["metadata"]
        if meta.get("resourceVersion"):
            raise status.StatusError(500, "", "resourceVersion should not be set on objects to be created")
        if kind.namespaced:
            self._check_namespace(kind, namespace, meta)
        name = meta.get("name") or self._generated(kind, namespace, meta.get("generateName") or "")
        system = {"name": name, "namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
        gone = {"deletionTimestamp": None, "deletionGracePeriodSeconds": None}
        obj = {**body, "metadata": {**meta, **system, **gone, "generation": 1 if kind.generation else None}}
        _start_status(kind, obj)
        set_defaults(kind, obj)
        self._check(kind, obj, None)
        if self.collection(kind).get(namespace, name):
            raise status.already_exists(kind, name)
        self._effects.creating(kind, obj, dry_run=dry_run)
        obj["metadata"] = ordered(obj["metadata"])
        return Stored(obj, 0) if dry_run else self.store.put(self.collection(kind), obj, None)

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Change,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Stored:
        """Applies `change` to the stored object. StatusError 400, 404, 409 (version, uid), 422."""
        old = self.get(kind, namespace, name)
        wanted = change(old.copy())
        _check_identity(kind, namespace, old, wanted)
        new = _merged(kind, old.data, wanted, subresource)
        if not subresource:
            self._effects.updating(kind, new, old.data, dry_run=dry_run)
            set_defaults(kind, new)
            self._check(kind, new, old.data)
            if kind.generation and _specified(kind, new) != _specified(kind, old.data):
                new["metadata"]["generation"] = int(old.data["metadata"].get("generation") or 0) + 1
        new["metadata"] = ordered(new["metadata"])
        if new == old.data:
            return old
        if dry_run:
            return Stored(new, old.version)
        if deletion.is_finished(kind, new):
            self._effects.removing(kind, old.data)
            return self.store.remove(self.collection(kind), old, new)
        self._effects.updated(kind, new)
        return self.store.put(self.collection(kind), new, old)

    def rewrite(self, kind: Kind, namespace: str, name: str, change: Change) -> Stored:
        """A subresource's own write: `change` may touch status and fixed fields, nothing is checked. StatusError 404."""
        old = self.get(kind, namespace, name)
        return self.store.put(self.collection(kind), change(old.copy()), old)

    def delete(self, kind: Kind, namespace: str, name: str, options: Object, *, dry_run: bool = False) -> Deleted:
        """Removes the object, or marks it when finalizers or a pod's grace period hold it. StatusError 403, 404, 409."""
        old = self.get(kind, namespace, name)
        deletion.check_deletable(kind, old, options.get("preconditions") or {})
        grace_s = deletion.grace_period(kind, old.data, options)
        if not grace_s and not deletion.is_held(kind, old.data):
            if dry_run:
                return Deleted(old, gone=True)
            self._effects.removing(kind, old.data)
            return Deleted(self.store.remove(self.collection(kind), old), gone=True)
        if dry_run or not deletion.is_sooner(old.data, grace_s):
            return Deleted(old, gone=False)
        marked = deletion.marked(kind, old.data, grace_s)
        return Deleted(self.store.put(self.collection(kind), marked, old), gone=False)

    def delete_collection(
        self, kind: Kind, found: Iterable[Stored], options: Object, *, dry_run: bool = False
    ) -> list[Stored]:
        """Deletes each as `delete` does; their last or marked states."""
        deleted = []
        for stored in found:
            meta = stored.data["metadata"]
            deleted.append(self.delete(kind, meta.get("namespace", ""), meta["name"], options, dry_run=dry_run).stored)
        return deleted

    def _generated(self, kind: Kind, namespace: str, prefix: str) -> str:
        """A name that is free, unless chance is against us eight times; empty without a prefix."""
        name = ""
        for _ in range(_GENERATE_ATTEMPTS if prefix else 0):
            name = generate(prefix)
            if not self.collection(kind).get(namespace, name):
                break
        return name

    def _check_namespace(self, kind: Kind, namespace: str, meta: Object) -> None:
        """StatusError 404 for a namespace that is not there, 403 for one that is going."""
        owner = self.kinds.require("", "v1", "namespaces")
        if not self.get(owner, "", namespace).data["metadata"].get("deletionTimestamp"):
            return
        text = f"namespace {namespace} is being terminated"
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        cause = {"reason": "NamespaceTerminating", "message": text, "field": "metadata.namespace"}
        raise status.forbidden(kind, meta.get("name") or "", why, [cause])

    def _check(self, kind: Kind, obj: Object, old: Object | None) -> None:
        """StatusError 422 with everything that is wrong."""
        causes = [*check_metadata(kind, obj["metadata"]), *check_object(kind, obj)]
        if old is not None:
            causes += [*check_new_finalizers(obj["metadata"], old["metadata"]), *check_change(kind, obj, old)]
        if causes:
            raise status.invalid(kind, obj["metadata"].get("name") or "", causes)


def _start_status(kind: Kind, obj: Object) -> None:
    """A status of the client's counts only for kinds without the subresource."""
    if kind.status:
        obj.pop("status", None)
        empty = empty_status(kind)
        if empty is not None:
            obj["status"] = empty
    if kind.qualified == "namespaces":
        spec = obj.setdefault("spec", {})
        spec["finalizers"] = sorted({*(spec.get("finalizers") or ()), "kubernetes"})


def _check_identity(kind: Kind, namespace: str, old: Stored, new: Object) -> None:
    """The body must speak of this object, and of this version if of any."""
    meta, have = new["metadata"], old.data["metadata"]
    name = have["name"]
    if meta.get("name", name) != name:
        raise status.bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
    if (meta.get("namespace") or namespace) != namespace:
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if (uid := meta.get("uid")) and uid != have["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {have['uid']}"
        raise status.conflict(kind, name, why)
    version = meta.get("resourceVersion") or ""
    if not version and not kind.unconditional_update:
        why = "Invalid value: 0: must be specified for an update"
        raise status.invalid(kind, name, [status.Cause("FieldValueInvalid", "metadata.resourceVersion", why)])
    if version and version != have["resourceVersion"]:
        raise status.modified(kind, name)


def _merged(kind: Kind, old: Object, new: Object, subresource: str) -> Object:
    """What the request may change of `old`: all but status, only status, or what the subresource is for."""
    have = old["metadata"]
    meta = {**new["metadata"], **{key: have.get(key) for key in SYSTEM}}
    if subresource == "finalize":
        spec = {k: v for k, v in (old.get("spec") or {}).items() if k != "finalizers"}
        if left := (new.get("spec") or {}).get("finalizers"):
            spec["finalizers"] = left
        return {**old, "metadata": dict(have), "spec": spec}
    if subresource == "status":
        result = {k: v for k, v in old.items() if k != "status"}
        result["metadata"] = dict(have) if kind.custom else {**meta, "ownerReferences": have.get("ownerReferences")}
        return {**result, "status": new["status"]} if "status" in new else result
    result = {**new, "kind": old["kind"], "apiVersion": old["apiVersion"], "metadata": meta}
    if kind.status:
        result.pop("status", None)
        if "status" in old:
            result["status"] = old["status"]
    return result


def _specified(kind: Kind, obj: Object) -> Object:
    """What generation counts: a status that is a plain field counts too."""
    left_out = {"metadata", "kind", "apiVersion"} | ({"status"} if kind.status else set())
    return {k: v for k, v in obj.items() if k not in left_out}

"""Create, update and delete as Kubernetes means them, on the store: metadata, conflicts, finalizers, status kept apart, grace periods.

Follows apiserver:pkg/registry/rest/{create,update,delete}.go. All of it is synchronous; HTTP is elsewhere.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pytest_submariner.lab.api import status
from pytest_submariner.lab.api.addresses import ServiceAddresses
from pytest_submariner.lab.api.crds import crd_status, kinds_of
from pytest_submariner.lab.api.defaults import empty_status, quality_of_service, set_defaults
from pytest_submariner.lab.api.kinds import Kind, KindRegistry
from pytest_submariner.lab.api.names import check_metadata, check_new_finalizers, generate
from pytest_submariner.lab.api.selectors import Matcher
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.store import Collection, Store, Stored
from pytest_submariner.lab.api.validation import check_change, check_object

Change = Callable[[Object], Object]
"""A private copy of the stored object to the wanted one."""

_META_ORDER = (
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers", "managedFields",
)  # fmt: skip
_SYSTEM = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "namespace",
    "name",
    "generateName",
)
_KEPT_NAMESPACES = {"default", "kube-system", "kube-public"}
_GENERATE_ATTEMPTS = 8
_POD_GRACE_S = 30


@dataclass(frozen=True)
class Deleted:
    """What DELETE did: the object's last or marked state, and whether it is gone."""

    stored: Stored
    gone: bool


@dataclass
class Resources:
    """The objects of one cluster."""

    kinds: KindRegistry
    addresses: ServiceAddresses
    store: Store = field(default_factory=Store)

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

    # -- create ---------------------------------------------------------------------------------------------------------------

    def create(self, kind: Kind, namespace: str, body: Object, *, dry_run: bool = False) -> Stored:
        """Stores a new object; `body` is private and fitted to its type."""
        meta = body["metadata"]
        if meta.get("resourceVersion"):
            raise status.StatusError(500, "", "resourceVersion should not be set on objects to be created")
        if kind.namespaced:
            self._check_namespace(kind, namespace, meta)
        prefix, generated = meta.get("generateName") or "", not meta.get("name")
        for _ in range(_GENERATE_ATTEMPTS):
            name = meta.get("name") or (generate(prefix) if prefix else "")
            if not generated or not self.collection(kind).get(namespace, name):
                break
        obj = {
            **body,
            "metadata": {
                **meta,
                "name": name,
                "namespace": namespace,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": now(),
                "deletionTimestamp": None,
                "deletionGracePeriodSeconds": None,
                "generation": 1 if kind.generation else None,
            },
        }
        self._new_status(kind, obj)
        set_defaults(kind, obj)
        self._check(kind, obj, None)
        if self.collection(kind).get(namespace, name):
            raise status.already_exists(kind, name)
        if kind.qualified == "pods":
            obj["status"]["qosClass"] = quality_of_service(obj["spec"])
        if kind.qualified == "services":
            self.addresses.allocate(kind, obj)
            if dry_run:
                self.addresses.release(obj)
        if kind.qualified == "customresourcedefinitions.apiextensions.k8s.io":
            self._define(obj, dry_run=dry_run)
        obj["metadata"] = ordered(obj["metadata"])
        return Stored(obj, 0) if dry_run else self.store.put(self.collection(kind), obj, None)

    def _new_status(self, kind: Kind, obj: Object) -> None:
        if kind.status:
            obj.pop("status", None)
            empty = empty_status(kind)
            if empty is not None:
                obj["status"] = empty
        if kind.qualified == "namespaces":
            spec = obj.setdefault("spec", {})
            spec["finalizers"] = sorted({*(spec.get("finalizers") or ()), "kubernetes"})

    def _check_namespace(self, kind: Kind, namespace: str, meta: Object) -> None:
        owner = self.kinds.find("", "v1", "namespaces")
        if owner is None:
            raise status.StatusError(500, "InternalError", "the namespaces kind is missing")
        found = self.get(owner, "", namespace)
        if found.data["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise status.forbidden(kind, meta.get("name") or "", why, [cause])

    def _define(self, crd: Object, *, dry_run: bool) -> None:
        """A new or changed CRD: fills in its status and makes its kinds known."""
        defined = kinds_of(crd)
        crd["status"] = crd_status(crd, now())
        if not dry_run:
            for kind in defined:
                self.kinds.add(kind)

    # -- update ---------------------------------------------------------------------------------------------------------------

    def update(
        self, kind: Kind, namespace: str, name: str, change: Change, *, subresource: str = "", dry_run: bool = False
    ) -> Stored:
        """Applies `change` to the stored object. StatusError 404, 409 (version, uid), 422."""
        old = self.get(kind, namespace, name)
        new = change(old.copy())
        self._check_identity(kind, namespace, old, new)
        new = self._merged(kind, old.data, new, subresource)
        if not subresource:
            self._before_update(kind, new, old.data)
        if kind.generation and not subresource and _specified(kind, new) != _specified(kind, old.data):
            new["metadata"]["generation"] = int(old.data["metadata"].get("generation") or 0) + 1
        new["metadata"] = ordered(new["metadata"])
        if new == old.data:
            return old
        if dry_run:
            return Stored(new, old.version)
        if _finished(kind, new):
            self._forget(kind, old.data)
            return self.store.remove(self.collection(kind), old, new)
        if kind.qualified == "customresourcedefinitions.apiextensions.k8s.io":
            self._define(new, dry_run=False)
        return self.store.put(self.collection(kind), new, old)

    def rewrite(self, kind: Kind, namespace: str, name: str, change: Change) -> Stored:
        """A subresource's own write: `change` may touch status and fixed fields, nothing is checked. StatusError 404."""
        old = self.get(kind, namespace, name)
        return self.store.put(self.collection(kind), change(old.copy()), old)

    def _check_identity(self, kind: Kind, namespace: str, old: Stored, new: Object) -> None:
        """The body must speak of this object, and of this version if of any."""
        meta, have = new["metadata"], old.data["metadata"]
        name = have["name"]
        if meta.get("name", name) != name:
            raise status.bad_request(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
            )
        if (meta.get("namespace") or namespace) != namespace:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if (uid := meta.get("uid")) and uid != have["uid"]:
            raise status.conflict(
                kind, name, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {have['uid']}"
            )
        version = meta.get("resourceVersion") or ""
        if not version and not kind.unconditional_update:
            cause = status.Cause(
                "FieldValueInvalid", "metadata.resourceVersion", "Invalid value: 0: must be specified for an update"
            )
            raise status.invalid(kind, name, [cause])
        if version and version != have["resourceVersion"]:
            raise status.modified(kind, name)

    def _merged(self, kind: Kind, old: Object, new: Object, subresource: str) -> Object:
        """What the request may change of `old`: all but status, only status, or what the subresource is for."""
        have = old["metadata"]
        kept = {key: have.get(key) for key in (*_SYSTEM, "resourceVersion")}
        meta = {**new["metadata"], **kept}
        if subresource == "finalize":
            spec = {**(old.get("spec") or {}), "finalizers": (new.get("spec") or {}).get("finalizers") or []}
            return {**old, "metadata": dict(have), "spec": {k: v for k, v in spec.items() if v != []}}
        if subresource == "status":
            result = {
                **old,
                "metadata": dict(have) if kind.custom else {**meta, "ownerReferences": have.get("ownerReferences")},
            }
            return {
                **{k: v for k, v in result.items() if k != "status"},
                **({"status": new["status"]} if "status" in new else {}),
            }
        result = {**new, "kind": old["kind"], "apiVersion": old["apiVersion"], "metadata": meta}
        if kind.status:
            result.pop("status", None)
            if "status" in old:
                result["status"] = old["status"]
        return result

    def _before_update(self, kind: Kind, new: Object, old: Object) -> None:
        if kind.qualified == "namespaces":
            new["spec"] = old.get("spec", {})
        if kind.qualified == "services":
            self._keep_addresses(kind, new, old)
        set_defaults(kind, new)
        self._check(kind, new, old)

    def _keep_addresses(self, kind: Kind, new: Object, old: Object) -> None:
        """An update that leaves the cluster IP or node ports out keeps them; a change of type may need new ones."""
        spec, have = new.setdefault("spec", {}), old["spec"]
        spec.setdefault("type", "ClusterIP")
        if spec["type"] != "ExternalName" and have["type"] != "ExternalName":
            for key in ("clusterIP", "clusterIPs"):
                if not spec.get(key):
                    spec[key] = have[key]
        ports = {p.get("port"): p["nodePort"] for p in have.get("ports") or () if "nodePort" in p}
        wants_ports = spec["type"] in {"NodePort", "LoadBalancer"}
        for port in spec.get("ports") or ():
            if wants_ports and not port.get("nodePort") and port.get("port") in ports:
                port["nodePort"] = ports[port["port"]]
        set_defaults(kind, new)
        if spec["type"] != have["type"] or wants_ports:
            self.addresses.release(old)
            try:
                if spec["type"] == "ExternalName":
                    spec.pop("clusterIP", None)
                    spec.pop("clusterIPs", None)
                self.addresses.allocate(kind, new)
            except status.StatusError:
                self.addresses.restore(old)
                raise

    # -- delete ---------------------------------------------------------------------------------------------------------------

    def delete(self, kind: Kind, namespace: str, name: str, options: Object, *, dry_run: bool = False) -> Deleted:
        """Removes the object, or marks it when finalizers or a pod's grace period hold it."""
        old = self.get(kind, namespace, name)
        self._check_preconditions(kind, old, options.get("preconditions") or {})
        if kind.qualified == "namespaces" and name in _KEPT_NAMESPACES:
            raise status.forbidden(kind, name, "this namespace may not be deleted")
        grace = _grace(kind, old.data, options)
        meta = old.data["metadata"]
        if meta.get("deletionTimestamp") and grace >= int(meta.get("deletionGracePeriodSeconds") or 0) > 0:
            return Deleted(old, gone=False)
        held = bool(meta.get("finalizers")) or bool(
            kind.qualified == "namespaces" and old.data["spec"].get("finalizers")
        )
        if not held and not grace:
            if dry_run:
                return Deleted(old, gone=True)
            self._forget(kind, old.data)
            return Deleted(self.store.remove(self.collection(kind), old), gone=True)
        marked = _marked(kind, old.data, grace)
        if marked == old.data or dry_run:
            return Deleted(old, gone=False)
        return Deleted(self.store.put(self.collection(kind), marked, old), gone=False)

    def delete_collection(
        self, kind: Kind, found: Iterable[Stored], options: Object, *, dry_run: bool = False
    ) -> list[Stored]:
        """Deletes each; what went away meanwhile is no error."""
        deleted = []
        for stored in found:
            meta = stored.data["metadata"]
            deleted.append(self.delete(kind, meta.get("namespace", ""), meta["name"], options, dry_run=dry_run).stored)
        return deleted

    def _check_preconditions(self, kind: Kind, old: Stored, wanted: Object) -> None:
        name = old.data["metadata"]["name"]
        if (uid := wanted.get("uid")) and uid != old.uid:
            text = f"the UID in the precondition ({uid}) does not match the UID in record ({old.uid})."
            raise status.conflict(kind, name, f"{text} The object might have been deleted and then recreated")
        have = old.data["metadata"]["resourceVersion"]
        if (version := wanted.get("resourceVersion")) and version != have:
            text = f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({have})."
            raise status.conflict(kind, name, f"{text} The object might have been modified")

    def _forget(self, kind: Kind, old: Object) -> None:
        """What else goes with the object."""
        if kind.qualified == "services":
            self.addresses.release(old)
        if kind.qualified == "customresourcedefinitions.apiextensions.k8s.io":
            for defined in kinds_of(old):
                for stored in self.collection(defined).select(None):
                    self.store.remove(self.collection(defined), stored)
                self.kinds.remove(defined)

    def _check(self, kind: Kind, obj: Object, old: Object | None) -> None:
        """StatusError 422 with everything that is wrong."""
        causes = [*check_metadata(kind, obj["metadata"]), *check_object(kind, obj)]
        if old is not None:
            causes += [*check_new_finalizers(obj["metadata"], old["metadata"]), *check_change(kind, obj, old)]
        if causes:
            raise status.invalid(kind, obj["metadata"].get("name") or "", causes)


def now() -> str:
    """RFC 3339, whole seconds, as metav1.Time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ordered(meta: Object) -> Object:
    """Metadata in the genuine order, without empty values."""
    known = {key: meta[key] for key in _META_ORDER if meta.get(key) not in (None, "", [], {})}
    return (
        known | {"deletionGracePeriodSeconds": 0}
        if _zero_grace(meta) and "deletionGracePeriodSeconds" not in known
        else known
    )


def _zero_grace(meta: Object) -> bool:
    return bool(meta.get("deletionTimestamp")) and meta.get("deletionGracePeriodSeconds") == 0


def _specified(kind: Kind, obj: Object) -> Object:
    """What generation counts: a status that is a plain field counts too."""
    left_out = {"metadata", "kind", "apiVersion"} | ({"status"} if kind.status else set())
    return {k: v for k, v in obj.items() if k not in left_out}


def _finished(kind: Kind, obj: Object) -> bool:
    """Marked for deletion, and nothing holds it any more."""
    meta = obj["metadata"]
    held = kind.qualified == "namespaces" and bool((obj.get("spec") or {}).get("finalizers"))
    return (
        bool(meta.get("deletionTimestamp"))
        and not meta.get("finalizers")
        and not meta.get("deletionGracePeriodSeconds")
        and not held
    )


def _grace(kind: Kind, obj: Object, options: Object) -> int:
    """Seconds a pod may take; everything else goes at once. Finished pods and pods without a node do too."""
    if (
        kind.qualified != "pods"
        or not obj["spec"].get("nodeName")
        or obj["status"].get("phase") in {"Failed", "Succeeded"}
    ):
        return 0
    asked = options.get("gracePeriodSeconds")
    have = obj["metadata"].get("deletionGracePeriodSeconds")
    if asked is None and have is not None:
        return int(have)
    if asked is None:
        asked = obj["spec"].get("terminationGracePeriodSeconds", _POD_GRACE_S)
    return 1 if asked < 0 else int(asked)


def _marked(kind: Kind, obj: Object, grace: int) -> Object:
    """With deletionTimestamp; when there is one already it only comes nearer."""
    meta = dict(obj["metadata"])
    asked = datetime.now(UTC)
    if meta.get("deletionTimestamp"):
        before = datetime.strptime(meta["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        asked = before - timedelta(seconds=int(meta.get("deletionGracePeriodSeconds") or 0))
    meta["deletionTimestamp"] = (asked + timedelta(seconds=grace)).strftime("%Y-%m-%dT%H:%M:%SZ")
    meta["deletionGracePeriodSeconds"] = None if kind.qualified == "namespaces" else grace
    if kind.generation and not obj["metadata"].get("deletionTimestamp"):
        meta["generation"] = int(meta.get("generation") or 0) + 1
    marked = {**obj, "metadata": ordered(meta)}
    if kind.qualified == "namespaces":
        marked["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return marked

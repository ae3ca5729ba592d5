"""What writing an object does besides: a Service takes addresses, a CRD makes kinds known, a pod has a class of service."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_submariner.lab.api.addresses import ServiceAddresses
from pytest_submariner.lab.api.crds import crd_status, kinds_of
from pytest_submariner.lab.api.defaults import set_defaults
from pytest_submariner.lab.api.kinds import Kind, KindRegistry
from pytest_submariner.lab.api.metadata import now
from pytest_submariner.lab.api.poddefaults import quality_of_service
from pytest_submariner.lab.api.status import Object, StatusError
from pytest_submariner.lab.api.store import Store

_CRDS = "customresourcedefinitions.apiextensions.k8s.io"


@dataclass
class Effects:
    """Of one server's writes."""

    kinds: KindRegistry
    addresses: ServiceAddresses
    store: Store

    def creating(self, kind: Kind, obj: Object, *, dry_run: bool) -> None:
        """The object is valid and about to be stored, or not with `dry_run`. StatusError 422 for a taken address."""
        if kind.qualified == "pods":
            obj["status"]["qosClass"] = quality_of_service(obj["spec"])
        elif kind.qualified == "services":
            self.addresses.allocate(kind, obj)
            if dry_run:
                self.addresses.release(obj)
        elif kind.qualified == _CRDS:
            self._define(obj, dry_run=dry_run)

    def updating(self, kind: Kind, new: Object, old: Object, *, dry_run: bool) -> None:
        """Before defaults and validation: what the client left out and the server keeps."""
        if kind.qualified == "namespaces":
            new["spec"] = old.get("spec", {})
        elif kind.qualified == "services":
            self._keep_addresses(kind, new, old, dry_run=dry_run)

    def updated(self, kind: Kind, new: Object) -> None:
        """The change is valid and about to be stored."""
        if kind.qualified == _CRDS:
            self._define(new, dry_run=False)

    def removing(self, kind: Kind, old: Object) -> None:
        """The object is about to go. With a CRD go its objects; a built-in kind stays as it was built in."""
        if kind.qualified == "services":
            self.addresses.release(old)
        elif kind.qualified == _CRDS:
            for defined in kinds_of(old):
                collection = self.store.collection(defined.group, defined.plural)
                for stored in collection.select(None):
                    self.store.remove(collection, stored)
                self.kinds.remove(defined)

    def _define(self, crd: Object, *, dry_run: bool) -> None:
        defined = kinds_of(crd)
        crd["status"] = crd_status(crd, now())
        if not dry_run:
            for kind in defined:
                self.kinds.add(kind)

    def _keep_addresses(self, kind: Kind, new: Object, old: Object, *, dry_run: bool) -> None:
        """An update that leaves the cluster IP or node ports out keeps them; a change of type may need new ones."""
        spec, have = new.setdefault("spec", {}), old["spec"]
        set_defaults(kind, new)
        named = "ExternalName" in {spec["type"], have["type"]}
        for key in ("clusterIP", "clusterIPs"):
            if spec["type"] == "ExternalName":
                spec.pop(key, None)
            elif not named and not spec.get(key):
                spec[key] = have[key]
        wants_ports = spec["type"] in {"NodePort", "LoadBalancer"}
        ports = {(p["port"], p["protocol"]): p["nodePort"] for p in have.get("ports") or () if "nodePort" in p}
        for port in spec.get("ports") or ():
            kept = ports.get((port.get("port"), port.get("protocol")))
            if wants_ports and kept and not port.get("nodePort"):
                port["nodePort"] = kept
        if spec["type"] == have["type"] and not wants_ports:
            return
        self.addresses.release(old)
        try:
            self.addresses.allocate(kind, new)
        except StatusError:
            self.addresses.restore(old)
            raise
        if dry_run:
            self.addresses.release(new)
            self.addresses.restore(old)

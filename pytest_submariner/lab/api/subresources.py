"""Binding, eviction, scale and service account tokens: subresources that take an object of another kind."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from pytest_submariner.lab.api import status
from pytest_submariner.lab.api.humane import selector
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.metadata import now, timestamp
from pytest_submariner.lab.api.resources import Resources
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.store import Stored

_TOKEN_S = 3600


def bind(resources: Resources, kind: Kind, namespace: str, name: str, binding: Object) -> Object:
    """Gives a pod its node, once; the answer is a Status (kubernetes:pkg/registry/core/pod/storage)."""
    node = (binding.get("target") or {}).get("name")
    if not node:
        raise status.invalid(kind, name, [status.required("target.name")])

    def assign(pod: Object) -> Object:
        if pod["metadata"].get("deletionTimestamp"):
            raise _not_bound(name, f"pod {name} is being deleted, cannot be assigned to a host")
        if have := pod["spec"].get("nodeName"):
            raise _not_bound(name, f'pod {name} is already assigned to node "{have}"')
        pod["spec"]["nodeName"] = node
        condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now()}
        others = [c for c in pod["status"].get("conditions") or () if c["type"] != "PodScheduled"]
        pod["status"]["conditions"] = [*others, condition]
        return pod

    resources.rewrite(kind, namespace, name, assign)
    return {**status.success(), "code": 201}


def _not_bound(name: str, why: str) -> status.StatusError:
    text = f'Operation cannot be fulfilled on pods/binding "{name}": {why}'
    return status.StatusError(409, "Conflict", text, {"name": name, "kind": "pods/binding"})


def evict(resources: Resources, kind: Kind, namespace: str, name: str, eviction: Object) -> Object:
    """Deletes the pod as its delete options say; there are no disruption budgets here."""
    resources.delete(kind, namespace, name, eviction.get("deleteOptions") or {})
    return {**status.success(), "code": 201}


def scale_of(stored: Stored) -> Object:
    """A workload as autoscaling/v1 Scale."""
    obj, meta = stored.data, stored.data["metadata"]
    kept = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in meta}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": kept,
        "spec": {"replicas": obj["spec"].get("replicas", 1)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": selector(obj["spec"].get("selector")),
        },
    }


def scaled(obj: Object, scale: Object) -> Object:
    """The workload with the replicas of a Scale; StatusError 400 for a negative number."""
    wanted = (scale.get("spec") or {}).get("replicas", 0)
    if wanted < 0:
        raise status.bad_request(f"spec.replicas: Invalid value: {wanted}: must be greater than or equal to 0")
    version = (scale.get("metadata") or {}).get("resourceVersion") or obj["metadata"]["resourceVersion"]
    return {
        **obj,
        "metadata": {**obj["metadata"], "resourceVersion": version},
        "spec": {**obj["spec"], "replicas": wanted},
    }


def new_token(tokens: dict[str, str], account: Stored, request: Object) -> Object:
    """A bearer token for the service account, valid as long as the server runs."""
    meta = account.data["metadata"]
    token = secrets.token_urlsafe(32)
    tokens[token] = f"system:serviceaccount:{meta['namespace']}:{meta['name']}"
    spec = request.get("spec") or {}
    seconds = int(spec.get("expirationSeconds") or _TOKEN_S)
    expires = timestamp(datetime.now(UTC) + timedelta(seconds=seconds))
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "creationTimestamp": now()},
        "spec": {"audiences": spec.get("audiences") or [], "expirationSeconds": seconds, "boundObjectRef": None},
        "status": {"token": token, "expirationTimestamp": expires},
    }

"""What a genuine server fills in on create, per kind (kubernetes:pkg/apis/*/v1/defaults.go and the admission plugins on by default)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.poddefaults import pod_defaults, pod_spec_defaults
from pytest_submariner.lab.api.status import Object

_EMPTY_STATUS: dict[str, Object] = {
    "daemonsets.apps": {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
    "replicasets.apps": {"replicas": 0},
    "statefulsets.apps": {"replicas": 0, "availableReplicas": 0},
    "services": {"loadBalancer": {}},
    "namespaces": {"phase": "Active"},
    "pods": {"phase": "Pending"},
    "nodes": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {}},
}


def set_defaults(kind: Kind, obj: Object) -> None:
    """Changes `obj` in place; safe to repeat."""
    if kind.custom:
        return
    fill = _DEFAULTS.get(kind.qualified)
    if fill:
        fill(obj)


def empty_status(kind: Kind) -> Object | None:
    """The status of a new object of a kind with a status subresource; None: the key stays away."""
    if kind.custom or not kind.status:
        return None
    return dict(_EMPTY_STATUS.get(kind.qualified, {}))


def _service(service: Object) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {}).setdefault("timeoutSeconds", 10800)
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))


def _namespace(namespace: Object) -> None:
    meta = namespace["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}
    namespace.setdefault("spec", {})


def _secret(secret: Object) -> None:
    secret.setdefault("type", "Opaque")
    if texts := secret.pop("stringData", None):
        data = secret.setdefault("data", {})
        data.update({k: base64.b64encode(v.encode()).decode() for k, v in texts.items()})


def _workload(obj: Object) -> Object:
    """DaemonSet, Deployment, ReplicaSet, StatefulSet: the pod template's defaults; returns the spec."""
    spec: Object = obj.setdefault("spec", {})
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    pod_spec_defaults(template.setdefault("spec", {}))
    return spec


def _daemonset(obj: Object) -> None:
    spec = _workload(obj)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def _deployment(obj: Object) -> None:
    spec = _workload(obj)
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _replicaset(obj: Object) -> None:
    _workload(obj).setdefault("replicas", 1)


def _statefulset(obj: Object) -> None:
    spec = _workload(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    kept = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    kept.setdefault("whenDeleted", "Retain")
    kept.setdefault("whenScaled", "Retain")


def _endpoints(obj: Object) -> None:
    _protocols(p for s in obj.get("subsets") or () for p in s.get("ports") or ())


def _endpointslice(obj: Object) -> None:
    obj.setdefault("endpoints", None)
    obj.setdefault("ports", None)
    for port in obj["ports"] or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _networkpolicy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _protocols(
        p for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())] for p in rule.get("ports") or ()
    )
    spec.setdefault("policyTypes", ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


def _binding(obj: Object) -> None:
    reference = obj.setdefault("roleRef", {})
    reference["apiGroup"] = reference.get("apiGroup") or "rbac.authorization.k8s.io"
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in {"User", "Group"}:
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


def _protocols(ports: Iterable[Object]) -> None:
    for port in ports:
        port.setdefault("protocol", "TCP")


_DEFAULTS: dict[str, Callable[[Object], None]] = {
    "pods": pod_defaults,
    "services": _service,
    "namespaces": _namespace,
    "secrets": _secret,
    "endpoints": _endpoints,
    "endpointslices.discovery.k8s.io": _endpointslice,
    "daemonsets.apps": _daemonset,
    "deployments.apps": _deployment,
    "replicasets.apps": _replicaset,
    "statefulsets.apps": _statefulset,
    "networkpolicies.networking.k8s.io": _networkpolicy,
    "rolebindings.rbac.authorization.k8s.io": _binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _binding,
}

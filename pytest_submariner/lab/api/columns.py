"""The cells of `kubectl get` for the built-in kinds (kubernetes:pkg/printers/internalversion/printers.go)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_submariner.lab.api.humane import age, joined, labels, selector, shortened
from pytest_submariner.lab.api.status import Object

Cells = list[Any]


def _age(obj: Object) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _namespace(obj: Object) -> Cells:
    return [_name(obj), obj.get("status", {}).get("phase", ""), _age(obj)]


def _node(obj: Object) -> Cells:
    status, meta = obj.get("status") or {}, obj["metadata"]
    info = status.get("nodeInfo") or {}
    ready = next((c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    if (obj.get("spec") or {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    prefix = "node-role.kubernetes.io/"
    roles = sorted(k.removeprefix(prefix) for k in meta.get("labels") or {} if k.startswith(prefix) and k != prefix)
    addresses = {a["type"]: a["address"] for a in reversed(status.get("addresses") or [])}
    return [
        _name(obj),
        ",".join(words),
        joined(roles),
        _age(obj),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _pod(obj: Object) -> Cells:
    spec, status = obj["spec"], obj.get("status") or {}
    statuses = status.get("containerStatuses") or []
    ready = sum(1 for c in statuses if c.get("ready") and (c.get("state") or {}).get("running") is not None)
    restarts = sum(c.get("restartCount", 0) for c in statuses)
    gates = spec.get("readinessGates") or []
    return [
        _name(obj),
        f"{ready}/{len(spec.get('containers') or ())}",
        _pod_reason(obj, status, statuses),
        str(restarts),
        _age(obj),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        f"0/{len(gates)}" if gates else "<none>",
    ]


def _pod_reason(obj: Object, status: Object, statuses: list[Object]) -> str:
    """The word in the STATUS column: what the last telling container says, else the phase."""
    if obj["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    for i, container in enumerate(status.get("initContainerStatuses") or ()):
        state = container.get("state") or {}
        if (ended := state.get("terminated")) is not None:
            if ended.get("exitCode") == 0:
                continue
            return f"Init:{_ended(ended)}"
        waiting = (state.get("waiting") or {}).get("reason", "")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{i}/{len(obj['spec'].get('initContainers') or ())}"
    reason = status.get("reason") or status.get("phase", "")
    running = False
    for container in reversed(statuses):
        state = container.get("state") or {}
        if (waiting := (state.get("waiting") or {}).get("reason")) is not None and waiting:
            reason = waiting
        elif (ended := state.get("terminated")) is not None:
            reason = _ended(ended)
        elif container.get("ready") and state.get("running") is not None:
            running = True
    return "Running" if reason == "Completed" and running else str(reason)


def _ended(state: Object) -> str:
    if state.get("reason"):
        return str(state["reason"])
    return f"Signal:{state['signal']}" if state.get("signal") else f"ExitCode:{state.get('exitCode', 0)}"


def _service(obj: Object) -> Cells:
    spec = obj["spec"]
    ingress = (obj.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    external = list(spec.get("externalIPs") or ())
    if spec["type"] == "ExternalName":
        shown = spec.get("externalName", "")
    elif spec["type"] == "LoadBalancer":
        shown = joined([i.get("ip") or i.get("hostname", "") for i in ingress] + external, "<pending>")
    else:
        shown = joined(external)
    ports = [
        f"{p['port']}:{p['nodePort']}/{p['protocol']}" if p.get("nodePort") else f"{p['port']}/{p['protocol']}"
        for p in spec.get("ports") or ()
    ]
    return [
        _name(obj),
        spec["type"],
        spec.get("clusterIP") or "<none>",
        shown,
        joined(ports),
        _age(obj),
        labels(spec.get("selector")),
    ]


def _endpoints(obj: Object) -> Cells:
    found = []
    for subset in obj.get("subsets") or ():
        ports, addresses = subset.get("ports") or [], subset.get("addresses") or []
        found += [f"{a['ip']}:{p['port']}" for p in ports for a in addresses] if ports else [a["ip"] for a in addresses]
    return [_name(obj), shortened(found), _age(obj)]


def _configmap(obj: Object) -> Cells:
    return [_name(obj), len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), _age(obj)]


def _secret(obj: Object) -> Cells:
    return [_name(obj), obj.get("type", ""), len(obj.get("data") or {}), _age(obj)]


def _event(obj: Object) -> Cells:
    about, source, series = obj.get("involvedObject") or {}, obj.get("source") or {}, obj.get("series") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    component = source.get("component") or obj.get("reportingComponent", "")
    host = source.get("host", "")
    return [
        age(last),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        str(obj.get("message", "")).strip(),
        age(first),
        series.get("count") or obj.get("count") or 1,
        _name(obj),
    ]


def _serviceaccount(obj: Object) -> Cells:
    return [_name(obj), len(obj.get("secrets") or ()), _age(obj)]


def _template(obj: Object) -> tuple[str, str]:
    """Names and images of a workload's containers."""
    containers = (obj["spec"].get("template") or {}).get("spec", {}).get("containers") or []
    return joined(c["name"] for c in containers), joined(c["image"] for c in containers)


def _daemonset(obj: Object) -> Cells:
    status, spec = obj.get("status") or {}, obj["spec"]
    counts = [status.get(k, 0) for k in _DAEMONSET_COUNTS]
    chosen = labels((spec.get("template") or {}).get("spec", {}).get("nodeSelector"))
    return [_name(obj), *counts, chosen, _age(obj), *_template(obj), selector(spec.get("selector"))]


_DAEMONSET_COUNTS = (
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "numberReady",
    "updatedNumberScheduled",
    "numberAvailable",
)


def _deployment(obj: Object) -> Cells:
    status, spec = obj.get("status") or {}, obj["spec"]
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    counts = [str(status.get(k, 0)) for k in ("updatedReplicas", "availableReplicas")]
    return [_name(obj), ready, *counts, _age(obj), *_template(obj), selector(spec.get("selector"))]


def _replicaset(obj: Object) -> Cells:
    status, spec = obj.get("status") or {}, obj["spec"]
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *counts, _age(obj), *_template(obj), selector(spec.get("selector"))]


def _statefulset(obj: Object) -> Cells:
    ready = f"{(obj.get('status') or {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"
    return [_name(obj), ready, _age(obj), *_template(obj)]


def _lease(obj: Object) -> Cells:
    return [_name(obj), (obj.get("spec") or {}).get("holderIdentity", ""), _age(obj)]


def _endpointslice(obj: Object) -> Cells:
    ports = shortened([str(p.get("port") or "*") for p in obj.get("ports") or ()]) if obj.get("ports") else "<unset>"
    addresses = [a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()]
    return [_name(obj), obj.get("addressType", ""), ports, shortened(addresses) if addresses else "<unset>", _age(obj)]


def _created(obj: Object) -> Cells:
    return [_name(obj), obj["metadata"].get("creationTimestamp", "")]


def _role_binding(obj: Object) -> Cells:
    by_kind: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or ():
        prefix = f"{subject.get('namespace', '')}/" if subject.get("kind") == "ServiceAccount" else ""
        by_kind.setdefault(subject.get("kind", ""), []).append(prefix + subject.get("name", ""))
    role = obj.get("roleRef") or {}
    return [_name(obj), f"{role.get('kind')}/{role.get('name')}", _age(obj)] + [
        ", ".join(by_kind[k]) for k in ("User", "Group", "ServiceAccount")
    ]


def _networkpolicy(obj: Object) -> Cells:
    return [_name(obj), selector(obj["spec"].get("podSelector")), _age(obj)]


_ROLE_BINDING = ("Name|Role|Age|Users*|Groups*|ServiceAccounts*", _role_binding)

BUILTIN: dict[str, tuple[str, Callable[[Object], Cells]]] = {
    "namespaces": ("Name|Status|Age", _namespace),
    "nodes": (
        "Name|Status|Roles|Age|Version|Internal-IP*|External-IP*|OS-Image*|Kernel-Version*|Container-Runtime*",
        _node,
    ),
    "pods": ("Name|Ready|Status|Restarts|Age|IP*|Node*|Nominated Node*|Readiness Gates*", _pod),
    "services": ("Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector*", _service),
    "endpoints": ("Name|Endpoints|Age", _endpoints),
    "configmaps": ("Name|Data|Age", _configmap),
    "secrets": ("Name|Type|Data|Age", _secret),
    "events": (
        "Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count*|Name*",
        _event,
    ),
    "serviceaccounts": ("Name|Secrets|Age", _serviceaccount),
    "daemonsets.apps": (
        "Name|Desired#|Current#|Ready#|Up-to-date#|Available#|Node Selector|Age|Containers*|Images*|Selector*",
        _daemonset,
    ),
    "deployments.apps": ("Name|Ready|Up-to-date|Available|Age|Containers*|Images*|Selector*", _deployment),
    "replicasets.apps": ("Name|Desired#|Current#|Ready#|Age|Containers*|Images*|Selector*", _replicaset),
    "statefulsets.apps": ("Name|Ready|Age|Containers*|Images*", _statefulset),
    "leases.coordination.k8s.io": ("Name|Holder|Age", _lease),
    "endpointslices.discovery.k8s.io": ("Name|AddressType|Ports|Endpoints|Age", _endpointslice),
    "roles.rbac.authorization.k8s.io": ("Name|Created At@", _created),
    "clusterroles.rbac.authorization.k8s.io": ("Name|Created At@", _created),
    "rolebindings.rbac.authorization.k8s.io": _ROLE_BINDING,
    "clusterrolebindings.rbac.authorization.k8s.io": _ROLE_BINDING,
    "networkpolicies.networking.k8s.io": ("Name|Pod-Selector|Age", _networkpolicy),
    "customresourcedefinitions.apiextensions.k8s.io": ("Name|Created At@", _created),
}
"""Qualified resource to its column names and the function that makes the cells. `*`: only with `-o wide`; `#`: integer; `@`: date."""

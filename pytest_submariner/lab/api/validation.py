"""What a built-in object must have, and what an update must not change: the checks lab users run into, in the genuine words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.status import Cause, Object, forbidden_value, invalid_value, required

_POD_UPDATE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check_object(kind: Kind, obj: Object) -> Iterator[Cause]:
    """What is wrong with a new or changed object, metadata aside."""
    check = _CHECKS.get(kind.qualified)
    if check:
        yield from check(obj)


def check_change(kind: Kind, new: Object, old: Object) -> Iterator[Cause]:
    """What an update of `old` to `new` must not do."""
    if kind.qualified == "pods" and _fixed_part(new["spec"]) != _fixed_part(old["spec"]):
        yield forbidden_value("spec", _POD_UPDATE)
    elif kind.qualified == "services":
        before, after = old["spec"].get("clusterIPs") or [], new["spec"].get("clusterIPs") or []
        if "ExternalName" not in {old["spec"]["type"], new["spec"]["type"]} and before != after:
            yield Cause(
                "FieldValueInvalid",
                "spec.clusterIPs[0]",
                f"Invalid value: {json.dumps(after)}: may not change once set",
            )
    elif kind.group == "apps" and new.get("spec", {}).get("selector") != old.get("spec", {}).get("selector"):
        shown = json.dumps(new["spec"].get("selector"), separators=(",", ":"))
        yield Cause("FieldValueInvalid", "spec.selector", f"Invalid value: {shown}: field is immutable")
    elif kind.qualified in {"configmaps", "secrets"} and old.get("immutable"):
        changed = [f for f in ("data", "binaryData", "immutable") if new.get(f) != old.get(f)]
        yield from (forbidden_value(f, "field is immutable when `immutable` is set") for f in changed)
    elif kind.group == "rbac.authorization.k8s.io" and "roleRef" in old and new.get("roleRef") != old["roleRef"]:
        yield Cause(
            "FieldValueInvalid", "roleRef", f"Invalid value: {json.dumps(new.get('roleRef'))}: cannot change roleRef"
        )


def _fixed_part(spec: Object) -> Object:
    """A pod's spec without what an update may change."""
    fixed = {
        k: v
        for k, v in spec.items()
        if k not in {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}
    }
    for name in ("containers", "initContainers"):
        if name in fixed:
            fixed[name] = [{k: v for k, v in c.items() if k != "image"} for c in fixed[name]]
    return fixed


def _pod(pod: Object) -> Iterator[Cause]:
    yield from _pod_spec(pod.get("spec") or {}, "spec")


def _pod_spec(spec: Object, path: str) -> Iterator[Cause]:
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    volumes = {v.get("name") for v in spec.get("volumes") or ()}
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(group) or ()):
            where, name = f"{path}.{group}[{i}]", container.get("name")
            if not name:
                yield required(f"{where}.name")
            elif name in seen:
                yield Cause("FieldValueDuplicate", f"{where}.name", f'Duplicate value: "{name}"')
            seen.add(name or "")
            if not container.get("image"):
                yield required(f"{where}.image")
            for j, mount in enumerate(container.get("volumeMounts") or ()):
                if mount.get("name") not in volumes:
                    yield Cause(
                        "FieldValueNotFound", f"{where}.volumeMounts[{j}].name", f'Not found: "{mount.get("name", "")}"'
                    )
    policy = spec.get("restartPolicy", "Always")
    if policy not in {"Always", "OnFailure", "Never"}:
        yield _unsupported(f"{path}.restartPolicy", policy, ("Always", "OnFailure", "Never"))


def _service(service: Object) -> Iterator[Cause]:
    spec = service["spec"]
    types = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec["type"] not in types:
        yield _unsupported("spec.type", spec["type"], types)
    ports = spec.get("ports") or ()
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    for i, port in enumerate(ports):
        number = port.get("port", 0)
        if not 1 <= number <= 65535:
            yield Cause(
                "FieldValueInvalid",
                f"spec.ports[{i}].port",
                f"Invalid value: {number}: must be between 1 and 65535, inclusive",
            )
        if len(ports) > 1 and not port.get("name"):
            yield required(f"spec.ports[{i}].name")
        if port["protocol"] not in {"SCTP", "TCP", "UDP"}:
            yield _unsupported(f"spec.ports[{i}].protocol", port["protocol"], ("SCTP", "TCP", "UDP"))


def _workload(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    template = spec.get("template") or {}
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid_value("spec.selector", "", "empty selector is invalid for this kind")
    else:
        labels = (template.get("metadata") or {}).get("labels") or {}
        if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
            shown = json.dumps(labels, separators=(",", ":"))
            why = "`selector` does not match template `labels`"
            yield Cause("FieldValueInvalid", "spec.template.metadata.labels", f"Invalid value: {shown}: {why}")
    yield from _pod_spec(template.get("spec") or {}, "spec.template.spec")


def _endpointslice(obj: Object) -> Iterator[Cause]:
    types = ("FQDN", "IPv4", "IPv6")
    if not obj.get("addressType"):
        yield required("addressType")
    elif obj["addressType"] not in types:
        yield _unsupported("addressType", obj["addressType"], types)


def _unsupported(field: str, value: str, supported: tuple[str, ...]) -> Cause:
    listed = ", ".join(f'"{s}"' for s in supported)
    return Cause("FieldValueNotSupported", field, f'Unsupported value: "{value}": supported values: {listed}')


_CHECKS: dict[str, Callable[[Object], Iterator[Cause]]] = {
    "pods": _pod,
    "services": _service,
    "daemonsets.apps": _workload,
    "deployments.apps": _workload,
    "replicasets.apps": _workload,
    "statefulsets.apps": _workload,
    "endpointslices.discovery.k8s.io": _endpointslice,
}

"""Which nodes may run a pod, and the scheduler's words for why not. Pure.

Considered are what kube-scheduler's NodeUnschedulable, TaintToleration and NodeAffinity plugins do. Resource requests, host
ports, affinity between pods and topology spread are not: lab nodes share one machine, and nothing in the lab runs out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_submariner.lab.controllers.conditions import is_true
from pytest_submariner.lab.controllers.selectors import matches_labels, matches_term, matches_terms

Object = dict[str, Any]
NOT_READY = "node.kubernetes.io/not-ready"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_REPELS = ("NoSchedule", "NoExecute")


def reason_against(pod_spec: Object, node: Object) -> str | None:
    """None when the pod may run there, else the first reason, as kube-scheduler words it after `N `."""
    spec, tolerations = node.get("spec") or {}, pod_spec.get("tolerations") or ()
    if spec.get("unschedulable") and not _tolerated({"key": UNSCHEDULABLE, "effect": "NoSchedule"}, tolerations):
        return "node(s) were unschedulable"
    for taint in _taints(node):
        if taint.get("effect") in _REPELS and not _tolerated(taint, tolerations):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"
    if not matches_affinity(pod_spec, node):
        return "node(s) didn't match Pod's node affinity/selector"
    return None


def matches_affinity(pod_spec: Object, node: Object) -> bool:
    """nodeSelector and required node affinity."""
    if not matches_labels(pod_spec.get("nodeSelector") or {}, node["metadata"].get("labels") or {}):
        return False
    required = _node_affinity(pod_spec).get("requiredDuringSchedulingIgnoredDuringExecution")
    return not required or matches_terms(required.get("nodeSelectorTerms") or (), node)


def choose(pod_spec: Object, nodes: Iterable[Object], pods_on: Mapping[str, int]) -> tuple[str | None, str]:
    """(node name, "") or (None, message). Preferred affinity decides, then the fewest pods, then the name."""
    against: Counter[str] = Counter()
    fit: list[Object] = []
    for node in nodes:
        if reason := reason_against(pod_spec, node):
            against[reason] += 1
        else:
            fit.append(node)
    if fit:
        best = min(fit, key=lambda n: (-_preference(pod_spec, n), pods_on.get(_name(n), 0), _name(n)))
        return _name(best), ""
    if not against:
        return None, "no nodes available to schedule pods"
    total = against.total()
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in against.items()))
    return None, (
        f"0/{total} nodes are available: {reasons}. "
        f"preemption: 0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
    )


def _taints(node: Object) -> list[Object]:
    taints = list((node.get("spec") or {}).get("taints") or ())
    if not is_true(node, "Ready") and all(taint["key"] != NOT_READY for taint in taints):
        # What the node lifecycle controller of a whole control plane writes on such a node.
        taints.append({"key": NOT_READY, "effect": "NoSchedule"})
    return taints


def _tolerated(taint: Object, tolerations: Iterable[Object]) -> bool:
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Object, taint: Object) -> bool:
    """api:core/v1/toleration.go: an empty effect or key stands for all; a key's absence needs operator Exists."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def _preference(pod_spec: Object, node: Object) -> int:
    preferred = _node_affinity(pod_spec).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(term["weight"] for term in preferred if matches_term(term["preference"], node))


def _node_affinity(pod_spec: Object) -> Object:
    affinity: Object = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    return affinity


def _name(node: Object) -> str:
    return str(node["metadata"]["name"])

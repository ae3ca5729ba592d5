"""Waiting for pods, and saying why they do not come."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pytest_submariner.errors import NodeUnreachable
from pytest_submariner.kube.errors import ApiError, PodNotReady

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient

HOPELESS = frozenset(
    {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
"""Waiting reasons that do not pass by waiting (kubernetes:pkg/kubelet/images, pkg/kubelet/kuberuntime). Pull errors
may."""
SILENCE_S = 5.0


def wait_running(
    client: KubeClient, namespace: str, names: Collection[str], deadline_s: float
) -> dict[str, dict[str, Any]]:
    """See KubeClient.wait_running: list, watch from there, list again whenever the watch ends."""
    end = time.monotonic() + deadline_s
    wanted = set(names)
    path = client.path("pods", namespace)
    while True:
        listed, version = client.list_with_version("pods", namespace=namespace)
        pods = {p["metadata"]["name"]: p for p in listed if p["metadata"]["name"] in wanted}
        if _all_run(pods, wanted):
            return pods
        remaining = end - time.monotonic()
        if remaining <= 0:
            raise PodNotReady(_explain(client, namespace, pods, wanted, deadline_s))
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(max(1, int(remaining)))}
        try:
            for event in client.rest.stream(path, query=query, read_timeout=min(remaining, SILENCE_S)):
                pod = event.get("object", {})
                name = pod.get("metadata", {}).get("name")
                if event.get("type") == "ERROR":
                    break  # the version expired: list again
                if name in wanted:
                    if event["type"] == "DELETED":
                        pods.pop(name, None)
                    else:
                        pods[name] = pod
                    if _all_run(pods, wanted):
                        return pods
                if time.monotonic() >= end:
                    break
        except (NodeUnreachable, ApiError):
            time.sleep(min(0.2, max(0.0, end - time.monotonic())))


def _all_run(pods: dict[str, dict[str, Any]], wanted: set[str]) -> bool:
    """PodNotReady as soon as one pod never will."""
    for name, pod in pods.items():
        hopeless = _hopeless(pod)
        if hopeless:
            raise PodNotReady(f"pod {name} on {_node(pod)} will not run: {hopeless}")
    return set(pods) == wanted and all(is_running(pod) for pod in pods.values())


def is_running(pod: dict[str, Any]) -> bool:
    """Phase Running, no container waiting or ended, and not on its way out."""
    status = pod.get("status", {})
    return (
        status.get("phase") == "Running"
        and "deletionTimestamp" not in pod.get("metadata", {})
        and all("running" in (c.get("state") or {}) for c in status.get("containerStatuses") or ())
    )


def _hopeless(pod: dict[str, Any]) -> str:
    status = pod.get("status", {})
    if status.get("phase") in {"Failed", "Succeeded"}:
        return f"it ended ({status['phase']}){_detail(pod)}"
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            return f"{waiting['reason']}: {waiting.get('message', 'no message')}"
    return ""


def _detail(pod: dict[str, Any]) -> str:
    """What the pod's own status tells about why it does not run; empty when it tells nothing."""
    status = pod.get("status", {})
    parts = [f"{status[k]}" for k in ("reason", "message") if status.get(k)]
    for container in _containers(pod):
        state = container.get("state") or {}
        for word in ("waiting", "terminated"):
            if word in state:
                said = [str(state[word][k]) for k in ("reason", "message") if state[word].get(k)]
                code = f"exit status {state[word]['exitCode']}" if "exitCode" in state[word] else ""
                parts.append(f"container {container['name']}: {', '.join([code, *said] if code else said) or word}")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            parts.append(f"not scheduled: {condition.get('message') or condition.get('reason')}")
    return f": {'; '.join(parts)}" if parts else ""


def _explain(
    client: KubeClient, namespace: str, pods: dict[str, dict[str, Any]], wanted: set[str], deadline_s: float
) -> str:
    lines = []
    for name in sorted(wanted):
        pod = pods.get(name)
        if pod is None:
            lines.append(f"pod {name} does not exist")
        elif not is_running(pod):
            phase = (
                "Terminating"
                if "deletionTimestamp" in pod["metadata"]
                else pod.get("status", {}).get("phase", "Pending")
            )
            lines.append(
                f"pod {name} on {_node(pod)} is {phase}{_detail(pod) or _last_warning(client, namespace, name)}"
            )
    return (
        f"{client.access.origin}: not running within {deadline_s:.0f} s in namespace {namespace}: {' | '.join(lines)}"
    )


def _last_warning(client: KubeClient, namespace: str, pod: str) -> str:
    """The newest Warning event about a pod whose status is silent (a volume that does not mount, a sandbox that
    fails)."""
    try:
        events = client.list("events", namespace=namespace, fields=f"involvedObject.name={pod}")
    except (ApiError, NodeUnreachable):
        return ""
    warnings = sorted(
        (e for e in events if e.get("type") == "Warning"), key=lambda e: str(e.get("lastTimestamp") or "")
    )
    return f": {warnings[-1].get('reason')}: {warnings[-1].get('message')}" if warnings else ""


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _node(pod: dict[str, Any]) -> str:
    return str(pod.get("spec", {}).get("nodeName") or "no node yet")

"""Phase and conditions of a pod from what its containers do (`kubelet:pkg/kubelet/kubelet_pods.go`, getPhase)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_submariner.lab.kubelet.container import State, now

Object = dict[str, Any]
OURS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def phase(restart_policy: str, *, initialized: bool, init_failed: bool, containers: Sequence[State]) -> str:
    """Pending, Running, Succeeded or Failed. A container which waits to be restarted still counts as running."""
    if init_failed:
        return "Failed"
    if not initialized:
        return "Pending"
    if any(s.running for s in containers):
        return "Pending" if any(_never_started(s) for s in containers) else "Running"
    if any(_never_started(s) for s in containers):
        return "Pending"
    ended = [s.terminated for s in containers]
    if any(e is None for e in ended) or restart_policy == "Always":
        return "Running"
    if all(e is not None and e["exitCode"] == 0 for e in ended):
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def _never_started(state: State) -> bool:
    return "waiting" in state.state and not state.last


def conditions(
    stored: Sequence[Object],
    published: Sequence[Object],
    phase_now: str,
    *,
    sandboxed: bool,
    initialized: bool,
    not_initialized: Sequence[str],
    not_ready: Sequence[str],
) -> list[Object]:
    """The kubelet's conditions, after those that others put there. Times change only when a status does.

    `stored`: what the API has, perhaps before our last write; `published`: that write.
    """
    completed = phase_now == "Succeeded"
    init = _condition(
        "Initialized", initialized, "ContainersNotInitialized", "containers with incomplete status", not_initialized
    )
    if completed:
        init = {"type": "Initialized", "status": "True", "reason": "PodCompleted"}
    ready_types = ("Ready", "ContainersReady")
    if completed or phase_now == "Failed":
        reason = "PodCompleted" if completed else "PodFailed"
        ready = [{"type": kind, "status": "False", "reason": reason} for kind in ready_types]
    else:
        ready = [
            _condition(
                kind, initialized and not not_ready, "ContainersNotReady", "containers with unready status", not_ready
            )
            for kind in ready_types
        ]
    made: list[Object] = [
        {"type": "PodReadyToStartContainers", "status": "True" if sandboxed else "False"},
        init,
        *ready,
        {"type": "PodScheduled", "status": "True"},
    ]
    before = {condition["type"]: condition for condition in (*stored, *published)}
    foreign = [condition for condition in stored if condition["type"] not in OURS]
    return [*foreign, *(_timed(condition, before.get(condition["type"])) for condition in made)]


def _condition(kind: str, true: bool, reason: str, words: str, names: Sequence[str]) -> Object:
    if true:
        return {"type": kind, "status": "True"}
    return {"type": kind, "status": "False", "reason": reason, "message": f"{words}: [{' '.join(names)}]"}


def _timed(condition: Object, before: Object | None) -> Object:
    since = before.get("lastTransitionTime") if before and before["status"] == condition["status"] else None
    return {**condition, "lastProbeTime": None, "lastTransitionTime": since or now()}

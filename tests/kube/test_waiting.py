"""Waiting for pods: success by list or by watch, and the reason when there is none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from scripted_api import Answer, Script

from pytest_submariner.kube.client import KubeClient
from pytest_submariner.kube.errors import PodNotReady


def pod(
    name: str, phase: str = "Running", *, state: Any = None, conditions: Sequence[Any] = (), **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": "c1-w1"},
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": "main", "state": state}] if state else [],
            "conditions": list(conditions),
            **status,
        },
    }


Serve = Callable[..., None]
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


@pytest.fixture
def pods(script: Script) -> Serve:

    def serve(listed: list[Any], *events: Any) -> None:
        """The first list, then the watch; later lists repeat the last state."""
        script.on(
            "GET /api/v1/namespaces/x/pods?limit", Answer({"items": listed, "metadata": {"resourceVersion": "5"}})
        )
        script.on("GET /api/v1/namespaces/x/pods?watch", Answer("".join(json.dumps(e) + "\n" for e in events)))
        script.on("GET /api/v1/namespaces/x/events", Answer({"items": []}))

    return serve


def test_pods_that_run_already(client: KubeClient, pods: Serve) -> None:
    pods([pod("a", state=RUNNING), pod("b"), pod("other", "Failed")])
    assert set(client.wait_running("x", ["a", "b"], 5)) == {"a", "b"}


def test_pods_that_come_by_watch(client: KubeClient, pods: Serve, script: Script) -> None:
    pods([pod("a", "Pending")], {"type": "MODIFIED", "object": pod("a", state=RUNNING)})
    assert client.wait_running("x", {"a"}, 5)["a"]["status"]["phase"] == "Running"
    assert "resourceVersion=5" in script.seen[1][0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            pod("a", "Failed", state={"terminated": {"exitCode": 2, "reason": "Error"}}),
            "container main: exit status 2, Error",
        ),
        (
            pod("a", "Pending", state={"waiting": {"reason": "InvalidImageName", "message": "bad ref"}}),
            "InvalidImageName: bad ref",
        ),
        (
            pod("a", "Failed", reason="Evicted", message="The node was low on memory"),
            "Evicted; The node was low on memory",
        ),
    ],
)
def test_a_pod_that_never_will_run_ends_the_wait_at_once(
    client: KubeClient, pods: Serve, given: Any, words: str
) -> None:
    pods([given])
    started = time.monotonic()
    with pytest.raises(PodNotReady, match=words):
        client.wait_running("x", ["a"], 30)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "pod a does not exist"),
        (
            [
                pod(
                    "a",
                    "Pending",
                    conditions=[{"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}],
                )
            ],
            "is Pending: not scheduled: 0/2 nodes are available",
        ),
        (
            [pod("a", "Pending", state={"waiting": {"reason": "ImagePullBackOff", "message": "back-off"}})],
            "ImagePullBackOff, back-off",
        ),
        ([pod("a", state={"waiting": {"reason": "CrashLoopBackOff"}})], "is Running: container main: CrashLoopBackOff"),
    ],
)
def test_at_the_deadline_every_pod_has_its_reason(client: KubeClient, pods: Serve, given: Any, words: str) -> None:
    pods(given)
    with pytest.raises(PodNotReady, match=words):
        client.wait_running("x", ["a"], 0.3)


def test_a_silent_pod_is_explained_by_its_last_warning(client: KubeClient, pods: Serve, script: Script) -> None:
    pods([pod("a", "Pending")])
    event = {
        "type": "Warning",
        "reason": "FailedMount",
        "message": "no such secret",
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    script.on("GET /api/v1/namespaces/x/events", Answer({"items": [event]}))
    with pytest.raises(PodNotReady, match="FailedMount: no such secret"):
        client.wait_running("x", ["a"], 0.3)

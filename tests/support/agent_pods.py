"""Submariner's pods in a running lab: found by node, killed, deleted, moved."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from running_lab import RunningLab, submariner_lab

from pytest_submariner.kube.client import KubeClient

OPERATOR = "submariner-operator"
GATEWAY_LABEL = "submariner.io/gateway"
Object = dict[str, Any]


def eventually(condition: Callable[[], Any], deadline_s: float = 15) -> Any:
    """The first true value of `condition`."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not true after {deadline_s:g} s"
        time.sleep(0.1)
    return value


def pod_on(kube: KubeClient, app: str, node: str) -> Object:
    """The node's one pod of `app` that is not on its way out; {} when there is none."""
    pods = kube.list("pods", namespace=OPERATOR, labels=f"app={app}", fields=f"spec.nodeName={node}")
    return next((pod for pod in pods if "deletionTimestamp" not in pod["metadata"]), {})


def life(pod: Object) -> tuple[int, bool]:
    """How often its container was restarted, and whether it runs."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return statuses[0].get("restartCount", 0), "running" in (statuses[0].get("state") or {})


def kill(lab: RunningLab, node: str, program: str) -> int:
    """SIGKILL for the node's process of that program, by its pid; the pid."""
    script = (
        f'for p in $(pidof {program}); do grep -qz "^NODE_NAME={node}$" /proc/$p/environ && kill -9 $p && echo $p; done'
    )
    done = lab.run(node, "sh", "-c", script)
    pid = done.stdout.decode().split()
    assert len(pid) == 1, done.stderr.decode()
    return int(pid[0])


def delete_and_await(kube: KubeClient, app: str, node: str) -> tuple[Object, Object]:
    """Deletes the node's pod; it, and the one that took its place and is ready."""
    before = pod_on(kube, app, node)
    kube.delete("pods", before["metadata"]["name"], namespace=OPERATOR)

    def successor() -> Object:
        pod = pod_on(kube, app, node)
        return pod if pod and pod["metadata"]["uid"] != before["metadata"]["uid"] and life(pod) == (0, True) else {}

    return before, eventually(successor)


def log(lab: RunningLab, node: str, part: str) -> str:
    done = submariner_lab("logs", "--name", lab.name, node, part)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def gateways(kube: KubeClient) -> dict[str, str]:
    """Gateway -> active or passive, with the cable's state when there is one: `active, connected`."""
    found = {}
    for gateway in kube.list("gateways.submariner.io", namespace=OPERATOR):
        status = gateway.get("status") or {}
        cables = {f", {connection['status']}" for connection in status.get("connections") or ()}
        found[gateway["metadata"]["name"]] = status.get("haStatus", "") + "".join(sorted(cables))
    return found


def set_gateway_label(kube: KubeClient, node: str, value: str | None) -> None:
    """ "true" makes a node a gateway candidate; None takes the label away, and with it the gateway pod."""
    kube.patch("nodes", node, {"metadata": {"labels": {GATEWAY_LABEL: value}}})


def reaches(lab: RunningLab, node: str, ip: str) -> bool:
    """One answered ping from the node's host network, the path that needs everything Submariner programs."""
    return lab.run(node, "ping", "-c1", "-W1", ip).returncode == 0

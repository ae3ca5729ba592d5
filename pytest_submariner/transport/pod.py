"""Nodes by their pods: the Route Agent's, which is privileged and on the host network of every node, or one of our own.

The Route Agent's image has `ip`, `iptables`, `ipset` in it (submariner:package/Dockerfile.submariner-route-agent), so
nothing needs to be installed or created.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_submariner.errors import CommandNotFound, NodeUnreachable, SubmarinerError, TransportError
from pytest_submariner.kube.ownership import OWNER, OWNER_LABEL, namespace
from pytest_submariner.model.result import CommandResult
from pytest_submariner.transport.base import DEFAULT_TIMEOUT_S

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient

logger = logging.getLogger("submariner.transport")
ROUTE_AGENT = "app=submariner-routeagent"
LIFETIME_S = 7200
START_S = 90.0
HOST = "/host"


@dataclass(frozen=True)
class PodAddress:
    """A container on the node."""

    namespace: str
    pod: str
    container: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"


class RouteAgentTransport:
    """Runs commands in the Route Agent's container on a node. NodeUnreachable when there is none, or none that runs."""

    name = "pod"

    def __init__(self, node: str, kube: KubeClient) -> None:
        self._node = node
        self._kube = kube
        self._found: PodAddress | None = self._find()

    @property
    def about(self) -> str:
        return f"Route Agent pod {self._found or 'on ' + self._node}"

    def run(
        self, argv: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT_S, stdin: bytes | None = None
    ) -> CommandResult:
        where = self._found or self._find()
        self._found = where
        try:
            answer = self._kube.exec(where.namespace, where.pod, where.container, argv, stdin=stdin, timeout=timeout)
        except NodeUnreachable:
            self._found = None  # a DaemonSet's pod comes back under another name
            raise
        return replace(answer, node=self._node, transport=self.name)

    def close(self) -> None:
        """Nothing was made."""

    def _find(self) -> PodAddress:
        pods = self._kube.list("pods", labels=ROUTE_AGENT, fields=f"spec.nodeName={self._node}")
        if not pods:
            raise NodeUnreachable(f"{self._kube.access.origin}: no Route Agent pod ({ROUTE_AGENT}) on {self._node}")
        from pytest_submariner.kube.waiting import is_running

        for pod in pods:
            if is_running(pod):
                meta = pod["metadata"]
                return PodAddress(meta["namespace"], meta["name"], pod["spec"]["containers"][0]["name"])
        phases = ", ".join(f"{p['metadata']['name']} is {p.get('status', {}).get('phase', 'Pending')}" for p in pods)
        raise NodeUnreachable(f"{self._kube.access.origin}: the Route Agent on {self._node} does not run: {phases}")


class HelperPodTransport:
    """Runs commands in a privileged pod that is made on the node in a namespace of its own, and removed by `close`.

    Where the node's own root is visible from the pod, commands are the node's (chroot), else the image's. PodNotReady,
    ApiError (admission) or another TransportError say why the pod could not be had.
    """

    name = "pod"

    def __init__(self, node: str, kube: KubeClient, image: str) -> None:
        self._node = node
        self._kube = kube
        self._namespace = f"submariner-node-{secrets.token_hex(4)}"
        self._closed = threading.Lock()
        try:
            self._create(image)
            self._prefix = self._own_root()
        except TransportError:
            self.close()
            raise

    @property
    def about(self) -> str:
        tools = "the node's own programs" if self._prefix else "the image's programs"
        return f"privileged pod {self._namespace}/node with {tools}"

    def run(
        self, argv: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT_S, stdin: bytes | None = None
    ) -> CommandResult:
        answer = self._kube.exec(
            self._namespace, "node", "node", argv, stdin=stdin, timeout=timeout, prefix=self._prefix
        )
        return replace(answer, node=self._node, transport=self.name)

    def close(self) -> None:
        if not self._closed.acquire(blocking=False):
            return
        try:
            self._kube.delete("namespaces", self._namespace)
        except SubmarinerError as error:  # it carries its lifetime: a later run removes it
            logger.warning("namespace %s stays behind: %s", self._namespace, error)

    def _create(self, image: str) -> None:
        self._kube.create("namespaces", namespace(self._namespace, LIFETIME_S))
        self._kube.create("pods", _manifest(self._namespace, self._node, image))
        self._kube.wait_running(self._namespace, {"node"}, START_S)

    def _own_root(self) -> list[str]:
        try:
            answer = self._kube.exec(self._namespace, "node", "node", ["chroot", HOST, "sh", "-c", "command -v ip"])
        except CommandNotFound:
            return []
        return ["chroot", HOST] if answer.exit_status == 0 else []


def _manifest(space: str, node: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "node", "namespace": space, "labels": {OWNER_LABEL: OWNER}},
        "spec": {
            "nodeName": node,
            "hostNetwork": True,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFETIME_S,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "node",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", str(LIFETIME_S)],
                    "securityContext": {"privileged": True, "runAsUser": 0},
                    "volumeMounts": [{"name": "host", "mountPath": HOST}],
                }
            ],
            "volumes": [{"name": "host", "hostPath": {"path": "/", "type": "Directory"}}],
        },
    }

"""Pods' exec and log: which pod and container is meant. What runs there is the kubelet's (`PodSubresources`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from pytest_submariner.lab.api.status import Object, StatusError, bad_request

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


class PodSubresources(Protocol):
    """Runs commands in pods and reads their logs; `pod` is the stored object, `container` one of its names."""

    async def exec(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        """Takes the connection over: WebSocket (GET) or SPDY/3.1 (POST)."""

    async def logs(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        """Plain text, chunked; follow, tailLines and so on from the request's query."""


class NoPods:
    """For a server without a kubelet: nothing runs, so there is nothing to ask."""

    async def exec(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        raise _no_kubelet(pod)

    async def logs(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        raise _no_kubelet(pod)


def _no_kubelet(pod: Object) -> StatusError:
    node = pod["spec"].get("nodeName", "")
    return StatusError(
        500, "InternalError", f"Internal error occurred: error dialing backend: no kubelet on node {node}"
    )


def is_upgrade(headers: Mapping[str, str]) -> bool:
    return "upgrade" in headers.get("Connection", "").lower() and bool(headers.get("Upgrade"))


def container_of(pod: Object, asked: str, *, verb: str) -> str:
    """The container meant by `asked`, which may be empty; StatusError 400 in the genuine words.

    Without a name the default-container annotation or the only container is meant (kubernetes:pkg/registry/core/pod/strategy.go).
    """
    spec, name = pod["spec"], pod["metadata"]["name"]
    containers = [c["name"] for c in spec.get("containers") or ()]
    initial = [c["name"] for c in spec.get("initContainers") or ()]
    if asked:
        if asked not in (*containers, *initial):
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    default = (pod["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER)
    if default in containers and verb == "exec":
        return str(default)
    if len(containers) == 1:
        return str(containers[0])
    choices = f"choose one of: [{' '.join(containers)}]"
    extra = f" or one of the init containers: [{' '.join(initial)}]" if initial else ""
    raise bad_request(f"a container name must be specified for pod {name}, {choices}{extra}")


def check_host(pod: Object) -> None:
    """StatusError 400 for a pod that no node has yet."""
    if not pod["spec"].get("nodeName"):
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")

"""Waiting for a collection of the API to look right, by watching it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.dataplane.constants import OPERATOR_NAMESPACE
from pytest_submariner.errors import LabError
from pytest_submariner.lab.spec import ClusterSpec
from pytest_submariner.lab.submariner.creation import path
from pytest_submariner.lab.submariner.objects import GROUP_V1

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]
_HOPELESS: Final = 3
"""Deaths while a lab boots. One or two may be a dependency that is not there yet."""


async def wait_for(
    api: KubeApi, collection: str, complaint: Callable[[Sequence[Object]], str], deadline_s: float
) -> None:
    """Returns once `complaint` has nothing to say about the objects at `collection`; LabError with its last words after
    `deadline_s`."""
    informer = api.informer(collection)
    last = "nothing was listed"
    changed = asyncio.Event()
    try:
        informer.on_event(lambda _: changed.set())
        informer.start()
        async with asyncio.timeout(deadline_s):
            await informer.synced.wait()
            while last := complaint(list(informer.cache.values())):
                changed.clear()
                await changed.wait()
    except TimeoutError as error:
        raise LabError(f"{collection} was not as it should be after {deadline_s:g} s: {last}") from error
    finally:
        await informer.stop()


async def nodes_registered(api: KubeApi, cluster: ClusterSpec, deadline_s: float) -> None:
    """The FDB of a gateway is made of Node objects, which the kubelet registers."""
    names = {node.name for node in cluster.nodes}

    def missing(nodes: Sequence[Object]) -> str:
        absent = sorted(names - {node["metadata"]["name"] for node in nodes if internal_ip(node)})
        return f"nodes not registered: {', '.join(absent)}" if absent else ""

    await wait_for(api, "/api/v1/nodes", missing, deadline_s)


async def submariner_ready(api: KubeApi, cluster: ClusterSpec, remotes: int, deadline_s: float) -> None:
    """Every gateway and route agent pod runs, and the active gateway's `remotes` cables have answered a ping. A pod that dies
    again and again is not waited for: LabError at once."""
    pods, gateways = len(cluster.nodes) + len(cluster.gateways), len(cluster.gateways)

    def not_running(found: Sequence[Object]) -> str:
        waiting = sorted(_why(pod) for pod in found if not _is_ready(pod))
        if waiting:
            return f"pods not running: {', '.join(waiting)}"
        return f"{len(found)} of {pods} Submariner pods exist" if len(found) < pods else ""

    def not_connected(found: Sequence[Object]) -> str:
        if len(found) < gateways:
            return f"{len(found)} of {gateways} Gateways published"
        statuses = [gateway.get("status") or {} for gateway in found]
        active = [status for status in statuses if status.get("haStatus") == "active"]
        healthy = [connection for status in active for connection in status["connections"] if _has_latency(connection)]
        return "" if active and len(healthy) == remotes else f"{len(healthy)} of {remotes} cables answered a ping"

    all_pods = path("v1", "pods", OPERATOR_NAMESPACE)
    gateways_path = path(GROUP_V1, "gateways", OPERATOR_NAMESPACE)

    async def all_is_well() -> None:
        await asyncio.gather(
            wait_for(api, all_pods, not_running, deadline_s), wait_for(api, gateways_path, not_connected, deadline_s)
        )

    well = asyncio.create_task(all_is_well())
    hopeless = asyncio.create_task(wait_for(api, all_pods, _hope, 2 * deadline_s))
    try:
        done, _ = await asyncio.wait({well, hopeless}, return_when=asyncio.FIRST_COMPLETED)
        done.pop().result()
    finally:
        for watch in (well, hopeless):
            watch.cancel()
        await asyncio.gather(well, hopeless, return_exceptions=True)


def _hope(pods: Sequence[Object]) -> str:
    """Never satisfied; LabError for a pod that dies again and again."""
    if doomed := sorted(_why(pod) for pod in pods if _deaths(pod) >= _HOPELESS):
        raise LabError(f"pods that do not stay alive: {', '.join(doomed)}")
    return "pods live"


def internal_ip(node: Object) -> str:
    """The first InternalIP of a Node; "" while it has none."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((a["address"] for a in addresses if a["type"] == "InternalIP" and ":" not in a["address"]), "")


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _deaths(pod: Object) -> int:
    """How often its containers have ended so far; the kubelet makes the last life a "waiting" with the former as its last state."""
    return sum(
        status.get("restartCount", 0) + ("running" not in (status.get("state") or {}) and bool(status.get("lastState")))
        for status in (pod.get("status") or {}).get("containerStatuses") or ()
    )


def _why(pod: Object) -> str:
    """The pod's name, and what its container waits for or ended with."""
    name: str = pod["metadata"]["name"]
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        state = status.get("state") or {}
        said = state.get("waiting") or state.get("terminated") or {}
        if said.get("reason"):
            return f"{name} ({said['reason']}: {said.get('message', '')})".replace(": )", ")")
    return name


def _has_latency(connection: Object) -> bool:
    last: str = (connection.get("latencyRTT") or {}).get("last", "0s")
    return last != "0s" and bool(connection["status"] == "connected")

"""Node objects and their leases, as a kubelet registers them."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
import uuid
from pathlib import Path
from typing import Any

from pytest_submariner.errors import LabError
from pytest_submariner.lab import toolsets
from pytest_submariner.lab.kubeapi import ApiError, KubeApi
from pytest_submariner.lab.kubelet.container import now
from pytest_submariner.lab.spec import NodeSpec

Object = dict[str, Any]
KUBELET_VERSION = "v1.32.0-submariner-lab"
LEASE_S, RENEW_S = 40, 10.0
"""As `kubelet:pkg/kubelet` has them; a node controller takes a node whose lease is older for lost."""
MAX_PODS = 110
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
log = logging.getLogger(__name__)


def node_object(node: NodeSpec, kubelet_port: int) -> Object:
    """The whole object, status included. `kubelet_port` is where a genuine API server finds exec and logs."""
    machine = platform.machine()
    labels = {
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": _ARCHITECTURES.get(machine, machine),
    }
    if node.gateway:
        labels["submariner.io/gateway"] = "true"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        # subctl restarts a gateway node by `reboot` unless the provider is kind (`subctl-verify`: GWF-02); a lab node shares the machine.
        "spec": {
            "podCIDR": node.pod_cidr,
            "podCIDRs": [node.pod_cidr],
            "providerID": f"kind://submariner-lab/{node.cluster}/{node.name}",
        },
        "status": _status(node, kubelet_port),
    }


def _status(node: NodeSpec, kubelet_port: int) -> Object:
    memory = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 1024}Ki"
    size = {"cpu": str(os.cpu_count() or 1), "memory": memory, "pods": str(MAX_PODS)}
    return {
        "addresses": [{"type": "InternalIP", "address": node.ip}, {"type": "Hostname", "address": node.name}],
        "capacity": size,
        "allocatable": size,
        "conditions": [
            _condition(
                "MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"
            ),
            _condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            _condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            _condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        "images": [{"names": [name], "sizeBytes": 0} for name in toolsets.TOOLSETS_BY_NAME],
        "nodeInfo": {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "bootID": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "containerRuntimeVersion": "submariner-lab://1",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": uuid.uuid5(uuid.NAMESPACE_DNS, node.name).hex,
            "operatingSystem": "linux",
            "osImage": _os_image(),
            "systemUUID": str(uuid.uuid5(uuid.NAMESPACE_DNS, node.name)),
        },
    }


def _condition(kind: str, status: str, reason: str, message: str) -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now(),
        "lastTransitionTime": now(),
    }


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


async def register(api: KubeApi, node: NodeSpec, kubelet_port: int) -> None:
    """Returns when the node is there and Ready."""
    wanted = node_object(node, kubelet_port)
    path = f"/api/v1/nodes/{node.name}"
    try:
        stored = await api.create("/api/v1/nodes", wanted)
    except ApiError as error:
        if error.status != 409:
            raise
        stored = await api.patch(path, {key: wanted[key] for key in ("metadata", "spec")})
    if (stored.get("spec") or {}).get("taints"):
        # A genuine API server taints new nodes until a node controller sees them Ready; there is none.
        await api.patch(path, {"spec": {"taints": None}})
    if (stored.get("status") or {}).get("daemonEndpoints") != wanted["status"]["daemonEndpoints"]:
        await api.patch(f"{path}/status", {"status": wanted["status"]})


class Leases:
    """Keeps the nodes' leases fresh: the sign of life that node controllers and `kubectl describe node` look at."""

    def __init__(self, api: KubeApi, nodes: tuple[NodeSpec, ...]) -> None:
        self._api = api
        self._nodes = nodes
        self._held: set[str] = set()

    async def keep(self) -> None:
        """For ever; a node whose lease cannot be renewed is tried again the next time."""
        while True:
            for node in self._nodes:
                try:
                    await self._renew(node.name)
                except LabError as error:
                    log.info("lease of %s: %s", node.name, error)
            await asyncio.sleep(RENEW_S)

    async def _renew(self, node: str) -> None:
        path, seconds = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", time.time()
        moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1e6):06d}Z"
        spec = {"holderIdentity": node, "leaseDurationSeconds": LEASE_S, "renewTime": moment}
        if node in self._held:
            await self._api.patch(f"{path}/{node}", {"spec": spec})
            return
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": node, "namespace": "kube-node-lease"},
        }
        try:
            await self._api.create(path, {**lease, "spec": spec})
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        self._held.add(node)

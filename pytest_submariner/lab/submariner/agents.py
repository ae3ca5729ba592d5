"""Submariner's genuine agents in the lab: the gateway and route agent binaries of a folder, one process per node, as DaemonSets."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from pytest_submariner.dataplane import constants as c
from pytest_submariner.errors import LabError
from pytest_submariner.lab import toolsets
from pytest_submariner.lab.binaries import check_starts
from pytest_submariner.lab.spec import ClusterSpec, LabSpec
from pytest_submariner.lab.submariner import agentpods, crds, objects, rbac
from pytest_submariner.lab.submariner.access import ApiAccess
from pytest_submariner.lab.submariner.creation import Creator
from pytest_submariner.lab.submariner.foundation import Broker, grant, lay_foundation, open_broker, token
from pytest_submariner.lab.submariner.lastwords import last_words
from pytest_submariner.lab.submariner.readiness import submariner_ready

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi
    from pytest_submariner.lab.network import Network

Object = dict[str, Any]
READY_DEADLINE_S: Final = 60.0
_PATHS_DEADLINE_S: Final = 30.0
_PING_INTERVAL_S: Final = 0.1
log = logging.getLogger(__name__)


class AgentsSubmariner:
    """`install()` once; afterwards the agents do what they do."""

    def __init__(
        self,
        spec: LabSpec,
        apis: Mapping[str, KubeApi],
        network: Network,
        api_access: ApiAccess,
        folder: Path,
    ) -> None:
        """`folder` holds the binaries; LabError names one that is missing or does not start here."""
        self._spec = spec
        self._apis = apis
        self._network = network
        self._access = api_access
        self._definitions = _definitions(folder)
        said = [check_starts(folder / program, "--agents-dir", "--version") for program in agentpods.PROGRAMS]
        self._version = _version(said[0])
        toolsets.register(agentpods.toolset(folder))

    async def prepare(self, cluster: ClusterSpec) -> None:
        """The kinds, which have to be there before anything else."""
        await crds.install_early(self._apis[cluster.name], self._definitions)

    async def install(self) -> None:
        """Kinds, permissions, pods. Returns when both gateways report their cables connected and every node reaches every
        remote gateway. LabError says what is missing."""
        clusters, remotes = self._spec.clusters, len(self._spec.clusters) - 1
        async with self._phase("kinds"):
            await asyncio.gather(*(crds.install(self._apis[c.name], self._definitions) for c in clusters))
            broker = await open_broker(self._apis[clusters[0].name], self._spec, self._access)
        async with self._phase("objects"):
            await asyncio.gather(*(self._install_objects(cluster, broker) for cluster in clusters))
        async with self._phase("workloads"):
            await asyncio.gather(*(self._install_agents(cluster, broker) for cluster in clusters))
        async with self._phase("cables"):
            await asyncio.gather(*(self._await_ready(c, remotes) for c in clusters))
        async with self._phase("paths"):
            await self._await_paths()

    @staticmethod
    @asynccontextmanager
    async def _phase(name: str) -> AsyncIterator[None]:
        start = asyncio.get_running_loop().time()
        yield
        log.info("%s: %.1f s", name, asyncio.get_running_loop().time() - start)

    async def stop(self) -> None:
        """Nothing of its own runs: the pods are the kubelet's."""

    async def _install_objects(self, cluster: ClusterSpec, broker: Broker) -> None:
        api = self._apis[cluster.name]
        await lay_foundation(api, self._spec, cluster, broker)
        create = Creator(api)
        # As if each cluster's first gateway had just restarted: which one is active in a fresh lab is no race.
        first = min(gateway.name for gateway in cluster.gateways)
        await create("coordination.k8s.io/v1", "leases", objects.lease(first))
        await grant(create, rbac.agents())

    async def _install_agents(self, cluster: ClusterSpec, broker: Broker) -> None:
        api = self._apis[cluster.name]
        create = Creator(api)
        for account in (rbac.GATEWAY_ACCOUNT, rbac.ROUTE_AGENT_ACCOUNT):
            secret = _kubeconfig_secret(cluster, self._access, account, await token(api, c.OPERATOR_NAMESPACE, account))
            await create("v1", "secrets", secret)
        for daemonset in agentpods.daemonsets(cluster, self._spec.cable, broker, self._version):
            await create("apps/v1", "daemonsets", daemonset)

    async def _await_ready(self, cluster: ClusterSpec, remotes: int) -> None:
        api = self._apis[cluster.name]
        try:
            await submariner_ready(api, cluster, remotes, READY_DEADLINE_S)
        except LabError as error:
            raise LabError(f"{error}\n{await last_words(api)}".rstrip()) from error

    async def _await_paths(self) -> None:
        """One answered ping from every node's host network to every remote gateway: what a route agent programs last."""
        deadline = asyncio.get_running_loop().time() + _PATHS_DEADLINE_S
        targets = [
            (node.name, gateway.cni_ip)
            for cluster in self._spec.clusters
            for node in cluster.nodes
            for other in self._spec.clusters
            if other != cluster
            for gateway in (await self._active_gateway(other),)
        ]
        while targets:
            answered = await asyncio.gather(*(self._answers(node, ip) for node, ip in targets))
            targets = [target for target, done in zip(targets, answered, strict=True) if not done]
            if targets and asyncio.get_running_loop().time() > deadline:
                missing = ", ".join(f"{node} to {ip}" for node, ip in targets)
                raise LabError(
                    f"the agents run, but these pings are not answered after {_PATHS_DEADLINE_S:.0f} s: {missing}"
                )
            if targets:
                await asyncio.sleep(_PING_INTERVAL_S)

    async def _active_gateway(self, cluster: ClusterSpec) -> Any:
        path = f"/apis/submariner.io/v1/namespaces/{c.OPERATOR_NAMESPACE}/gateways"
        active = [g for g in await self._apis[cluster.name].list(path) if g["status"]["haStatus"] == "active"]
        return self._spec.node(active[0]["metadata"]["name"])

    async def _answers(self, node: str, ip: str) -> bool:
        status, _, _ = await self._network.run(node, "ping", "-c1", "-W1", ip)
        return status == 0


def _version(said: str) -> str:
    """`submariner-gateway version: devel` as an image's tag."""
    found = re.search(r" version: *([\w.-]+)", said)
    return found[1] if found else "unknown"


def _definitions(folder: Path) -> list[Object]:
    """The folder's own CRDs (`*crds*.yaml`), which are of the agents' release, else the lab's schema-less ones."""
    if not folder.is_dir():
        raise LabError(f"--agents-dir {folder}: there is no such folder")
    found: list[Object] = []
    for file in sorted(folder.glob("*crd*.yaml")):
        try:
            found += [item for item in yaml.safe_load_all(file.read_text()) if item]
        except (OSError, yaml.YAMLError) as error:
            raise LabError(f"--agents-dir: {file} cannot be read: {error}") from error
    return [item for item in found if item.get("kind") == "CustomResourceDefinition"] or crds.definitions()


def _kubeconfig_secret(cluster: ClusterSpec, access: ApiAccess, account: str, bearer: str) -> Object:
    ca = base64.b64encode(access.ca_pem).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster.name,
        "clusters": [
            {"name": cluster.name, "cluster": {"server": access.urls[cluster.name], "certificate-authority-data": ca}}
        ],
        "users": [{"name": account, "user": {"token": bearer}}],
        "contexts": [{"name": cluster.name, "context": {"cluster": cluster.name, "user": account}}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": agentpods.kubeconfig_secret(account), "namespace": c.OPERATOR_NAMESPACE},
        "type": "Opaque",
        "data": {"kubeconfig": base64.b64encode(yaml.safe_dump(config).encode()).decode()},
    }

"""The control plane inside the holder: one `ApiServer` object per cluster, nothing to download, up in a tenth of a second."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence

from pytest_submariner.lab.api.server import ApiServer
from pytest_submariner.lab.controlplane.base import ClusterParts, Early
from pytest_submariner.lab.credentials import ADMIN, Credentials
from pytest_submariner.lab.kubelet.remote import RemoteCommands
from pytest_submariner.lab.spec import UNDERLAY_GATEWAY


class EmbeddedControlPlane:
    """Each server listens twice: on the underlay for the lab's inside, on the host's loopback for users."""

    def __init__(self, credentials: Credentials, listeners: Mapping[str, socket.socket]) -> None:
        self._credentials = credentials
        self._listeners = listeners
        self._servers: list[ApiServer] = []

    async def start(self, clusters: Sequence[ClusterParts], early: Early) -> None:
        await asyncio.gather(*(self._start(cluster, early) for cluster in clusters))

    async def _start(self, cluster: ClusterParts, early: Early) -> None:
        inside = socket.create_server((UNDERLAY_GATEWAY, cluster.spec.api_port), backlog=128)
        server = ApiServer(
            cluster.spec.name,
            tokens={self._credentials.token: ADMIN},
            service_cidr=cluster.spec.service_cidr,
            pods=RemoteCommands(cluster.kubelet),
            advertise=(UNDERLAY_GATEWAY, cluster.spec.api_port),
        )
        self._servers.append(server)
        await server.start([inside, self._listeners[cluster.spec.name]], self._credentials.authority.server_context())
        await early(cluster.spec)

    async def stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))

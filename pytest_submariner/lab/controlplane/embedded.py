"""The control plane inside the holder: one `ApiServer` object per cluster, nothing to download, up in a tenth of a second."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Final

from pytest_submariner.lab.api.server import ApiServer
from pytest_submariner.lab.controlplane.base import ClusterParts, Early
from pytest_submariner.lab.credentials import ADMIN, Credentials
from pytest_submariner.lab.kubelet.remote import RemoteCommands
from pytest_submariner.lab.spec import UNDERLAY_GATEWAY, ClusterSpec

_LOOPBACK: Final = "127.0.0.1"


class EmbeddedControlPlane:
    """Each server listens three times: on the underlay for the lab's inside, on the host's loopback for users, and, without TLS, on
    the holder's own loopback: there both ends are one process, and encryption was a third of a boot's work."""

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
        own = socket.create_server((_LOOPBACK, cluster.spec.api_port), backlog=128)
        listeners = [inside, self._listeners[cluster.spec.name]]
        await server.start(listeners, self._credentials.authority.server_context(), plain=[own])
        await early(cluster.spec)

    def own_url(self, cluster: ClusterSpec) -> str:
        """Of the holder's network namespace, which no other process of the lab stands in."""
        return f"http://{_LOOPBACK}:{cluster.api_port}"

    async def stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))

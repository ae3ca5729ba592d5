"""The genuine control plane: one etcd, one kube-apiserver per cluster, found the way envtest finds them."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from pytest_submariner.errors import LabError
from pytest_submariner.lab.binaries import check_starts
from pytest_submariner.lab.controlplane.base import ClusterParts, Early
from pytest_submariner.lab.credentials import ADMIN, Credentials, write_private
from pytest_submariner.lab.kubelet.server import KubeletServer
from pytest_submariner.lab.network import PATH, Network
from pytest_submariner.lab.relay import Relay
from pytest_submariner.lab.spawner import Process, ProcessSpec, Sandbox, Spawner
from pytest_submariner.lab.spec import UNDERLAY_GATEWAY, ClusterSpec

_FOLDER: Final = "/run/control-plane"
"""Where the processes see their files."""
_PROGRAMS: Final = "/run/programs"
_ETCD_PORT: Final = 2379
_READY_DEADLINE_S: Final = 60.0
_POLL_S: Final = 0.05
_LOG_LINES: Final = 12
_GO: Final = {"GOGC": "300", "GOMEMLIMIT": "400MiB"}
"""An API server starts a fifth sooner when it collects its garbage less often, for 100 MB more."""
ASSETS: Final = "KUBEBUILDER_ASSETS"


def find_binary(name: str) -> Path:
    """`$KUBEBUILDER_ASSETS/NAME`, else NAME on PATH; LabError says where it comes from and what is wrong with it."""
    assets = os.environ.get(ASSETS)
    candidate = Path(assets) / name if assets else None
    found = str(candidate) if candidate is not None and candidate.exists() else shutil.which(name)
    if found is None:
        where = f"${ASSETS} ({assets})" if assets else f"${ASSETS}"
        source = "the package etcd-server" if name == "etcd" else "envtest (setup-envtest use) or a Kubernetes release"
        raise LabError(f"--control-plane kube needs {name}: it is neither in {where} nor on PATH; get it from {source}")
    check_starts(Path(found), "--control-plane kube", "--version")
    return Path(found).resolve()


def _inside(program: Path) -> str:
    """Where the processes see it."""
    return f"{_PROGRAMS}/{program.name}/{program.name}"


@dataclass
class _Server:
    cluster: ClusterSpec
    process: Process


class GenuineControlPlane:
    """`start()` once; each API server is then ready on UNDERLAY_GATEWAY and its cluster's port."""

    def __init__(
        self,
        folder: Path,
        credentials: Credentials,
        listeners: Mapping[str, socket.socket],
        network: Network,
        spawner: Spawner,
    ) -> None:
        self._folder = folder
        self._listeners = listeners
        self._credentials = credentials
        self._network = network
        self._spawner = spawner
        self._etcd = find_binary("etcd")
        self._apiserver = find_binary("kube-apiserver")
        self._stoppable: list[KubeletServer | Relay] = []

    def own_url(self, cluster: ClusterSpec) -> str:
        """The same as everybody's inside the lab."""
        return f"https://{UNDERLAY_GATEWAY}:{cluster.api_port}"

    async def start(self, clusters: Sequence[ClusterParts], early: Early) -> None:
        """LabError shows the last lines of whichever process did not get ready."""
        self._folder.mkdir(mode=0o700)
        self._write_files()
        # Programs may lie where a sandbox has folders of its own, /tmp for one.
        programs = {f"{_PROGRAMS}/{binary.name}": str(binary.parent) for binary in (self._etcd, self._apiserver)}
        sandbox = await self._network.fabric_sandbox(shares={_FOLDER: str(self._folder), **programs})
        etcd = await self._spawn(sandbox, "etcd", self._etcd_arguments())
        await self._await_port(etcd, "etcd", _ETCD_PORT)
        await asyncio.gather(*(self._start(sandbox, cluster, early) for cluster in clusters))

    async def _start(self, sandbox: Sandbox, cluster: ClusterParts, early: Early) -> None:
        """An API server, the kubelet's listeners on its nodes' addresses, the way in from the host."""
        name = f"kube-apiserver-{cluster.spec.name}"
        process = await self._spawn(sandbox, name, self._apiserver_arguments(cluster.spec))
        kubelet = KubeletServer(cluster.kubelet)
        sockets = [self._network.listen(node.name, cluster.kubelet.port) for node in cluster.spec.nodes]
        await kubelet.start(sockets, self._credentials.authority.server_context())
        relay = Relay(self._listeners[cluster.spec.name], UNDERLAY_GATEWAY, cluster.spec.api_port)
        await relay.start()
        self._stoppable += [kubelet, relay]
        await self._await_ready(_Server(cluster.spec, process), early)

    async def stop(self) -> None:
        await asyncio.gather(*(part.stop() for part in self._stoppable))

    def _write_files(self) -> None:
        authority = self._credentials.authority
        write_private(self._folder, "serving.pem", authority.certificate_pem)
        write_private(self._folder, "key.pem", authority.key_pem)
        tokens = f"{self._credentials.token},{ADMIN},{ADMIN},system:masters\n"
        write_private(self._folder, "tokens.csv", tokens.encode())

    def _etcd_arguments(self) -> list[str]:
        client = f"http://127.0.0.1:{_ETCD_PORT}"
        peer = f"http://127.0.0.1:{_ETCD_PORT + 1}"
        return [
            _inside(self._etcd),
            "--data-dir=/tmp/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ]

    def _apiserver_arguments(self, cluster: ClusterSpec) -> list[str]:
        """One etcd serves all, a prefix each. ServiceAccount admission is off: it would refuse pods of a namespace so new
        that the service account controller has not been there yet."""
        return [
            _inside(self._apiserver),
            f"--etcd-servers=http://127.0.0.1:{_ETCD_PORT}",
            f"--etcd-prefix=/{cluster.name}",
            f"--bind-address={UNDERLAY_GATEWAY}",
            f"--advertise-address={UNDERLAY_GATEWAY}",
            f"--secure-port={cluster.api_port}",
            f"--tls-cert-file={_FOLDER}/serving.pem",
            f"--tls-private-key-file={_FOLDER}/key.pem",
            f"--cert-dir=/tmp/{cluster.name}",
            f"--service-cluster-ip-range={cluster.service_cidr}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={_FOLDER}/key.pem",
            f"--service-account-signing-key-file={_FOLDER}/key.pem",
            f"--token-auth-file={_FOLDER}/tokens.csv",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--disable-admission-plugins=ServiceAccount",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
            "--v=0",
        ]

    async def _spawn(self, sandbox: Sandbox, name: str, argv: list[str]) -> Process:
        log = os.open(self._folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            spec = ProcessSpec(tuple(argv), {"PATH": PATH, "HOME": "/tmp", **_GO})
            process = await self._spawner.spawn(sandbox, spec, stdin=nothing, stdout=log, stderr=log)
        except OSError as error:
            raise LabError(f"{argv[0]} does not start: {error.strerror or error}") from error
        finally:
            os.close(log)
            os.close(nothing)
        return process

    async def _await_port(self, process: Process, name: str, port: int) -> None:
        deadline = time.monotonic() + _READY_DEADLINE_S
        while True:
            self._check_alive(process, name, deadline)
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                await asyncio.sleep(_POLL_S)
            else:
                return

    async def _await_ready(self, server: _Server, early: Early) -> None:
        """Ready is later by seconds than listening: the hooks in between write the default roles and fill caches."""
        deadline = time.monotonic() + _READY_DEADLINE_S
        url = f"https://{UNDERLAY_GATEWAY}:{server.cluster.api_port}/readyz"
        tls = ssl.create_default_context(cadata=self._credentials.authority.ca_pem.decode())
        headers = {"Authorization": f"Bearer {self._credentials.token}"}
        status, meanwhile = 0, None
        async with aiohttp.ClientSession(headers=headers) as session:
            while status != 200:
                self._check_alive(server.process, f"kube-apiserver-{server.cluster.name}", deadline)
                try:
                    async with session.get(url, ssl=tls, timeout=aiohttp.ClientTimeout(total=5)) as answer:
                        status = answer.status
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(_POLL_S)
                    continue
                if meanwhile is None:
                    meanwhile = asyncio.ensure_future(early(server.cluster))
                await asyncio.sleep(0 if status == 200 else _POLL_S)
        if meanwhile is not None:
            await meanwhile

    def _check_alive(self, process: Process, name: str, deadline: float) -> None:
        if process.returncode is None and time.monotonic() < deadline:
            return
        lines = (self._folder / f"{name}.log").read_text(errors="replace").splitlines()[-_LOG_LINES:]
        what = (
            f"ended with {process.returncode}"
            if process.returncode is not None
            else f"is not ready after {_READY_DEADLINE_S:.0f} s"
        )
        raise LabError(f"{name} {what}; the last it said:\n" + "\n".join(lines))

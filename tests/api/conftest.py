"""API servers to test: the embedded one always, a genuine kube-apiserver when KUBEBUILDER_ASSETS names its folder."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_submariner.lab.api import ApiServer
from pytest_submariner.lab.api.__main__ import kubeconfig
from pytest_submariner.lab.api.devcert import self_signed, server_context

TOKEN = "conformance-token"
SERVICE_CIDR = "100.8.0.0/16"


@dataclass(frozen=True)
class Server:
    """Where a server is, and what it trusts."""

    kind: str
    url: str
    token: str
    ca_pem: bytes
    tokens: dict[str, str]

    def tls(self) -> ssl.SSLContext:
        context = (
            ssl.create_default_context(cadata=self.ca_pem.decode()) if self.ca_pem else ssl.create_default_context()
        )
        if not self.ca_pem:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        path.write_text(kubeconfig("c1", self.url, self.ca_pem, self.token))
        return path


@pytest.fixture(scope="session")
def embedded() -> Iterator[Server]:
    """The embedded server on a loop of its own, so that synchronous clients can talk to it."""
    certificate, key = self_signed(("127.0.0.1",))
    tokens = {TOKEN: "admin"}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="api-server")
    thread.start()
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sock.setblocking(False)
    server = ApiServer("c1", tokens=tokens, service_cidr=SERVICE_CIDR)
    asyncio.run_coroutine_threadsafe(server.start([sock], server_context(certificate, key)), loop).result(10)
    yield Server("embedded", f"https://127.0.0.1:{sock.getsockname()[1]}", TOKEN, certificate, tokens)
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="session")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A kube-apiserver with an etcd, as a bare control plane: no controllers."""
    assets = Path(os.environ["KUBEBUILDER_ASSETS"])
    folder = tmp_path_factory.mktemp("genuine")
    certificate, key = folder / "sa.crt", folder / "sa.key"
    for file, pem in zip((certificate, key), self_signed(()), strict=True):
        file.write_bytes(pem)
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
    store, peer, port = (_free_port() for _ in range(3))
    etcd: list[str | Path] = [
        assets / "etcd",
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls=http://127.0.0.1:{store}",
        f"--advertise-client-urls=http://127.0.0.1:{store}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    apiserver: list[str | Path] = [
        assets / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{store}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder}/certs",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={certificate}",
        f"--service-account-signing-key-file={key}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--allow-privileged",
        "--disable-admission-plugins=ServiceAccount",
    ]
    server = Server("genuine", f"https://127.0.0.1:{port}", TOKEN, b"", {})
    running = []
    with (folder / "log").open("wb") as log:
        try:
            running = [subprocess.Popen(argv, stdout=log, stderr=log) for argv in (etcd, apiserver)]
            _wait_ready(server, running, folder / "log")
            yield server
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(20)


@pytest.fixture(scope="session", params=["embedded", *(["genuine"] if os.environ.get("KUBEBUILDER_ASSETS") else [])])
def server(request: pytest.FixtureRequest) -> Server:
    """Every server there is to test."""
    found: Server = request.getfixturevalue(request.param)
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _wait_ready(server: Server, running: list[subprocess.Popen[bytes]], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and all(p.poll() is None for p in running):
        try:
            with urllib.request.urlopen(f"{server.url}/readyz", context=server.tls(), timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the genuine API server did not become ready:\n{log.read_text()[-500:]}")

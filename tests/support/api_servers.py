"""API servers to test against: the embedded one on a loop of its own, and a genuine kube-apiserver with etcd."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_submariner.lab.api import ApiServer, PodSubresources
from pytest_submariner.lab.api.__main__ import kubeconfig
from pytest_submariner.lab.api.devcert import self_signed, server_context

TOKEN = "conformance-token"
SERVICE_CIDR = "100.8.0.0/16"


@dataclass(frozen=True)
class Server:
    """Where a server is, and how to ask it without any client library."""

    url: str
    ca_pem: bytes = b""
    """Empty: its certificate is not checked."""
    token: str = TOKEN
    tokens: dict[str, str] = field(default_factory=dict)

    @cached_property
    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ca_pem.decode() or None)
        if not self.ca_pem:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        path.write_text(kubeconfig("c1", self.url, self.ca_pem, self.token))
        return path

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media_type: str = "application/json",
        token: str | None = None,
        accept: str = "",
    ) -> tuple[int, Any]:
        """Status and decoded body; `body` is text, bytes or data to encode."""
        data = (
            body
            if body is None or isinstance(body, bytes)
            else (body if isinstance(body, str) else json.dumps(body)).encode()
        )
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        headers |= {"Content-Type": media_type} if data is not None else {}
        headers |= {"Accept": accept} if accept else {}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=10) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, _decoded(refusal.read())


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode().strip()


@contextmanager
def embedded_server(pods: PodSubresources | None = None) -> Iterator[Server]:
    """The embedded server in a thread, so that synchronous clients can talk to it."""
    certificate, key = self_signed(("127.0.0.1",))
    tokens = {TOKEN: "admin"}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="api-server")
    thread.start()
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = ApiServer("c1", tokens=tokens, service_cidr=SERVICE_CIDR, pods=pods)
    try:
        asyncio.run_coroutine_threadsafe(server.start([sock], server_context(certificate, key)), loop).result(10)
        yield Server(f"https://127.0.0.1:{sock.getsockname()[1]}", certificate, tokens=tokens)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def genuine_server(programs: tuple[Path, Path], folder: Path) -> Iterator[Server]:
    """`programs`: kube-apiserver and etcd, run as a bare control plane: no controllers. RuntimeError when it does not come up."""
    certificate, key = folder / "sa.crt", folder / "sa.key"
    for file, pem in zip((certificate, key), self_signed(()), strict=True):
        file.write_bytes(pem)
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
    store, peer, port = (_free_port() for _ in range(3))
    etcd: list[str | Path] = [
        programs[1],
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls=http://127.0.0.1:{store}",
        f"--advertise-client-urls=http://127.0.0.1:{store}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    apiserver: list[str | Path] = [
        programs[0],
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
    server = Server(f"https://127.0.0.1:{port}")
    running: list[subprocess.Popen[bytes]] = []
    with (folder / "log").open("wb") as log:
        try:
            running += (subprocess.Popen(argv, stdout=log, stderr=log) for argv in (etcd, apiserver))
            _wait_ready(server, running, folder / "log")
            yield server
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(20)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _wait_ready(server: Server, running: list[subprocess.Popen[bytes]], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and all(p.poll() is None for p in running):
        try:
            if server.ask("GET", "/readyz") == (200, "ok"):
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the genuine API server did not become ready:\n{log.read_text()[-500:]}")

"""A stand-in for the exec half of an API server: TLS, channels of protocols v4 and v5, real processes behind them.

Words in the pod's name choose how it behaves: v4 (no v5), no-sh, cut (dies in the middle of stdout), hole (loses
bytes), late (the status overtakes the output), no-status, fail-N-times, and those of REFUSALS.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import json
import os
import signal
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pytest_submariner.kube.client import KubeClient

TOKEN = "a-token-for-tests"
REFUSALS = {
    "forbidden": (403, "Forbidden", 'pods "forbidden" is forbidden: User "me" cannot create resource "pods/exec"'),
    "gone": (404, "NotFound", 'pods "gone" not found'),
    "no-container": (400, "BadRequest", "container x is not valid for pod no-container"),
    "kubelet-down": (
        500,
        "InternalError",
        "error dialing backend: dial tcp 172.18.1.1:10250: connect: connection refused",
    ),
}
"""Pods whose exec is refused before any stream exists, as kube-apiserver words it."""


@dataclass
class ExecServer:
    """A running stand-in. `requests` counts exec requests by pod name; pods `fail-N-times` answer 503 that often
    first."""

    client: KubeClient
    kubeconfig: Path
    requests: dict[str, int] = field(default_factory=dict)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "server.crt", folder / "server.key"
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@contextlib.contextmanager
def running(folder: Path) -> Iterator[ExecServer]:
    """The stand-in on a free port of loopback, its files in `folder`."""
    certificate_file, key_file = certificate(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate_file, key_file)
    requests: dict[str, int] = {}
    started = threading.Event()
    loop = asyncio.new_event_loop()
    port = 0
    stop = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _exec(request, requests)

    async def serve() -> None:
        nonlocal port
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/exec", handle)
        app.router.add_get("/api/v1/pods", _pods)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(10)
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(f"https://127.0.0.1:{port}", certificate_file)))
    client = KubeClient(str(kubeconfig), "stand-in")
    yield ExecServer(client, kubeconfig, requests)
    client.close()
    loop.call_soon_threadsafe(stop.set)
    thread.join(5)
    loop.close()


def _kubeconfig(server: str, certificate_file: Path) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": str(certificate_file)}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "stand-in", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "stand-in",
    }


async def _pods(request: web.Request) -> web.Response:
    """One running Route Agent pod for the node `node-NAME` that is asked for, called NAME; none on other nodes."""
    node = request.query.get("fieldSelector", "").removeprefix("spec.nodeName=")
    found: list[dict[str, object]] = []
    if node.startswith("node-") and request.query.get("labelSelector") == "app=submariner-routeagent":
        found.append(
            {
                "metadata": {"name": node.removeprefix("node-"), "namespace": "submariner-operator"},
                "spec": {"nodeName": node, "containers": [{"name": "submariner-routeagent"}]},
                "status": {"phase": "Pending" if "pending" in node else "Running"},
            }
        )
    return web.json_response({"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": found})


def _status(status: int, reason: str, message: str) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": status,
        "message": message,
    }
    return web.json_response(body, status=status)


async def _exec(request: web.Request, requests: dict[str, int]) -> web.StreamResponse:
    pod = request.match_info["pod"]
    requests[pod] = requests.get(pod, 0) + 1
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return _status(401, "Unauthorized", "Unauthorized")
    if pod in REFUSALS:
        return _status(*REFUSALS[pod])
    if pod.startswith("fail-") and requests[pod] <= int(pod.split("-")[1]):
        return _status(503, "ServiceUnavailable", "try again")
    socket = web.WebSocketResponse(
        protocols=("v4.channel.k8s.io",) if "v4" in pod else ("v5.channel.k8s.io", "v4.channel.k8s.io")
    )
    await socket.prepare(request)
    await socket.send_bytes(b"\x01")  # genuine servers begin with an empty message
    argv = request.query.getall("command")
    stdin = request.query.get("stdin") == "true"
    if "no-sh" in pod and argv[0] == "sh":
        return await _cannot_start(socket, 'exec: "sh": executable file not found in $PATH')
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=-1,
            stderr=-1,
            start_new_session=True,
        )
    except OSError:
        return await _cannot_start(socket, f'exec: "{argv[0]}": executable file not found in $PATH')
    feeder = asyncio.create_task(_feed(socket, process, stdin))
    try:
        await _answer(socket, process, pod)
    finally:
        feeder.cancel()
        _kill_session(process.pid)
        await process.wait()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await feeder
    return socket


def _kill_session(session: int) -> None:
    """Every process the exec request started, whatever process groups they made."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[3]) == session:
                os.kill(int(stat.parent.name), signal.SIGKILL)


async def _answer(socket: web.WebSocketResponse, process: asyncio.subprocess.Process, pod: str) -> None:
    async def pump(channel: int, reader: asyncio.StreamReader) -> None:
        sent = 0
        while data := await reader.read(32768):
            sent += len(data)
            if channel == 1 and "cut" in pod and sent > 1000:
                _kill_session(process.pid)  # the container dies in the middle
                return
            if channel == 1 and "hole" in pod and sent == len(data):
                data = data[: len(data) // 2]
            if channel == 1 and "late" in pod:
                await asyncio.sleep(0.3)
            await socket.send_bytes(bytes([channel]) + data)

    assert process.stdout is not None
    assert process.stderr is not None
    pumps = [asyncio.create_task(pump(1, process.stdout)), asyncio.create_task(pump(2, process.stderr))]
    if "late" in pod:  # the status overtakes the output, as independent copies in a proxy allow
        code = await process.wait()
        await _send_status(socket, code)
        await asyncio.gather(*pumps)
    else:
        await asyncio.gather(*pumps)
        if "cut" in pod:
            await socket.close()
            return
        code = await process.wait()
        if "no-status" in pod:
            await socket.close()
            return
        await _send_status(socket, code)
    await socket.close()


async def _send_status(socket: web.WebSocketResponse, code: int) -> None:
    if code == 0:
        document: dict[str, object] = {"metadata": {}, "status": "Success"}
    else:
        code = 128 - code if code < 0 else code
        document = {
            "metadata": {},
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    await socket.send_bytes(b"\x03" + json.dumps(document).encode())


async def _cannot_start(socket: web.WebSocketResponse, why: str) -> web.WebSocketResponse:
    document = {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "code": 500,
        "message": f"error executing command: {why}",
    }
    await socket.send_bytes(b"\x03" + json.dumps(document).encode())
    await socket.close()
    return socket


async def _feed(socket: web.WebSocketResponse, process: asyncio.subprocess.Process, stdin: bool) -> None:
    """Client to process; v5 ends stdin with 255 0, v4 cannot."""
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not stdin:
            continue
        assert process.stdin is not None
        try:
            if message.data == b"\xff\x00" and socket.ws_protocol == "v5.channel.k8s.io":
                process.stdin.close()
            elif message.data[:1] == b"\x00":
                process.stdin.write(message.data[1:])
                await process.stdin.drain()
        except ConnectionError:
            continue  # the command does not read on

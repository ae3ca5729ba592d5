"""exec and logs of pods, for the embedded API server and for a genuine one that dials us as a kubelet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy

from pytest_submariner.lab.kubelet import execution, logfile, status
from pytest_submariner.lab.kubelet.container import Container
from pytest_submariner.lab.kubelet.kubelet import Kubelet
from pytest_submariner.lab.kubelet.session import ClientGone, ExecOptions
from pytest_submariner.lab.kubelet.spdysession import SpdySession
from pytest_submariner.lab.kubelet.websocket import V4, V5, WebSocketSession

Object = dict[str, Any]
SPDY_VERSIONS = (V4,)
"""v5 has no meaning on SPDY, where streams end by themselves; a genuine kubelet picks v4 from the same offer."""
_REASONS = {400: "BadRequest", 403: "Forbidden", 404: "NotFound", 500: "InternalError"}


class RemoteCommands:
    """The pod subresources. Queries in the pod API's spelling (`stdin=true`) and in the kubelet's (`input=1`) are the same."""

    def __init__(self, kubelet: Kubelet, *, plain: bool = False) -> None:
        """`plain`: refuse in plain text, which an API server turns into a Status; otherwise we are the API server."""
        self._kubelet = kubelet
        self._plain = plain

    async def exec(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        """POST with SPDY/3.1, or GET (POST) with a websocket of v4.channel.k8s.io, v5.channel.k8s.io."""
        try:
            options = ExecOptions.from_query(request.query)
        except ValueError as error:
            return self._refuse(400, str(error))
        upgrade = request.headers.get("Upgrade", "").lower()
        if upgrade not in ("websocket", "spdy/3.1"):
            return self._refuse(400, "Upgrade request required")
        target = self._kubelet.container(pod, container)
        if target is None or not target.state.running:
            return self._refuse(500, f'container not found ("{container}")')
        if upgrade == "websocket":
            return await self._websocket(request, options, target)
        return await self._spdy(request, options, target)

    async def attach(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        """Not offered: the processes of the lab's pods have no input, and their output is in the log."""
        return self._refuse(400, "the lab does not attach to containers; use `kubectl logs -f` and `kubectl exec`")

    async def logs(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        """GET with follow, previous, timestamps, tailLines, limitBytes, sinceSeconds, sinceTime. Plain text, chunked."""
        try:
            options = logfile.LogOptions.from_query(request.query, time.time_ns())
        except ValueError as error:
            return self._refuse(400, str(error))
        target = self._kubelet.container(pod, container)
        log = target.log(previous=options.previous) if target is not None else None
        if log is None:
            return self._refuse(400, _no_log(pod, container, target, options.previous))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        try:
            await response.prepare(request)
            async for text in logfile.read(log, options):
                await response.write(text)
            await response.write_eof()
        except ConnectionError:
            pass  # the reader has seen enough
        return response

    async def _websocket(self, request: web.Request, options: ExecOptions, target: Container) -> web.StreamResponse:
        offered = _words(request.headers, "Sec-WebSocket-Protocol")
        # Where an API server stands between us and the client it speaks v5 with the client itself.
        known = (V4,) if self._plain else (V5, V4)
        if not set(offered) & set(known):
            return self._refuse(
                400,
                f"websocket protocols {', '.join(offered) or 'none'} are not known here; known are {', '.join(known)}",
            )
        transport = request.transport
        if transport is None:
            return _Hijacked()
        ws = web.WebSocketResponse(protocols=known, max_msg_size=0, compress=False, timeout=5.0)
        await ws.prepare(request)
        session = WebSocketSession(ws, transport, options.channels)
        try:
            await session.greet()
            await execution.run(session, options, target.cwd, lambda child: target.exec(options, child))
        except ClientGone:
            pass
        finally:
            await session.close()
        return ws

    async def _spdy(self, request: web.Request, options: ExecOptions, target: Container) -> web.StreamResponse:
        offered = _words(request.headers, "X-Stream-Protocol-Version")
        if not offered:
            return self._refuse(400, "the X-Stream-Protocol-Version header is missing")
        version = next((v for v in offered if v in SPDY_VERSIONS), None)
        if version is None:
            response = self._refuse(403, f"unable to upgrade: none of the protocols {', '.join(offered)} is supported")
            response.headers["X-Accepted-Stream-Protocol-Versions"] = ", ".join(SPDY_VERSIONS)
            return response
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return _Hijacked()
        session = SpdySession(transport, request.protocol, options.channels)
        # The client's first frames follow the 101 at once: aiohttp's parser must not see them.
        transport.set_protocol(session)
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            b"X-Stream-Protocol-Version: " + version.encode() + b"\r\n\r\n"
        )
        try:
            await session.opened()
            await execution.run(session, options, target.cwd, lambda child: target.exec(options, child))
        except (ClientGone, TimeoutError):
            pass
        finally:
            session.close()
        return _Hijacked()

    def _refuse(self, code: int, message: str) -> web.Response:
        if self._plain:
            return web.Response(status=code, text=message)
        return web.json_response(status.refusal(code, _REASONS[code], message), status=code)


class _Hijacked(web.StreamResponse):
    """The connection is no longer HTTP: there is nothing to send."""

    async def prepare(self, request: web.BaseRequest) -> None:
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        return


def _words(headers: CIMultiDictProxy[str], name: str) -> Sequence[str]:
    """Offers come as one line each, or with commas."""
    return [word.strip() for line in headers.getall(name, []) for word in line.split(",") if word.strip()]


def _no_log(pod: Object, container: str, target: Container | None, previous: bool) -> str:
    name = pod["metadata"]["name"]
    if previous:
        return f'previous terminated container "{container}" in pod "{name}" not found'
    reason = target.state.reason if target is not None else "ContainerCreating"
    problem = (
        "trying and failing to pull image"
        if reason in ("ErrImagePull", "ImagePullBackOff")
        else f"waiting to start: {reason}"
    )
    return f'container "{container}" in pod "{name}" is {problem}'

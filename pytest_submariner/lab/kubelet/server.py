"""The listener that a genuine kube-apiserver dials: the node's side of `kubectl exec` and `kubectl logs`."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from pytest_submariner.lab.kubelet.kubelet import Kubelet
from pytest_submariner.lab.kubelet.remote import RemoteCommands

Object = dict[str, Any]
Handler = Callable[[web.Request, Object, str], Awaitable[web.StreamResponse]]
SHUTDOWN_S = 1.0


class KubeletServer:
    """One listener serves all nodes of a cluster: paths name the pod. It asks for no credentials, so keep it on a private address:

    an API server without `--kubelet-client-certificate` sends none.
    """

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet
        self._runner: web.AppRunner | None = None

    async def start(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext) -> None:
        """`sockets` are bound and listening. Always TLS, as API servers dial https only."""
        # Without handler cancellation a follower of a silent log would stay after its client has left.
        self._runner = web.AppRunner(
            self.application(), handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_S
        )
        await self._runner.setup()
        for listener in sockets:
            await web.SockSite(self._runner, listener, ssl_context=tls).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def application(self) -> web.Application:
        """/exec, /attach and /containerLogs as `/NAMESPACE/POD[/UID]/CONTAINER`, /healthz."""
        remote = RemoteCommands(self._kubelet, plain=True)
        app = web.Application()
        for verb, handler, methods in (
            ("exec", remote.exec, ("GET", "POST")),
            ("attach", remote.attach, ("GET", "POST")),
            ("containerLogs", remote.logs, ("GET",)),
        ):
            for method in methods:
                for middle in ("", "/{uid}"):
                    app.router.add_route(
                        method, f"/{verb}/{{namespace}}/{{pod}}{middle}/{{container}}", self._on_pod(handler)
                    )
        app.router.add_get("/healthz", _healthy)
        return app

    def _on_pod(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            at = request.match_info
            worker = self._kubelet.worker(at["namespace"], at["pod"], at.get("uid"))
            if worker is None:
                return web.Response(status=404, text=f'pod "{at["pod"]}" not found in namespace "{at["namespace"]}"')
            return await handler(request, worker.pod, at["container"])

        return handle


async def _healthy(request: web.Request) -> web.Response:
    return web.Response(text="ok")

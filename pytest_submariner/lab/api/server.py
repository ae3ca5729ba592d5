"""The embedded API server: sockets and TLS in, Kubernetes out. One per cluster, several in one process."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Sequence

from aiohttp import web

from pytest_submariner.lab.api import status
from pytest_submariner.lab.api.answers import answer
from pytest_submariner.lab.api.bootstrap import bootstrap
from pytest_submariner.lab.api.builtin import builtin_kinds
from pytest_submariner.lab.api.documents import Documents
from pytest_submariner.lab.api.handler import Handler
from pytest_submariner.lab.api.kinds import KindRegistry
from pytest_submariner.lab.api.pods import NoPods, PodSubresources
from pytest_submariner.lab.api.resources import Resources
from pytest_submariner.lab.api.writes import Writes

_LONGEST_LINE = 64 * 1024
"""An exec's command travels in the query."""
_LARGEST_BODY = 3 * 1024 * 1024
"""As etcd's clients are limited to."""
_SHUTDOWN_S = 1.0
_log = logging.getLogger(__name__)


class ApiServer:
    """A cluster's control plane without controllers: what a bare kube-apiserver is.

    `tokens` maps bearer tokens to user names and may be changed while the server runs; `advertise` is the address and port that the
    Endpoints of the `kubernetes` Service name (None: no Endpoints, as with a loopback address).
    """

    def __init__(
        self,
        cluster: str,
        *,
        tokens: dict[str, str],
        service_cidr: str,
        pods: PodSubresources | None = None,
        advertise: tuple[str, int] | None = None,
    ) -> None:
        self.cluster = cluster
        kinds = KindRegistry.of(builtin_kinds())
        self._resources = Resources(kinds, service_cidr)
        self._handler = Handler(
            self._resources, tokens, pods or NoPods(), Documents(kinds), Writes(self._resources, tokens)
        )
        self._runner: web.AppRunner | None = None
        bootstrap(self._resources, advertise)

    async def start(
        self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None, *, plain: Sequence[socket.socket] = ()
    ) -> None:
        """Serves on bound, listening sockets until `stop`. The context must not offer h2 by ALPN; None is plain HTTP, as on the
        sockets of `plain` anyway."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # handler_cancellation: an idle watch or exec must end with its client, not with the next write
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_S,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        await self._runner.setup()
        for sock in sockets:
            await web.SockSite(self._runner, sock, ssl_context=tls, backlog=1024).start()
        for sock in plain:
            await web.SockSite(self._runner, sock, backlog=1024).start()

    async def stop(self) -> None:
        """Ends watches, then connections; a second call does nothing."""
        self._handler.close()
        runner, self._runner = self._runner, None
        if runner:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Refusals as Status objects, unknown paths as plain text, anything unforeseen as a 500."""
        try:
            return await self._handler.handle(request)
        except status.StatusError as refusal:
            return _refused(refusal)
        except status.PageNotFound:
            return web.Response(status=404, text="404 page not found\n")
        except web.HTTPRequestEntityTooLarge:
            text = f"Request entity too large: limit is {_LARGEST_BODY}"
            return _refused(status.StatusError(413, "RequestEntityTooLarge", text))
        except ConnectionError:
            raise
        except Exception as fault:
            _log.exception("%s: %s %s", self.cluster, request.method, request.path_qs)
            return _refused(status.StatusError(500, "InternalError", f"Internal error occurred: {fault!r}"))


def _refused(refusal: status.StatusError) -> web.Response:
    response = answer(refusal.body, refusal.code)
    if seconds := (refusal.details or {}).get("retryAfterSeconds"):
        response.headers["Retry-After"] = str(seconds)
    return response

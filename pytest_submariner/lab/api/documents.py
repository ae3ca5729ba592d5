"""Everything a server answers that is not about objects: version, health, discovery, OpenAPI."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass, field

from aiohttp import web

from pytest_submariner import __version__
from pytest_submariner.lab.api import discovery, openapi
from pytest_submariner.lab.api.kinds import KindRegistry
from pytest_submariner.lab.api.negotiation import discovery_version
from pytest_submariner.lab.api.status import PageNotFound, method_not_allowed
from pytest_submariner.lab.api.store import Object, encode

_HEALTH = {"healthz", "readyz", "livez"}
_ROOTS = ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]


def version() -> Object:
    """Of a 1.31 server, with a suffix that says what it is."""
    return {
        "major": "1",
        "minor": "31",
        "gitVersion": f"v1.31.0+submariner-lab-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
    }


@dataclass
class Documents:
    """Made once per state of the kinds, then kept."""

    kinds: KindRegistry
    _kept: dict[tuple[str, str], tuple[bytes, str, str]] = field(default_factory=dict)
    _generation: int = 0

    def find(self, request: web.Request) -> web.Response | None:
        """The answer, or None for a path that is about objects."""
        path = request.path.rstrip("/") or "/"
        parts = path.split("/")[1:]
        if parts[0] in _HEALTH:
            return web.Response(text="ok")
        if parts[0] not in {"", "version", "openapi"} and not self._is_discovery(parts):
            return None
        if request.method not in {"GET", "HEAD"}:
            raise method_not_allowed()
        if parts == ["openapi", "v2"]:
            body, content_type = openapi.version_2(request.headers.get("Accept", ""))
            return web.Response(body=body, headers={"Content-Type": content_type})
        if self._generation != self.kinds.generation:
            self._kept.clear()
            self._generation = self.kinds.generation
        wanted = discovery_version(request.headers.get("Accept", "")) or ""
        if (path, wanted) not in self._kept:
            document, content_type = self._make(path, parts, wanted, request.host)
            body = encode(document).encode()
            self._kept[path, wanted] = body, content_type, f'"{hashlib.sha256(body).hexdigest()[:64].upper()}"'
        body, content_type, etag = self._kept[path, wanted]
        headers = {"ETag": etag, "Vary": "Accept", "Content-Type": content_type}
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag, "Vary": "Accept"})
        return web.Response(body=body, headers=headers)

    @staticmethod
    def _is_discovery(parts: list[str]) -> bool:
        return (parts[0] == "api" and len(parts) <= 2) or (parts[0] == "apis" and len(parts) <= 3)

    def _make(self, path: str, parts: list[str], wanted: str, host: str) -> tuple[Object, str]:
        json = "application/json"
        if path == "/":
            return {"paths": _ROOTS}, json
        if parts == ["version"]:
            return version(), json
        if parts == ["openapi", "v3"]:
            return openapi.index(self.kinds), json
        if parts[:2] == ["openapi", "v3"]:
            return openapi.document(self.kinds, "/".join(parts[2:])), json
        if parts[0] == "openapi":
            raise PageNotFound
        if wanted and parts in (["api"], ["apis"]):
            return discovery.aggregated(self.kinds, wanted, core=parts == ["api"])
        return discovery.legacy(self.kinds, path, host), json

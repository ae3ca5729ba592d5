"""The Kubernetes API as the lab's parts see it: objects are dicts, a miss is None, every other refusal an ApiError."""

from __future__ import annotations

import asyncio
import copy
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from pytest_submariner.lab.apierrors import ApiError, ApiUnreachable
from pytest_submariner.lab.informer import Event, Informer

__all__ = ["ApiError", "ApiUnreachable", "Event", "Informer", "KubeApi", "Object", "path_to"]

Object = dict[str, Any]
Objects = list[Object]
MERGE_PATCH = "application/merge-patch+json"
CONNECT_DEADLINE_S = 10.0
"""How long a refused connection is tried again: the server may still be starting."""
REQUEST_TIMEOUT_S = 30.0
ATTEMPTS = 5
BACKOFF_S = 0.02
CONFLICT_ATTEMPTS = 10
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


def path_to(api_version: str, resource: str, namespace: str | None = None, name: str | None = None) -> str:
    """`path_to("apps/v1", "daemonsets", "ns", "ds")` -> `/apis/apps/v1/namespaces/ns/daemonsets/ds`."""
    parts = ["", "apis" if "/" in api_version else "api", api_version]
    if namespace:
        parts += ["namespaces", namespace]
    parts.append(resource)
    if name:
        parts.append(name)
    return "/".join(parts)


class KubeApi:
    """One session with one API server. Create it inside a running event loop; `close` ends its informers too."""

    def __init__(self, server: str, token: str, ca_pem: bytes) -> None:
        """`server`: `https://host:port`; `ca_pem`: the authority behind its certificate (unused for plain http)."""
        self.server = server.rstrip("/")
        self.ca_pem = ca_pem
        tls = ssl.create_default_context(cadata=ca_pem.decode("ascii")) if self.server.startswith("https:") else True
        self._session = aiohttp.ClientSession(
            # Watches hold their connection for minutes, so a limit on connections would be a deadlock in waiting.
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
            auto_decompress=True,
        )
        self._informers: list[Informer] = []

    async def get(self, path: str) -> Object | None:
        """The object, or None when there is none (404)."""
        try:
            return await self._call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, path: str, *, labels: str = "", fields: str = "") -> Objects:
        """All items; `labels` and `fields` are selectors as in `kubectl get -l` and `--field-selector`."""
        items, _ = await self.list_at(path, _selectors(labels, fields))
        return items

    async def list_at(self, path: str, query: dict[str, str]) -> tuple[Objects, str]:
        """The items, and the resourceVersion a watch can go on from; `query` as in the URL."""
        items: Objects = []
        while True:
            page = await self._call("GET", path, query=query)
            # A list names the kind of its items once; an item on its own should still say what it is.
            kind, api_version = str(page.get("kind", "")).removesuffix("List"), page.get("apiVersion", "")
            items += ({"apiVersion": api_version, "kind": kind, **item} for item in page.get("items") or ())
            if not (more := page["metadata"].get("continue")):
                return items, page["metadata"].get("resourceVersion", "")
            query = {**query, "continue": more}

    async def create(self, path: str, body: Object) -> Object:
        return await self._call("POST", path, body)

    async def replace(self, path: str, body: Object) -> Object:
        return await self._call("PUT", path, body)

    async def patch(self, path: str, patch: Object | Sequence[Object], content_type: str = MERGE_PATCH) -> Object:
        return await self._call("PATCH", path, patch, content_type=content_type)

    async def delete(self, path: str, *, grace: int | None = None, uid: str | None = None) -> Object | None:
        """None when it is gone already. `grace`: seconds, 0 removes a pod at once; `uid`: only that one (else 409)."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            return await self._call("DELETE", path, options)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def update(self, path: str, mutate: Callable[[Object], None], *, subresource: str = "") -> Object | None:
        """Read, let `mutate` change the copy in place, write; again after a conflict. None when the object is gone.

        `subresource="status"` reads the object and writes its status. Nothing is written when nothing changed.
        """
        target = f"{path}/{subresource}" if subresource else path
        for attempt in range(CONFLICT_ATTEMPTS):
            current = await self.get(path)
            if current is None:
                return None
            changed = copy.deepcopy(current)
            mutate(changed)
            if changed == current:
                return current
            try:
                return await self.replace(target, changed)
            except ApiError as error:
                if error.status == 404:
                    return None
                if error.status != 409 or attempt == CONFLICT_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def informer(self, path: str, *, labels: str = "", fields: str = "") -> Informer:
        """A live copy of a collection; it starts with its first use (`start`, `async for`)."""
        informer = Informer(self, path, _selectors(labels, fields))
        self._informers.append(informer)
        return informer

    async def close(self) -> None:
        await asyncio.gather(*(informer.stop() for informer in self._informers))
        self._informers.clear()
        await self._session.close()

    @asynccontextmanager
    async def stream(
        self, path: str, query: dict[str, str], *, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Chunks of a long answer; ApiUnreachable when none comes for `silence_s` seconds or the connection breaks."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_DEADLINE_S, sock_read=silence_s)
        try:
            async with self._session.get(self.server + path, params=query, timeout=timeout) as response:
                if response.status >= 400:
                    raise await _refusal("GET", path, response)
                yield response.content.iter_any()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiUnreachable(f"GET {self.server}{path}: {error or type(error).__name__}") from error

    async def _call(
        self,
        method: str,
        path: str,
        body: Object | Sequence[Object] | None = None,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        text = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = None if text is None else {"Content-Type": content_type}
        loop = asyncio.get_running_loop()
        deadline, attempt = loop.time() + CONNECT_DEADLINE_S, 0
        while True:
            attempt += 1
            pause = min(BACKOFF_S * 2**attempt, 0.5)
            # Left to find out what a request's body is, aiohttp compares it with all kinds it knows.
            data = None if text is None else aiohttp.BytesPayload(text, content_type=content_type)
            try:
                async with self._session.request(
                    method, self.server + path, params=query, data=data, headers=headers
                ) as response:
                    if response.status < 400:
                        answer: Object = json.loads(await response.read())
                        return answer
                    if attempt >= ATTEMPTS or not _may_repeat(method, response):
                        raise await _refusal(method, path, response)
                    pause = max(pause, _retry_after(response))
            except aiohttp.ClientConnectorError as error:
                # Nothing was sent yet, so every method may be repeated.
                if not isinstance(error.os_error, ConnectionRefusedError) or loop.time() + pause > deadline:
                    raise ApiUnreachable(f"{method} {self.server}{path}: {error}") from error
            except (aiohttp.ClientError, TimeoutError) as error:
                raise ApiUnreachable(f"{method} {self.server}{path}: {error or type(error).__name__}") from error
            await asyncio.sleep(pause)


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return {k: v for k, v in (("labelSelector", labels), ("fieldSelector", fields)) if v}


def _may_repeat(method: str, response: aiohttp.ClientResponse) -> bool:
    """A write is repeated only when the server says that it did not do it: 429, or Retry-After, as client-go does."""
    return response.status in _TRANSIENT and (
        method == "GET" or response.status == 429 or "Retry-After" in response.headers
    )


def _retry_after(response: aiohttp.ClientResponse) -> float:
    header = response.headers.get("Retry-After", "0")
    return min(float(header), 1.0) if header.isdigit() else 0.0


async def _refusal(method: str, path: str, response: aiohttp.ClientResponse) -> ApiError:
    text = await response.text(errors="replace")
    reason, message = response.reason or str(response.status), text.strip()
    try:
        status = json.loads(text)
    except ValueError:
        message = f"{method} {path}: {response.status} {message or reason}"
    else:
        if isinstance(status, dict) and status.get("kind") == "Status":
            reason, message = status.get("reason") or reason, status.get("message") or reason
    return ApiError(response.status, reason, message)

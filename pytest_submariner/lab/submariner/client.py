"""A small synchronous client of the Kubernetes API for processes inside nodes: one connection kept open, JSON in and
out.

Standard library only: these processes are forked without exec, and a client library would cost each of them more
memory than all the rest."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

Object = dict[str, Any]
TIMEOUT_S: Final = 5.0
MERGE_PATCH: Final = "application/merge-patch+json"


class ApiFailure(Exception):
    """The API refused (`status` is the HTTP status) or could not be reached (`status` 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiClient:
    """`server`: `https://host:port`; `ca_pem`: the authority behind its certificate."""

    def __init__(self, server: str, token: str, ca_pem: str) -> None:
        parts = urlsplit(server)
        self._host, self._port = parts.hostname or "", parts.port
        self._context = ssl.create_default_context(cadata=ca_pem)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, path: str) -> Object | None:
        """The object, or None when there is none."""
        try:
            return self._call("GET", path)
        except ApiFailure as failure:
            if failure.status == 404:
                return None
            raise

    def list(self, path: str, *, labels: str = "") -> list[Object]:
        query = "?" + urlencode({"labelSelector": labels}) if labels else ""
        items: list[Object] = self._call("GET", path + query).get("items") or []
        return items

    def put(self, collection: str, body: Object) -> None:
        """Makes the object, or replaces it whatever its version."""
        path = f"{collection}/{body['metadata']['name']}"
        existing = self.get(path)
        if existing is None:
            self._call("POST", collection, body)
            return
        metadata = {**body["metadata"], "resourceVersion": existing["metadata"]["resourceVersion"]}
        self._call("PUT", path, {**body, "metadata": metadata})

    def create(self, collection: str, body: Object) -> Object:
        return self._call("POST", collection, body)

    def replace(self, path: str, body: Object) -> Object:
        """Only the version that `body` names (409 otherwise)."""
        return self._call("PUT", path, body)

    def patch(self, path: str, body: Object) -> Object:
        """A JSON merge patch (RFC 7386)."""
        return self._call("PATCH", path, body, content_type=MERGE_PATCH)

    def delete(self, path: str) -> None:
        """Nothing happens when it is gone already."""
        try:
            self._call("DELETE", path)
        except ApiFailure as failure:
            if failure.status != 404:
                raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(
        self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json"
    ) -> Object:
        data = None if body is None else json.dumps(body, separators=(",", ":"))
        headers = self._headers if data is None else {**self._headers, "Content-Type": content_type}
        is_fresh = self._connection is None
        try:
            return self._exchange(method, path, data, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # A kept connection may have been closed by the server meanwhile; a fresh one that fails is an answer.
            if is_fresh:
                raise ApiFailure(0, f"{method} {path}: {error or type(error).__name__}") from error
        try:
            return self._exchange(method, path, data, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ApiFailure(0, f"{method} {path}: {error or type(error).__name__}") from error

    def _exchange(self, method: str, path: str, data: str | None, headers: dict[str, str]) -> Object:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT_S, context=self._context
            )
        self._connection.request(method, path, body=data, headers=headers)
        response = self._connection.getresponse()
        text = response.read()
        answer: Object = json.loads(text) if text.startswith(b"{") else {}
        if response.status >= 400:
            raise ApiFailure(
                response.status, f"{method} {path}: {response.status} {answer.get('message', response.reason)}"
            )
        return answer

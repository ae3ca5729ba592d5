"""JSON over HTTPS to one API server, with a small retry: plain dicts in and out, safe to share between threads.

The `kubernetes` package finds the server, the certificates and the credentials (`kubeconfig.py`); requests go through
its urllib3 pool directly, because its generated methods changed shape between 31 and 37 and reject fields they do not
know.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pytest_submariner.errors import NodeUnreachable
from pytest_submariner.kube.errors import AccessDenied, ApiError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from pytest_submariner.kube.kubeconfig import Access

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
ATTEMPTS = 4
BACKOFF_S = 0.15
RETRY_STATUS = frozenset({429, 500, 502, 503, 504})
NEVER_PROCESSED_STATUS = frozenset({429, 503})
"""The server says it did not take the request: even a create without a name may be sent again."""


class Rest:
    """Requests to one API server. Errors: NodeUnreachable (no connection), AccessDenied (401), ApiError (any other
    answer)."""

    def __init__(self, access: Access) -> None:
        self.access = access

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        """The decoded JSON answer (text that is not JSON as str)."""
        # A create is sent again only when the server cannot have acted on it.
        repeatable = method != "POST"
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                response = self._send(method, path, query, body=body, content_type=content_type)
                data = response.data
            except _transient_errors() as error:
                if last or not (repeatable or _never_sent(error)):
                    raise self.unreachable(error) from None
                _pause(attempt)
                continue
            if response.status < 400:
                return _decode(data)
            retry = RETRY_STATUS if repeatable else NEVER_PROCESSED_STATUS
            if last or response.status not in retry:
                raise self.failure(response.status, data, f"{method} {path}")
            _pause(attempt, response.headers.get("Retry-After"))
        raise AssertionError("the last attempt either returns or raises")

    def clock(self) -> float | None:
        """The server's time in seconds since 1970, by the Date of an answer; None when it sends none. Not repeated: see `request`
        for the errors."""
        try:
            response = self._send("GET", "/version", None)
            response.drain_conn()
        except _transient_errors() as error:
            raise self.unreachable(error) from None
        date = response.headers.get("Date")
        try:
            return parsedate_to_datetime(date).timestamp() if date else None
        except ValueError:
            return None

    def stream(self, path: str, *, query: Mapping[str, str], read_timeout: float) -> Iterator[dict[str, Any]]:
        """Documents of a watch, one per line, until the server ends it. `read_timeout` is the longest silence in
        seconds; after it the iterator ends as well. The caller lists again and starts over."""
        import urllib3

        try:
            response = self._send("GET", path, query, read_timeout=read_timeout)
        except _transient_errors() as error:
            raise self.unreachable(error) from None
        if response.status >= 400:
            raise self.failure(response.status, response.data, f"GET {path}")
        rest = b""
        try:
            for chunk in response.stream(None, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return
        finally:
            response.close()  # a watch that is left early cannot go back to the pool

    def unreachable(self, error: BaseException) -> NodeUnreachable:
        """What a failed connection means, in one line that names context, file and server."""
        return NodeUnreachable(f"{self.access.origin}: {self.access.server} {_why(error)}")

    def failure(self, status: int, data: bytes, what: str) -> ApiError | AccessDenied:
        """An error answer as an exception, in the server's own words where it sent a Status."""
        document = _decode(data)
        reason, message = "", ""
        if isinstance(document, dict):
            reason, message = str(document.get("reason", "")), str(document.get("message", ""))
        elif isinstance(document, str):
            message = document.strip().splitlines()[0][:300] if document.strip() else ""
        if status == 401:
            return AccessDenied(f"{self.access.origin}: {self.access.server} does not accept its credentials (401)")
        return ApiError(
            f"{self.access.origin}: {what}: {status} {message or reason or 'without a reason'}", status, reason
        )

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        *,
        body: Any = None,
        content_type: str = "",
        read_timeout: float = READ_TIMEOUT_S,
    ) -> BaseHTTPResponse:
        import urllib3

        url = self.access.server + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "User-Agent": "pytest-submariner", **self.access.headers()}
        data: bytes | None = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=read_timeout)
        return self.access.pool.request(
            method, url, body=data, headers=headers, timeout=timeout, retries=False, preload_content=False
        )


def _transient_errors() -> tuple[type[BaseException], ...]:
    import urllib3

    return (urllib3.exceptions.HTTPError, OSError)


def _never_sent(error: BaseException) -> bool:
    import urllib3

    return isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _why(error: BaseException) -> str:
    import urllib3

    text = str(error)
    if "refused" in text:  # before timeouts: urllib3 counts a refusal among the connect timeouts
        return "refused the connection: is the cluster up, and is this its current address?"
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "cannot be resolved: the name is unknown here"
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return "accepted the connection but did not answer in time"
    if isinstance(error, urllib3.exceptions.SSLError) or "certificate" in text.lower():
        return f"cannot be trusted: {text.rstrip('.')}"
    if "timed out" in text:
        return f"did not accept a connection within {CONNECT_TIMEOUT_S:.0f} s"
    return f"cannot be reached: {text.rsplit(': ', 1)[-1] or type(error).__name__}"


def _pause(attempt: int, retry_after: str | None = None) -> None:
    """Exponential with full jitter, so that many threads do not come back at the same moment."""
    wait = BACKOFF_S * 2 ** (attempt - 1) * (0.5 + random.random())
    if retry_after is not None and retry_after.isdigit():
        wait = max(wait, min(float(retry_after), 5.0))
    time.sleep(wait)


def _decode(data: bytes) -> Any:
    text = data.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text

"""One exec stream through the API server: what came on its channels, whether it has ended, and what a refusal means."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_submariner.errors import CommandNotFound, NodeUnreachable, TransportError
from pytest_submariner.kube.envelope import Envelope
from pytest_submariner.kube.errors import AccessDenied
from pytest_submariner.kube.resources import KNOWN

if TYPE_CHECKING:
    from pytest_submariner.kube.kubeconfig import Access
    from pytest_submariner.kube.websocket import ChannelSocket

CONNECT_TIMEOUT_S = 10.0
FAREWELL_S = 2.0
"""How long to wait for the other half of an ending: the status after the trailer, late output after the status."""
_NO_PROGRAM = re.compile(
    r"executable file not found|no such file or directory|not found in \$PATH|command not found", re.IGNORECASE
)
_NO_CONTAINER = re.compile(
    r"container not found|container .* is not (created|running)|pod does not exist|is terminated", re.IGNORECASE
)


@dataclass(frozen=True)
class Container:
    """Where to run a command; `container` None means the pod's default one."""

    namespace: str
    pod: str
    container: str | None = None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}" + (f" ({self.container})" if self.container else "")


class Call:
    """One exec stream: what came on its channels so far, and whether it has ended."""

    def __init__(self, access: Access, target: Container, argv: Sequence[str], *, stdin: bool, end: float) -> None:
        self.who = str(target)
        self.end = end
        self.stdout, self.stderr, self._error = bytearray(), bytearray(), bytearray()
        self.status: dict[str, Any] | None = None
        self._status_at = self._complete_at = float("inf")
        query = [("command", word) for word in argv]
        query += [("container", target.container)] if target.container else []
        query += [("stdin", "true")] if stdin else []
        query += [("stdout", "true"), ("stderr", "true")]
        path = KNOWN["pods"].path(target.namespace, target.pod) + "/exec"
        self.socket = _connect(access, path, query, self.who, end)

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def step(self) -> bool:
        """Take what arrives next; False when the deadline has passed."""
        now = time.monotonic()
        if now >= self.end:
            return False
        nearest = min(self.end, self._status_at + FAREWELL_S, self._complete_at + FAREWELL_S)
        for channel, data in self.socket.pump(max(0.0, nearest - now)):
            if channel == 1:
                self.stdout += data
            elif channel == 2:
                self.stderr += data
            elif channel == 3:
                self._error += data
                self.status = _status(bytes(self._error))
                if self.status is not None:
                    self._status_at = time.monotonic()
        return True

    def has_ended(self, envelope: Envelope | None) -> bool:
        """Closed by the server; or status and trailer are both there; or one of them, and the other did not follow in
        time.

        Channels are carried independently, so output may arrive after the status.
        """
        if self.socket.closed:
            return True
        now = time.monotonic()
        complete = envelope is not None and envelope.is_complete(self.stdout, self.stderr)
        if complete and self._complete_at == float("inf"):
            self._complete_at = now
        if complete and self.status is not None:
            return True
        if self.status is not None and self.status.get("reason") not in {None, "", "NonZeroExitCode"}:
            return True  # it never started: no output will follow
        return now >= min(self._status_at, self._complete_at) + FAREWELL_S

    def check_started(self) -> None:
        """Raise what the error channel says when the command could not be started or watched to its end."""
        status = self.status
        if status is None or status.get("status") == "Success" or _has_exit_code(status):
            return
        message = str(status.get("message") or status.get("reason") or "without a reason")
        raise _refusal(message, self.who)


def _connect(access: Access, path: str, query: Sequence[tuple[str, str]], who: str, end: float) -> ChannelSocket:
    from websocket import WebSocketBadStatusException, WebSocketException

    from pytest_submariner.kube.websocket import ChannelSocket

    budget = max(0.1, min(CONNECT_TIMEOUT_S, end - time.monotonic()))
    try:
        return ChannelSocket(access, path, query, budget)
    except WebSocketBadStatusException as error:
        raise _handshake(error, access, who) from None
    except TimeoutError:
        raise NodeUnreachable(
            f"{access.origin}: {access.server} did not answer the exec request within {budget:.0f} s"
        ) from None
    except (WebSocketException, OSError) as error:
        if "timed out" in str(error):
            raise NodeUnreachable(
                f"{access.origin}: {access.server} did not answer the exec request within {budget:.0f} s"
            ) from None
        raise NodeUnreachable(f"{access.origin}: exec in {who}: {access.server}: {error}") from None


def _handshake(error: Any, access: Access, who: str) -> TransportError:
    """An HTTP answer instead of an upgrade, as one of our errors."""
    status = int(getattr(error, "status_code", 0) or 0)
    body = getattr(error, "resp_body", None) or b""
    document = _status(body) or {}
    said = str(
        document.get("message")
        or body.decode("utf-8", "replace").strip()[:300]
        or getattr(error, "status_message", "")
        or "no reason"
    )
    if status == 401:
        return AccessDenied(f"{access.origin}: {access.server} does not accept its credentials (401)")
    if status == 403:
        return AccessDenied(f"{access.origin}: exec in {who} is forbidden: {said}")
    if status == 404:
        return NodeUnreachable(f"{access.origin}: {who} is not there: {said}")
    if status == 400:
        return TransportError(f"{access.origin}: exec in {who} was refused: {said}")
    if status in {429, 502, 503, 504}:
        return NodeUnreachable(f"{access.origin}: {access.server} could not take the exec request ({status}): {said}")
    return _refusal(said, who, f" ({status})")


def _refusal(message: str, who: str, code: str = "") -> TransportError:
    """What a kubelet or runtime says when it could not run something."""
    if _NO_CONTAINER.search(message):
        return NodeUnreachable(f"{who}: {message}")
    if _NO_PROGRAM.search(message):
        return CommandNotFound(f"{who}: {message}")
    if code:
        return NodeUnreachable(f"{who}: the node did not take the exec request{code}: {message}")
    return TransportError(f"{who}: {message}")


def _status(data: bytes) -> dict[str, Any] | None:
    """A metav1.Status, or None while it is incomplete or when it is none."""
    try:
        document = json.loads(data)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _has_exit_code(status: dict[str, Any]) -> bool:
    return any(cause.get("reason") == "ExitCode" for cause in (status.get("details") or {}).get("causes") or ())


def exit_code(status: dict[str, Any], who: str) -> int:
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode" and str(cause.get("message", "")).isdigit():
            return int(cause["message"])
    raise TransportError(f"{who}: {status.get('message') or 'the command ended, but its exit status is not a number'}")

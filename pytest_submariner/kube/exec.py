"""Commands in containers, over a WebSocket of their own each, so that any number of threads may ask at once."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_submariner.errors import CommandNotFound, ExecTimeout, ExitStatusLost, NodeUnreachable, TransportError
from pytest_submariner.kube.envelope import Envelope
from pytest_submariner.kube.errors import AccessDenied
from pytest_submariner.kube.resources import KNOWN
from pytest_submariner.model.result import CommandResult

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


def execute(
    access: Access,
    target: Container,
    argv: Sequence[str],
    *,
    stdin: bytes | None,
    timeout: float,
    prefix: Sequence[str] = (),
) -> CommandResult:
    """See KubeClient.exec."""
    started = time.monotonic()
    end = started + timeout
    envelope = Envelope(tuple(argv), timeout, stdin, prefix=tuple(prefix))
    try:
        status, stdout, stderr = _in_envelope(access, target, envelope, end)
    except _NoShellError:
        status, stdout, stderr = _bare(access, target, [*prefix, *argv], stdin=stdin, timeout=end - time.monotonic())
    return CommandResult(
        f"{target.namespace}/{target.pod}", tuple(argv), status, stdout, stderr, time.monotonic() - started, "pod"
    )


def converse(
    access: Access, target: Container, argv: Sequence[str], *, first_line: bytes, timeout: float
) -> Iterator[bytes]:
    """See KubeClient.converse."""
    end = time.monotonic() + timeout
    envelope = Envelope(tuple(argv), timeout, is_open=True)
    call = _Call(access, target, envelope.argv, stdin=True, end=end)
    with call:
        call.socket.send(0, first_line if first_line.endswith(b"\n") else first_line + b"\n")
        taken = 0
        while not call.has_ended(envelope):
            if not call.step():
                raise ExecTimeout(
                    f"{call.who}: `{argv[0]}` did not end within {timeout:.0f} s", bytes(call.stdout[taken:])
                )
            while (newline := call.stdout.find(b"\n", taken)) >= 0:
                rest = bytes(call.stdout[taken : taken + len(envelope.trailer)])
                if envelope.trailer.startswith(rest) or rest.startswith(envelope.trailer[1:]):
                    break  # the trailer, or an empty line that may turn out to begin it
                line = bytes(call.stdout[taken:newline])
                taken = newline + 1
                yield line
    call.check_started()
    letter = envelope.open(bytes(call.stdout), bytes(call.stderr), call.who)
    if letter.stdout[taken:]:
        yield letter.stdout[taken:]  # a last line without newline
    if letter.exit_status:
        said = letter.stderr.decode("utf-8", "replace").strip()[-600:]
        raise TransportError(
            f"{call.who}: `{argv[0]}` ended with status {letter.exit_status}" + (f": {said}" if said else "")
        )


class _NoShellError(Exception):
    """The container has no sh to open an envelope with."""


def _in_envelope(access: Access, target: Container, envelope: Envelope, end: float) -> tuple[int, bytes, bytes]:
    with _Call(access, target, envelope.argv, stdin=envelope.stdin is not None, end=end) as call:
        if envelope.stdin is not None:
            call.socket.send(0, envelope.stdin)
            call.socket.end_stdin()
        while not call.has_ended(envelope):
            if not call.step():
                raise _timed_out(call.who, envelope.command, envelope.timeout, call.stdout)
    try:
        call.check_started()
    except CommandNotFound:
        raise _NoShellError from None
    letter = envelope.open(bytes(call.stdout), bytes(call.stderr), call.who)
    return letter.exit_status, letter.stdout, letter.stderr


def _bare(
    access: Access, target: Container, argv: Sequence[str], *, stdin: bytes | None, timeout: float
) -> tuple[int, bytes, bytes]:
    """Without sh in the image: the exit status is the error channel's, and completeness rests on the server's closing
    order."""
    end = time.monotonic() + timeout
    with _Call(access, target, argv, stdin=stdin is not None, end=end) as call:
        if stdin is not None:
            if not call.socket.can_end_stdin:
                raise TransportError(
                    f"{call.who}: the image has no sh and the server no exec protocol v5: stdin cannot be ended"
                )
            call.socket.send(0, stdin)
            call.socket.end_stdin()
        while not call.has_ended(None):
            if not call.step():
                raise _timed_out(call.who, argv, timeout, call.stdout)
    call.check_started()
    if call.status is None:
        raise ExitStatusLost(
            f"{call.who}: the stream of `{argv[0]}` ended after {len(call.stdout)} bytes without its exit status"
        )
    return _exit_code(call.status, call.who), bytes(call.stdout), bytes(call.stderr)


class _Call:
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

    def __enter__(self) -> _Call:
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


def _timed_out(who: str, argv: Sequence[str], timeout: float, stdout: bytes | bytearray) -> ExecTimeout:
    return ExecTimeout(
        f"{who}: `{argv[0]}` did not end within {timeout:g} s; {len(stdout)} bytes had come", bytes(stdout)
    )


def _status(data: bytes) -> dict[str, Any] | None:
    """A metav1.Status, or None while it is incomplete or when it is none."""
    try:
        document = json.loads(data)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _has_exit_code(status: dict[str, Any]) -> bool:
    return any(cause.get("reason") == "ExitCode" for cause in (status.get("details") or {}).get("causes") or ())


def _exit_code(status: dict[str, Any], who: str) -> int:
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode" and str(cause.get("message", "")).isdigit():
            return int(cause["message"])
    raise TransportError(f"{who}: {status.get('message') or 'the command ended, but its exit status is not a number'}")

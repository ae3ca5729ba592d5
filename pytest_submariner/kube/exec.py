"""Commands in containers, over a WebSocket of their own each, so that any number of threads may ask at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_submariner.errors import CommandNotFound, ExecTimeout, ExitStatusLost, TransportError
from pytest_submariner.kube.call import Call, Container, exit_code
from pytest_submariner.kube.envelope import Envelope
from pytest_submariner.model.result import CommandResult

if TYPE_CHECKING:
    from pytest_submariner.kube.kubeconfig import Access


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
    access: Access,
    target: Container,
    argv: Sequence[str],
    *,
    first_line: bytes,
    timeout: float,
    patience: float | None = None,
) -> Iterator[bytes]:
    """See KubeClient.converse."""
    started = time.monotonic()
    end = started + timeout
    envelope = Envelope(tuple(argv), timeout, is_open=True)
    call = Call(
        access, target, envelope.argv, stdin=True, end=end if patience is None else min(end, started + patience)
    )
    with call:
        call.socket.send(0, first_line if first_line.endswith(b"\n") else first_line + b"\n")
        taken = 0
        while not call.has_ended(envelope):
            if not call.step():
                missing = "end" if call.end == end else "say anything"
                raise ExecTimeout(
                    f"{call.who}: `{argv[0]}` did not {missing} within {call.end - started:.0f} s",
                    bytes(call.stdout[taken:]),
                )
            while (newline := call.stdout.find(b"\n", taken)) >= 0:
                rest = bytes(call.stdout[taken : taken + len(envelope.trailer)])
                if envelope.trailer.startswith(rest) or rest.startswith(envelope.trailer[1:]):
                    break  # the trailer, or an empty line that may turn out to begin it
                line = bytes(call.stdout[taken:newline])
                taken = newline + 1
                call.end = end
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
    with Call(access, target, envelope.argv, stdin=envelope.stdin is not None, end=end) as call:
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
    with Call(access, target, argv, stdin=stdin is not None, end=end) as call:
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
    return exit_code(call.status, call.who), bytes(call.stdout), bytes(call.stderr)


def _timed_out(who: str, argv: Sequence[str], timeout: float, stdout: bytes | bytearray) -> ExecTimeout:
    return ExecTimeout(
        f"{who}: `{argv[0]}` did not end within {timeout:g} s; {len(stdout)} bytes had come", bytes(stdout)
    )

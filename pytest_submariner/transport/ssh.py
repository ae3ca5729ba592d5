"""Nodes by SSH: one connection per node, a channel per command."""

from __future__ import annotations

import select
import shlex
import threading
import time
from collections.abc import Sequence

import paramiko

from pytest_submariner.errors import ExecTimeout, NodeUnreachable
from pytest_submariner.kube.envelope import Envelope
from pytest_submariner.model.result import CommandResult
from pytest_submariner.transport.base import DEFAULT_TIMEOUT_S
from pytest_submariner.transport.sshconfig import SshConfig
from pytest_submariner.transport.sshconnection import Connection

CHANNELS = 8
"""Commands at once per connection: OpenSSH's MaxSessions allows 10, and counts sessions a little longer than we do."""
CHUNK = 64 * 1024
TICK_S = 0.02
"""Room in the send window makes no file descriptor readable, so stdin is offered this often."""


class SshTransport:
    """Runs commands as the user ssh_config names, by `sudo -n` where that is needed and possible.

    Constructor: NodeUnreachable when the file has no Host line for the node or there is no way to it, AccessDenied for
    keys and host keys, TopologyError for a file that cannot be read.
    """

    name = "ssh"

    def __init__(self, node: str, ssh_config: str) -> None:
        self._node = node
        self._config = SshConfig(ssh_config)
        if not self._config.names(node):
            raise NodeUnreachable(f"{self._config.path} has no Host {node}")
        self._lock = threading.Lock()
        self._channels = threading.BoundedSemaphore(CHANNELS)
        self._connection: Connection | None = None
        self._prefix: tuple[str, ...] = ()
        self._closed = False
        self._host = self._connect().host

    @property
    def about(self) -> str:
        sudo = " with sudo" if self._prefix else ""
        return f"ssh {self._host.user or ''}{'@' if self._host.user else ''}{self._host.address}{sudo}"

    def run(
        self, argv: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT_S, stdin: bytes | None = None
    ) -> CommandResult:
        started = time.monotonic()
        connection = self._connect()
        envelope = Envelope(tuple(argv), timeout, stdin, prefix=self._prefix)
        status, out, err = self._ask(connection, envelope, started + timeout)
        return CommandResult(self._node, tuple(argv), status, out, err, time.monotonic() - started, self.name)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _connect(self) -> Connection:
        """The connection, made anew when it was lost."""
        with self._lock:
            if self._closed:
                raise NodeUnreachable(f"{self._node}: the ssh transport is closed")
            if self._connection is None or not self._connection.is_alive:
                if self._connection is not None:
                    self._connection.close()
                self._connection = Connection(self._config, self._config.host(self._node))
                self._prefix = self._elevate(self._connection)
            return self._connection

    def _elevate(self, connection: Connection) -> tuple[str, ...]:
        """`sudo -n` for a user who is not root and may; a user with capabilities of his own needs none."""
        ask = Envelope(("sh", "-c", '[ "$(id -u)" = 0 ] || ! sudo -n true'), 10)
        status, _, _ = self._ask(connection, ask, time.monotonic() + 10)
        return () if status == 0 else ("sudo", "-n")

    def _ask(self, connection: Connection, envelope: Envelope, end: float) -> tuple[int, bytes, bytes]:
        who = f"{self._node} by {self.name}"
        if not self._channels.acquire(timeout=max(0.0, end - time.monotonic())):
            raise NodeUnreachable(f"{who}: {CHANNELS} commands are running already, none ended in time")
        try:
            channel = _open(connection, end, who)
            try:
                out, err = _converse(channel, envelope, end, who)
            finally:
                channel.close()
        finally:
            self._channels.release()
        letter = envelope.open(out, err, who)
        return letter.exit_status, letter.stdout, letter.stderr


def _open(connection: Connection, end: float, who: str) -> paramiko.Channel:
    try:
        return connection.transport.open_session(timeout=max(0.1, end - time.monotonic()))
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise NodeUnreachable(
            f"{who}: no new channel on the connection: {str(error) or type(error).__name__}"
        ) from None


def _converse(channel: paramiko.Channel, envelope: Envelope, end: float, who: str) -> tuple[bytes, bytes]:
    """Start the command, feed it and drain both streams in one loop: they share the flow window, so reading one to its
    end first would hang as soon as the other fills it."""
    try:
        channel.exec_command(shlex.join(envelope.argv))
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise NodeUnreachable(f"{who}: the command was not taken: {str(error) or type(error).__name__}") from None
    channel.setblocking(0)
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    out, err = bytearray(), bytearray()
    pending = memoryview(envelope.stdin or b"")
    open_stdin = True
    while True:
        # Looked at before draining: what arrived until then is in the buffers.
        ended = channel.closed or (channel.eof_received and channel.exit_status_ready())
        while channel.recv_ready():
            out += channel.recv(CHUNK)
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(CHUNK)
        if ended or envelope.is_complete(out, err):
            return bytes(out), bytes(err)
        if open_stdin:
            pending = _feed(channel, pending)
            if not pending:
                open_stdin = False
        remaining = end - time.monotonic()
        if remaining <= 0:
            raise ExecTimeout(
                f"{who}: `{envelope.command[0]}` did not end within {envelope.timeout:g} s; {len(out)} bytes had come",
                bytes(out),
            )
        if not _has_more(channel):
            poll.poll(min(remaining, TICK_S if open_stdin else 0.5) * 1000)


def _feed(channel: paramiko.Channel, pending: memoryview) -> memoryview:
    """Send what the window has room for; what is left. After the last byte stdin is ended."""
    try:
        while pending and channel.send_ready():
            pending = pending[channel.send(bytes(pending[:CHUNK])) :]
        if not pending:
            channel.shutdown_write()
    except OSError:
        return memoryview(b"")  # the command reads no more
    return pending


def _has_more(channel: paramiko.Channel) -> bool:
    return channel.recv_ready() or channel.recv_stderr_ready()

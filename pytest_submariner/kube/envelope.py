"""A command in an envelope: a few lines of POSIX sh around it make its answer prove that it is whole.

Exec streams lose their tail without an error (kubernetes issues 124571 and 137404), so the last line of stdout carries
a random mark, the exit status and the number of bytes, and the last line of stderr carries the mark. The same lines
tell a missing program from a program that ends with 127, feed stdin of a known length (only protocol v5 can signal its
end), and end the command on the node when we gave up on it, since closing an exec stream or an ssh channel does not.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field

from pytest_submariner.errors import CommandNotFound, ExitStatusLost, TransportError

OPEN_STDIN = "+"
NO_STDIN = "-"
MISSING = "missing"
_LAST_LINE = 64
"""Bytes that exit status and count can have at most."""

# $0 mark, $1 seconds until the node itself ends the command, $2 bytes of stdin (- none, + until it ends), then the
# command.
# dd counts what passes without holding it back, and writes its report to stderr (fd 5 here, read by the shell).
SCRIPT = r"""m=$0 t=$1 n=$2; shift 2; set -f
end() { printf '\n%s %s %s\n' "$m" "$1" "$2"; printf '\n%s\n' "$m" >&2; exit "$3"; }
case $1 in */*) [ -f "$1" ] && [ -x "$1" ];; *) command -v "$1" >/dev/null 2>&1;; esac || end missing - 127
[ "$n" != + ] && timeout -s KILL 1 true 2>/dev/null && set -- timeout -s KILL "$t" "$@"
go() { case $n in -) "$@" </dev/null;; +) "$@";; *) head -c "$n" | "$@";; esac; }
exec 3>&1 4>&2
if command -v dd >/dev/null 2>&1; then
r=$({ { go "$@" 2>&4 3>&- 4>&- 5>&-; echo "x$?" >&5; } | LC_ALL=C dd bs=65536 2>&5 >&3 3>&- 4>&- 5>&-; } 5>&1)
else go "$@" 3>&- 4>&-; r=x$?; fi
set -- $r; c=- s=1
while [ $# -gt 0 ]; do case $1 in x[0-9]*) s=${1#x};; esac; [ "$2" = bytes ] && c=$1; shift; done
end "$s" "$c" "$s"
"""


@dataclass(frozen=True)
class Letter:
    """What came out of an envelope: the command's own streams and its exit status (0-255)."""

    exit_status: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Envelope:
    """One command, wrapped. `argv` is what to run on the node; `stdin` is None, b"" or the bytes to send along."""

    command: tuple[str, ...]
    timeout: float
    stdin: bytes | None = None
    is_open: bool = False
    """stdin stays open after what we send first, and its end tells the command that we are gone (conversations); the
    node sets no deadline of its own then."""
    prefix: tuple[str, ...] = ()
    """Words before it all: `sudo -n`, `chroot /host`."""
    mark: str = field(default_factory=lambda: f"submariner-{secrets.token_hex(8)}")

    @property
    def argv(self) -> list[str]:
        length = OPEN_STDIN if self.is_open else NO_STDIN if self.stdin is None else str(len(self.stdin))
        # A second more than our own deadline, so that it is we who report it.
        return [*self.prefix, "sh", "-c", SCRIPT, self.mark, str(math.ceil(self.timeout) + 1), length, *self.command]

    @property
    def trailer(self) -> bytes:
        """How the last line of stdout begins, with the newline before it."""
        return f"\n{self.mark} ".encode()

    @property
    def stderr_trailer(self) -> bytes:
        return f"\n{self.mark}\n".encode()

    def is_complete(self, stdout: bytes | bytearray, stderr: bytes | bytearray) -> bool:
        """Whether both last lines are there. Asked for every piece that comes: it looks at the end only, not at all there is."""
        found = stdout.rfind(self.trailer, max(0, len(stdout) - len(self.trailer) - _LAST_LINE))
        return found >= 0 and stdout.endswith(b"\n", found + len(self.trailer)) and stderr.endswith(self.stderr_trailer)

    def open(self, stdout: bytes, stderr: bytes, who: str) -> Letter:
        """Take the answer out. `who` starts the error messages: `c1-w1 by pod`.

        ExitStatusLost when the last line of stdout is missing, TransportError when bytes are, CommandNotFound when the
        node has no such program.
        """
        body, found, last = stdout.rpartition(self.trailer)
        words = last.decode("ascii", "replace").split()
        if not found or not last.endswith(b"\n") or len(words) != 2:
            said = stderr.decode("utf-8", "replace").strip()[-300:]
            raise ExitStatusLost(
                f"{who}: the stream of `{self.command[0]}` ended after {len(stdout)} bytes without its exit status"
                + (f"; stderr: {said}" if said else "")
            )
        status, count = words
        if status == MISSING:
            raise CommandNotFound(f"{who}: no program `{self.command[0]}` there")
        if count.isdigit() and int(count) != len(body):
            raise TransportError(f"{who}: `{self.command[0]}` wrote {count} bytes, {len(body)} arrived")
        if stderr.endswith(self.stderr_trailer):
            stderr = stderr[: -len(self.stderr_trailer)]
        return Letter(int(status), body, stderr)

"""Stock subctl: a binary that is tried before it is used, and `subctl verify` on two clusters, which ends whatever happens to us.

Its command line has traps (`subctl:internal/restconfig/restconfig.go`): `--kubeconfig` without a third context makes it verify one
cluster against itself, so the kubeconfig comes by environment; without a terminal it must not be asked to prompt.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from pytest_submariner.compare.progress import plain
from pytest_submariner.errors import SubmarinerError

CONNECTION_TIMEOUT_S: Final = 20
"""Of one TCP attempt; subctl refuses less."""
OPERATION_TIMEOUT_S: Final = 90
"""Of every wait for a pod or an object. A connector on a blocked path needs half as long again as its attempt (it sleeps then), a pod
that starts for the first time pulls its image."""
GRACE_S: Final = 20.0
"""What an interrupted subctl gets to remove its namespaces and write its report."""
LAST_LINES: Final = 8
_TRIAL_S: Final = 20.0
_VERSION = re.compile(r"subctl version: (\S+)")
_RUN_BOUND: Final = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)\n"  # PR_SET_PDEATHSIG, SIGTERM
    "if os.getppid() == int(sys.argv[1]): os.execv(sys.argv[2], sys.argv[2:])\n"
)
"""Becomes subctl, which then is told to end when we die without a word; subctl takes SIGTERM as a request to clean up."""


class SubctlUnusable(SubmarinerError):
    """The file is not a subctl this machine can run; one line."""


class SubctlFailed(SubmarinerError):
    """`subctl verify` ended without a report; carries the last lines it printed."""


@lru_cache(maxsize=4)
def version(program: Path) -> str:
    """What the binary calls itself. SubctlUnusable says why it cannot be used."""
    if program.name == str(program):
        raise SubctlUnusable(f"it is not in PATH (a file in this folder would be ./{program})")
    if not program.exists():
        raise SubctlUnusable("there is no such file")
    if not program.is_file() or not os.access(program, os.X_OK):
        raise SubctlUnusable("is not an executable file: chmod +x it, or name another")
    try:
        done = subprocess.run(
            [program, "version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL_S,
            check=False,
        )
    except OSError as error:
        raise SubctlUnusable(f"does not start on this machine ({error.strerror}); is it for another?") from None
    except subprocess.TimeoutExpired:
        raise SubctlUnusable(f"did not tell its version within {_TRIAL_S:g} s") from None
    if done.returncode < 0:
        raise SubctlUnusable(f"was ended by signal {-done.returncode} at once; is it for this machine?")
    said = done.stdout + done.stderr
    if (found := _VERSION.search(said)) is None:
        first = next((line.strip() for line in said.splitlines() if line.strip()), "nothing")
        raise SubctlUnusable(f"is not subctl: asked for its version it said {first[:80]!r}")
    return found[1]


@dataclass(frozen=True)
class Verify:
    """One `subctl verify --only connectivity`. `contexts` are of `kubeconfig`, in the order c1, c2; `report` (JUnit) and `log` (all
    it prints, without colours) are files to be written, `deadline` a time of `time.monotonic()`."""

    program: Path
    kubeconfig: Path
    contexts: tuple[str, str]
    report: Path
    log: Path
    deadline: float

    @property
    def argv(self) -> list[str]:
        """`--verbose` for the log: pods' outputs and namespaces are told nowhere else."""
        one, other = self.contexts
        return [
            *(str(self.program), "verify", "--context", one, "--tocontext", other),
            *("--only", "connectivity", "--verbose", "--junit-report", str(self.report.absolute())),
            *("--connection-timeout", str(CONNECTION_TIMEOUT_S), "--connection-attempts", "1"),
            *("--operation-timeout", str(OPERATION_TIMEOUT_S)),
        ]

    def run(self, on_line: Callable[[str], None]) -> None:
        """Returns when the report is there; `on_line` gets every line as it comes. Interrupted or past its deadline, subctl is asked to
        end and killed after GRACE_S; its report then says which specs were not reached. SubctlFailed when there is no report.
        """
        self.report.unlink(missing_ok=True)
        last: deque[str] = deque(maxlen=LAST_LINES)
        started = time.monotonic()
        with self.log.open("w", encoding="utf-8") as log:
            running = _Running(self.argv, {**os.environ, "KUBECONFIG": str(self.kubeconfig)})
            try:
                for line in running.lines(self.deadline):
                    log.write(f"{line}\n")
                    last.append(line)
                    on_line(line)
            finally:
                late = not running.output_closed
                # A namespace that subctl makes last may be told only now.
                for line in running.end():
                    log.write(f"{line}\n")
                    last.append(line)
                    on_line(line)
        if not self.report.is_file():
            why = f"was ended after {time.monotonic() - started:.0f} s" if late else running.status
            words = [line for line in last if line.strip()] or ["(it printed nothing)"]
            raise SubctlFailed(
                "\n  ".join([f"subctl verify {why} and left no report; all it said is in {self.log}, last:", *words])
            )


class _Running:
    """The process, in a session of its own: Ctrl-C on a terminal is ours to pass on."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _RUN_BOUND, str(os.getpid()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        self.output_closed = False

    @property
    def status(self) -> str:
        code = self._process.returncode
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}"

    def lines(self, deadline: float) -> Iterator[str]:
        """Plain lines as they come, until the output is closed or the deadline has passed."""
        assert self._process.stdout is not None
        descriptor, rest = self._process.stdout.fileno(), b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not self.output_closed and (remaining := deadline - time.monotonic()) > 0:
                if not selector.select(remaining):
                    continue
                data = os.read(descriptor, 65536)
                self.output_closed = not data
                *whole, rest = (rest + data).split(b"\n")
                yield from (plain(line.decode(errors="replace")) for line in whole)
        if rest:
            yield plain(rest.decode(errors="replace"))

    def end(self) -> Iterator[str]:
        """Wait for a process that is about to end by itself; ask any other to end, read what it says to that, and kill it when it does
        not listen."""
        try:
            if not self.output_closed:
                self._process.send_signal(signal.SIGTERM)
                yield from self.lines(time.monotonic() + GRACE_S)
            if self.output_closed:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(GRACE_S)
        finally:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

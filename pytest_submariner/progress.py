"""What a run is doing, while pytest waits for it: a line on the terminal as long as something takes, and a line in a log.

The first item asks all paths at once, and that takes longer than any other; without a word it would look stuck."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import pytest

from pytest_submariner.xdist import is_worker

PATIENCE_S = 0.5
"""What ends sooner is not worth a line that comes and goes."""
TICK_S = 1.0


class Progress:
    """Of one process. Silent with -q, in pytest-xdist workers, without pytest's terminal reporter, and while another thing is told."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._telling = False

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Tell `what` while the block runs: on a terminal a line that counts seconds and goes again, elsewhere one line that stays."""
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        silent = reporter is None or reporter.verbosity < 0 or is_worker(self._config) or self._telling
        if silent:
            yield
            return
        self._telling = True
        try:
            terminal = self._terminal(reporter)
            if terminal is None:
                self._line(reporter, f"submariner: {what}")
                yield
            else:
                room = reporter._tw.fullwidth - reporter._tw.width_of_current_line - len(", 1234 s")
                with terminal, _counting(terminal, f"submariner: {what}"[: max(room, 0)]):
                    yield
        finally:
            self._telling = False

    def _terminal(self, reporter: Any) -> IO[str] | None:
        """The terminal itself, which no capturing stands before; None where there is none, or where tests print to it."""
        if not reporter.isatty or self._config.option.capture == "no" or os.environ.get("TERM", "dumb") == "dumb":
            return None
        try:
            return Path("/dev/tty").open("w", encoding="utf-8", errors="replace")
        except OSError:
            return None

    def _line(self, reporter: Any, text: str) -> None:
        """A line of its own, between the letters of items."""
        capture: Any = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            file = reporter.currentfspath
            reporter.ensure_newline()
            reporter.write_line(text)
            if isinstance(file, Path):  # letters follow: say again whose they are
                reporter.currentfspath = file
                reporter.write(f"{os.path.relpath(file, reporter.startpath)} ", flush=True)


@contextmanager
def _counting(out: IO[str], text: str) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=_count, args=(out, text, over), name="submariner-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _count(out: IO[str], text: str, over: threading.Event) -> None:
    """Save the place of the cursor, write behind it, come back, and wipe it at the end: ESC 7, ESC 8 and CSI K (DEC VT100)."""
    started, shown, pause = time.monotonic(), False, PATIENCE_S
    while not over.wait(pause):
        shown, pause = True, TICK_S
        out.write(f"\x1b7{text}, {time.monotonic() - started:.0f} s\x1b[K\x1b8")
        out.flush()
    if shown:
        out.write("\x1b[K")
        out.flush()

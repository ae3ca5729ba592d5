"""Runs that end before their last item: why, in a sentence for the reports, which are written all the same."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any

import pytest


class Ending:
    """How a run ends. A plugin of its own, because the hooks that tell do not say whose run it is."""

    def __init__(self) -> None:
        self.reason = ""
        """First line of what ended the run; empty while nothing did."""
        self._former: Any = None

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._note(excinfo.value)

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._note(excinfo.value)

    def _note(self, error: BaseException) -> None:
        said = str(error).strip().partition("\n")[0]
        name = type(error).__name__
        is_plain = isinstance(error, (KeyboardInterrupt, pytest.exit.Exception))
        self.reason = self.reason or (said if is_plain else f"{name}: {said}" if said else name)

    def sentence(self, status: int) -> str:
        """For a run that did not end by itself: `The run was interrupted: …`."""
        if (
            not self.reason and (error := sys.exc_info()[1]) is not None
        ):  # pytest raises a usage error through its hooks
            self._note(error)
        how = "interrupted" if status == pytest.ExitCode.INTERRUPTED else "ended early"
        if status == pytest.ExitCode.INTERNAL_ERROR:
            how = "ended by an internal error"
        return f"The run was {how}{f': {self.reason}' if self.reason else ''}. What stands here is what was known then."

    def heed(self) -> None:
        """Take SIGTERM for an interrupt, as long as nobody else takes it: CI systems end jobs by it, and what was measured
        shall be written and what was made be removed."""
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._former = signal.signal(signal.SIGTERM, _interrupt)

    def hold(self) -> None:
        """From now on reports are written: SIGTERM, if it comes again, shall not leave them half done."""
        if self._former is not None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def release(self) -> None:
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)
            self._former = None


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt("terminated by SIGTERM")

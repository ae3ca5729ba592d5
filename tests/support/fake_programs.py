"""Programs that only say what they were asked: shell scripts in a folder, with a log of every call."""

from __future__ import annotations

from pathlib import Path


class FakePrograms:
    """Write programs with `add`; `calls` are their command lines so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "calls.log"

    def add(self, name: str, body: str = "") -> Path:
        """`body` is sh; the call is logged before it runs."""
        program = self.folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self._log}"\n{body}\n')
        program.chmod(0o755)
        return program

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

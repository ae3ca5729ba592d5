"""A lab of a benchmark's own: booted, asked by its command, removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SECONDS = 300


class Lab:
    """`description` is what `submariner-lab up --json` printed."""

    def __init__(self, name: str, description: dict[str, Any]) -> None:
        self.name = name
        self.description = description

    @classmethod
    @contextmanager
    def booted(cls, name: str, *options: str) -> Iterator[Lab]:
        """Ends with the block, and with this process."""
        description = _run("up", "--name", name, "--owner-pid", str(os.getpid()), "--json", *options)
        try:
            yield cls(name, description)
        finally:
            _run("down", "--name", name)

    def command(self, verb: str, *words: str) -> Any:
        """What `submariner-lab VERB --name … WORDS` prints, as JSON when asked for it. The process ends when it refuses."""
        return _run(verb, "--name", self.name, *words)


def _run(*words: str) -> Any:
    command = [sys.executable, "-m", "pytest_submariner.lab.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip())
    return json.loads(done.stdout) if "--json" in words else done.stdout

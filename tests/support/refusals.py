"""Programs that are no good, and labs that say so: for tests of what a user reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pytest_submariner.lab.state import LabState

_SETTING_AND_MAIN = """
import importlib, sys
for setting in sys.argv[1].split():
    name, value = setting.split("=")
    module, _, constant = name.rpartition(".")
    setattr(importlib.import_module("pytest_submariner.lab." + module), constant, float(value))
from pytest_submariner.lab.cli import main
sys.exit(main(sys.argv[2:]))
"""


def program(path: Path, text: str) -> Path:
    """An executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def of_another_machine(path: Path) -> Path:
    """An executable of a processor that this machine does not have: byte 18 of an ELF file names it."""
    data = bytearray(Path(shutil.which("true") or "/bin/true").read_bytes())
    data[18:20] = b"\xf3\xff"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755)
    return path


def refused(*options: str, environment: Mapping[str, str] | None = None, settings: str = "") -> str:
    """What `submariner-lab up` says when it has to fail; that it says it plainly and leaves nothing is checked here. `settings`:
    constants of the lab for this run, `controlplane.genuine._READY_DEADLINE_S=3`."""
    state = LabState.of(f"tests-refused-{os.getpid()}")
    argv = [sys.executable, "-c", _SETTING_AND_MAIN, settings, "up", "--name", state.name, *options]
    env = {**os.environ, **(environment or {})}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, env=env, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("submariner-lab: "), done.stderr
    assert "Traceback" not in done.stderr
    assert state.name not in [found.name for found in LabState.all()]
    assert not state.folder.exists()
    return done.stderr.removeprefix("submariner-lab: ").rstrip("\n")

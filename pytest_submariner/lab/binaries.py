"""Programs a user brings: found, and tried, before anything of the lab is started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from pytest_submariner.errors import LabError

_SECONDS: Final = 20


def check_starts(path: Path, option: str, *arguments: str) -> str:
    """What `PATH ARGUMENTS` prints, whatever its exit status. LabError in one line, naming `option`, when it is missing
    or cannot be executed here (no permission, another architecture, no program at all)."""
    if not path.exists():
        raise LabError(f"{option}: {path} is missing")
    if not path.is_file() or not os.access(path, os.X_OK):
        raise LabError(f"{option}: {path} is not executable: chmod +x it, or name another")
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except OSError as error:
        raise LabError(f"{option}: {path} does not start on this machine: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{option}: `{path} {' '.join(arguments)}` did not end within {_SECONDS} s") from error
    if done.returncode < 0:
        raise LabError(f"{option}: {path} was ended by signal {-done.returncode} at once; is it for this machine?")
    return (done.stdout or done.stderr).strip()

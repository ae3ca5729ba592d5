"""A `docker` that runs the command of `docker exec` on this machine, for containers named `node`."""

from __future__ import annotations

from pathlib import Path

SCRIPT = r"""#!/bin/sh
case $1 in
inspect)
  for last; do :; done
  case $last in
  node) echo true;;
  stopped) echo false;;
  *) echo "Error: No such container: $last" >&2; exit 1;;
  esac;;
exec)
  shift
  if [ "$1" = -i ]; then shift; else exec </dev/null; fi
  if [ -e "$(dirname "$0")/gone" ]; then echo "Error response from daemon: No such container: $1" >&2; exit 1; fi
  shift
  exec "$@";;
esac
"""


def write(folder: Path) -> Path:
    """Make the stub in `folder`, which the caller puts into PATH; a file `gone` beside it makes the container
    vanish."""
    program = folder / "docker"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    return program

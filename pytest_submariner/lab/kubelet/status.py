"""Status objects: how a command ended (error channel, protocol v4), and refusals of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SUCCESS: dict[str, Any] = {"metadata": {}, "status": "Success"}


def exited(command: Sequence[str], code: int) -> dict[str, Any]:
    """Success, or the NonZeroExitCode failure clients take the code from; `code` is 0-255 (128+n for signal n)."""
    if code == 0:
        return SUCCESS
    why = f"error executing command [{' '.join(command)}], exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {why}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def internal_error(why: str) -> dict[str, Any]:
    """The server could not do it (apimachinery `NewInternalError`)."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {why}",
        "reason": "InternalError",
        "details": {"causes": [{"message": why}]},
        "code": 500,
    }


def not_started(command: Sequence[str], cwd: str, error: OSError) -> str:
    """In the words of the genuine runtime (runc under containerd), which people search for."""
    return f"OCI runtime exec failed: exec failed: unable to start container process: {start_problem(command, cwd, error)}: unknown"


def not_created(command: Sequence[str], cwd: str, error: OSError) -> str:
    """The same for a container's own process."""
    return (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        f"unable to start container process: {start_problem(command, cwd, error)}: unknown"
    )


def start_problem(command: Sequence[str], cwd: str, error: OSError) -> str:
    """What runc says about a process that cannot start: no such program, not allowed, no such working directory."""
    program, text = command[0], (error.strerror or str(error))
    if "not found in $PATH" in text:
        return f'exec: "{program}": executable file not found in $PATH'
    if isinstance(error, FileNotFoundError) and "/" not in program:
        return f'chdir to cwd ("{cwd}") set in config.json failed: no such file or directory'
    if isinstance(error, FileNotFoundError):
        return f'exec: "{program}": stat {program}: no such file or directory'
    return f'exec: "{program}": {text[:1].lower()}{text[1:]}'


def refusal(code: int, reason: str, message: str) -> dict[str, Any]:
    """A whole Status object as the API server sends it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }

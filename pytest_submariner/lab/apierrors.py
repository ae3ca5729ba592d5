"""What an API server's refusal, or its silence, is in Python."""

from __future__ import annotations

from pytest_submariner.errors import LabError


class ApiError(LabError):
    """The API server refused. `reason` is that of the Status (`Conflict`, `AlreadyExists`, …) or the HTTP phrase."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


class ApiUnreachable(LabError):
    """No answer: refused for longer than a start takes, connection lost, or no reply in time."""

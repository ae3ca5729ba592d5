"""What can go wrong between us and an API server, beyond the families of `pytest_submariner.errors`."""

from __future__ import annotations

from pytest_submariner.errors import NodeUnreachable, TopologyError, TransportError


class ApiError(TransportError):
    """The API server answered with an error. `status` is the HTTP status, `reason` the machine word of the Status
    object (`Forbidden`, `AlreadyExists`, …; empty when the answer was not a Status)."""

    def __init__(self, message: str, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class AccessDenied(NodeUnreachable):
    """Credentials, permissions or a host key were refused: asking again will not help."""


class ResourceAbsent(TopologyError):
    """The cluster does not know this kind of object: its API group or its CRD is not installed."""


class PodNotReady(TransportError):
    """A pod did not get to Running before its deadline, or never will; the message says why, pod by pod."""

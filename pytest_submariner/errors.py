"""Errors, and what each becomes in pytest: an AssertionError means the network is wrong, the rest that we could not tell."""

from __future__ import annotations


class SubmarinerError(Exception):
    """Base of everything that is not a finding: pytest reports an error, Allure `broken`."""


class TopologyError(SubmarinerError):
    """Clusters unreachable, no gateway node, Submariner absent."""


class TransportError(SubmarinerError):
    """A command could not be asked, or its answer was lost."""


class NodeUnreachable(TransportError):
    """No way to the node: connection refused, unknown host key, authentication, API down."""


class CommandNotFound(TransportError):
    """The node has no such program."""


class ExecTimeout(TransportError):
    """The command did not end before its deadline; what it had said by then is in `partial`."""

    def __init__(self, message: str, partial: bytes = b"") -> None:
        super().__init__(message)
        self.partial = partial


class ExitStatusLost(TransportError):
    """The stream ended without the command's exit status."""


class ProbeInconclusive(SubmarinerError):
    """Asked, but the answer cannot be trusted (truncated, no trailer, contradictory)."""


class LabError(SubmarinerError):
    """The lab could not do what was asked: name taken, unknown node, process died."""


class LabUnavailable(LabError):
    """This machine cannot run the lab; the message names the kernel feature, privilege or package that is missing."""


class RequirementUnmet(SubmarinerError):
    """A mark's condition is not met; becomes a skip that names the condition and the measured value."""


class PathFailed(AssertionError):
    """The verdict on a path differs from what is expected."""


class ConformanceFailed(AssertionError):
    """Published or programmed state differs from the documented one."""

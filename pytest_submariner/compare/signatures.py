"""What a failure text of subctl's e2e framework says: about the path, or only that the spec could not be set up.

Texts are the starts of `message` in the JUnit file (`shipyard:test/e2e/framework`, `submariner:test/e2e`).
"""

from __future__ import annotations

import re

from pytest_submariner.compare.ginkgo import SpecReport

_SETUP = (
    (r"Failed to await pod ready", "the listener pod never ran"),
    (r"Failed to await pod .* finished\. Pod status is Pending", "the connector pod was never scheduled"),
    (r"unexpected pod phase Failed", "a test pod died at once"),
    (r"Failed to await active gateway Pod", "not exactly one gateway pod is labelled active"),
    (r".*label is only present on the active GW node", "the non-gateway label is on the gateway only"),
    (r"Error (generating|creating) namespace", "the test namespace could not be made"),
)
_PATH = (
    (r"Expected\s+<int32>: 1\s+to equal\s+<int32>: 0", "nobody reached the listener"),
    (r"Failed to await pod .* finished\. Pod status is Running", "the connection hung"),
    (r"Failed to await active connection on Gateway", "the gateway does not report the cable as connected"),
    (
        r"Expected\s+<string>:[\s\S]*to contain substring\s+<string>: \d+\.\d+\.\d+\.\d+\s*$",
        "the listener saw another source",
    ),
    (r"Expected\s+<string>:[\s\S]*to contain substring", "connected, but the payload was lost"),
)


def setup_problem(spec: SpecReport) -> str | None:
    """Why a failed spec says nothing about its path: it failed before or after its body, or its pods never ran.
    None when the failure is an answer."""
    if spec.node and spec.node != "It":
        return f"failed in {spec.node}, outside its body"
    return _first(_SETUP, spec.message)


def meaning(spec: SpecReport) -> str:
    """A failure in words; its first line as it is when it is not a known one."""
    known = _first(_PATH, spec.message)
    first = next(iter(spec.message.splitlines()), "")
    return known or _first(_SETUP, spec.message) or first


def _first(signatures: tuple[tuple[str, str], ...], message: str) -> str | None:
    return next((words for pattern, words in signatures if re.match(pattern, message)), None)

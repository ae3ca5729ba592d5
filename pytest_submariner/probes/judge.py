"""A measurement against its promise: the verdict, and the line that says so. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pytest_submariner.model.path import PathCase
from pytest_submariner.model.verdict import Expectation, SourceExpectation, Verdict
from pytest_submariner.paths.expectations import Promise
from pytest_submariner.paths.sizes import PMTU, size_tag
from pytest_submariner.probes.measurement import Measurement, Outcome

SILENT = frozenset({Outcome.REFUSED, Outcome.TIMEOUT, Outcome.UNREACHABLE})
"""Nothing of ours got through and back."""


@dataclass(frozen=True)
class Ends:
    """What is known about the two ends of a path, apart from the measurement."""

    source_address: str
    """The source pod's own address; for a host-network pod that of its node."""
    source_addresses: Sequence[str]
    """Every address of the source's network namespace."""
    source_pod_cidrs: Sequence[str]
    """Of the source's cluster."""
    target: str
    """How the target reads in a sentence: `pod probe-… on c2-w1 (10.9.2.5)`."""
    listener: str | None
    """Name of the pod that must answer; None where nobody tells its name (ICMP)."""
    must_carry: int | None = None
    """Bytes of the IP packet that must get through unfragmented, where that was asked and is known."""
    mtu_words: str = ""
    """How `must_carry` came about."""


@dataclass(frozen=True)
class Judgement:
    """`detail` is one line; it says what happened, with names and addresses."""

    verdict: Verdict
    detail: str


def judge(case: PathCase, promise: Promise, measurement: Measurement, ends: Ends) -> Judgement:
    """For paths that are `ok` or `blocked`; what is by design has evidence of its own (`vx_story`)."""
    outcome = measurement.outcome
    if outcome is Outcome.UNSUPPORTED:
        return Judgement(Verdict.SKIPPED, f"needs python3 in the probe image: {measurement.error}")
    if outcome is Outcome.UNABLE:
        return Judgement(Verdict.ERROR, f"could not ask: {measurement.error}")
    if outcome is Outcome.MISMATCH:
        return Judgement(Verdict.INCONCLUSIVE, f"the answer of {ends.target} cannot be trusted: {measurement.error}")
    if promise.expected is Expectation.BLOCKED:
        return _must_be_blocked(case, measurement, ends)
    if outcome in SILENT:
        return Judgement(Verdict.BLOCKED, f"{ends.target} is not reachable: {_how(measurement)}")
    if outcome is Outcome.STALLED:
        return Judgement(Verdict.STALLED, f"{ends.target} accepts connections, but data hangs: {_how(measurement)}")
    if outcome is Outcome.RESET:
        return Judgement(Verdict.BLOCKED, f"{ends.target} accepts connections, but they break: {_how(measurement)}")
    return _answered(case, promise, measurement, ends)


def _must_be_blocked(case: PathCase, measurement: Measurement, ends: Ends) -> Judgement:
    if measurement.outcome in SILENT:
        return Judgement(Verdict.OK, f"{ends.target} is not reachable, as it must be: {_how(measurement)}")
    if measurement.outcome is Outcome.ANSWERED and not _right_listener(measurement, ends):
        return Judgement(
            Verdict.INCONCLUSIVE,
            f"pod {measurement.listener} answered at the address of {ends.target}, which must be blocked",
        )
    return Judgement(Verdict.UNEXPECTED, f"{ends.target} is reachable by {case.protocol}, which must be blocked")


def _answered(case: PathCase, promise: Promise, measurement: Measurement, ends: Ends) -> Judgement:
    if not _right_listener(measurement, ends):
        return Judgement(
            Verdict.BLOCKED,
            f"{ends.target} is not reachable: another pod, {measurement.listener or 'without a name'}, answers at its address",
        )
    if size_tag(case) == PMTU:
        return _carried(measurement, ends)
    if promise.source is SourceExpectation.ANY:
        seen = f", which saw {measurement.seen}" if measurement.seen else ""
        return Judgement(Verdict.OK, f"answered by {ends.target}{seen}")
    if promise.source is SourceExpectation.EGRESS:
        return Judgement(Verdict.INCONCLUSIVE, "the source must be a global egress address, and none is known here")
    if not measurement.seen:
        return Judgement(Verdict.INCONCLUSIVE, f"{ends.target} answered, but did not tell which source it saw")
    wanted = _wanted_source(case, promise.source, measurement.seen, ends)
    if wanted is None:
        return Judgement(Verdict.OK, f"answered by {ends.target}, which saw {measurement.seen} ({promise.source})")
    return Judgement(Verdict.WRONG_SOURCE, f"{ends.target} saw source {measurement.seen}; promised is {wanted}")


def _carried(measurement: Measurement, ends: Ends) -> Judgement:
    reached = measurement.reached
    if reached is None:
        return Judgement(Verdict.INCONCLUSIVE, f"{ends.target} answered, but nobody told which sizes get through")
    stop = f"larger ones end in {measurement.stopped}" if measurement.stopped else "the source can send no larger ones"
    if ends.must_carry is None:
        return Judgement(
            Verdict.INCONCLUSIVE, f"packets up to {reached} bytes reach {ends.target}, and no MTU is known"
        )
    wanted = f"must be {ends.must_carry}, {ends.mtu_words}"
    if reached < ends.must_carry:
        return Judgement(
            Verdict.BLOCKED,
            f"{ends.target} answers small packets, but unfragmented ones only up to {reached} bytes ({stop}); {wanted}",
        )
    return Judgement(Verdict.OK, f"unfragmented packets up to {reached} bytes reach {ends.target} ({stop}); {wanted}")


def _wanted_source(case: PathCase, source: SourceExpectation, seen: str, ends: Ends) -> str | None:
    """What should have been seen, in words; None when `seen` is right."""
    if source is SourceExpectation.PRESERVED:
        return None if seen == ends.source_address else f"the pod's own address {ends.source_address}"
    allowed = ends.source_addresses
    words = "an address of the source's node"
    if case.is_cross_cluster and ends.source_pod_cidrs:
        allowed = [address for address in allowed if _inside(address, tuple(ends.source_pod_cidrs))]
        words = f"the CNI address of the source's node (inside {', '.join(ends.source_pod_cidrs)})"
    return None if seen in allowed else f"{words}: {', '.join(allowed) or 'none was found on the node'}"


@lru_cache(maxsize=4096)
def _inside(address: str, cidrs: tuple[str, ...]) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)


def _right_listener(measurement: Measurement, ends: Ends) -> bool:
    return ends.listener is None or measurement.listener == ends.listener


def _how(measurement: Measurement) -> str:
    tries = f"{measurement.attempts} attempt{'s' if measurement.attempts != 1 else ''}"
    words = " then ".join(dict.fromkeys(outcome.value for outcome in measurement.history)) or measurement.outcome.value
    return f"{words} in {tries}" + (f" ({measurement.error})" if measurement.error else "")

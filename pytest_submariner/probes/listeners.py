"""Silence says something about a path only when the listener at its end was there to break it.

A killed target pod, or one whose node is frozen, looks to a connector like a path that drops packets. So before a path counts as
blocked or stalled, its listener is asked, through the API server and over its own loopback, whether it still answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pytest_submariner.errors import SubmarinerError
from pytest_submariner.model.path import Protocol
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.verdict import Expectation, Verdict
from pytest_submariner.probes.conversation import Conversation, Probe, Request
from pytest_submariner.probes.measurement import Outcome
from pytest_submariner.probes.pods import Place
from pytest_submariner.probes.route import Route

LOOPBACK = "127.0.0.1"
TIMEOUT_S = 2.0
AT_ONCE = 16

Ask = Callable[[Place, Request], Conversation]
"""A conversation with a probe pod; SubmarinerError when there is none."""


def confirm(routes: Collection[Route], results: Mapping[str, PathResult], ask: Ask, port: int) -> dict[str, PathResult]:
    """Those results that rest on a listener's silence, with the evidence that it was there; `inconclusive` where it was not.

    One conversation per silent listener. Node targets have none: there the kernel answers.
    """
    silent = [route for route in routes if route.target is not None and _rests_on_silence(results[route.case.id])]
    places = sorted({route.target for route in silent if route.target is not None})
    if not places:
        return {}
    with ThreadPoolExecutor(min(AT_ONCE, len(places)), thread_name_prefix="listeners") as pool:
        problems = dict(zip(places, pool.map(lambda place: _problem(place, ask, port), places), strict=True))
    confirmed = {}
    for route in silent:
        assert route.target is not None
        result, problem = results[route.case.id], problems[route.target]
        if problem:
            detail = f"{problem}: its silence says nothing about the path ({result.detail})"
            result = replace(result, verdict=Verdict.INCONCLUSIVE, detail=detail)
        else:
            fact = f"the listener in {route.target} answers over its own loopback: the silence is the path's"
            result = replace(result, evidence=(*result.evidence, fact))
        confirmed[route.case.id] = result
    return confirmed


def _rests_on_silence(result: PathResult) -> bool:
    if result.expected is Expectation.BLOCKED:
        return result.verdict is Verdict.OK
    return result.verdict in {Verdict.BLOCKED, Verdict.STALLED}


def _problem(place: Place, ask: Ask, port: int) -> str:
    """Empty when the listener is there."""
    probes = [Probe(protocol.value, protocol, LOOPBACK, port) for protocol in (Protocol.TCP, Protocol.UDP)]
    try:
        conversation = ask(place, Request(probes, timeout_s=TIMEOUT_S, attempts=1, settle_s=0.0))
    except SubmarinerError as error:
        return f"the listener could not be asked whether it is there: {error}"
    for measurement in conversation.measurements.values():
        if measurement.outcome is not Outcome.ANSWERED:
            return f"the listener in {place} does not answer over its own loopback either ({measurement.outcome})"
        if measurement.listener != place.pod:
            return f"{measurement.listener} answers in place of {place}"
    return ""

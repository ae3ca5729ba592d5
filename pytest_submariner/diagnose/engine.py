"""From suspicions to findings: which fault explains which failing path, cause before effect.

A suspicion becomes a finding when failing flows are in its scope, no working flow refutes it, and no other finding has
it among its effects. One that explains nothing is told only when it is latent by nature."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pytest_submariner.diagnose.cause import Cause, Layer, Rank, Suspicion
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.tracing.trace import Trace
from pytest_submariner.model.finding import Evidence, EvidenceKind, Finding
from pytest_submariner.model.path import Kind
from pytest_submariner.model.topology import Role

_NAMED = 3
_NODE = re.compile(r"\bNODE\b")
"""In a remedy: the node of the finding."""
_SPOILING = frozenset({Layer.OVERLAY, Layer.NF, Layer.ROUTE, Layer.CNI, Layer.HOST})
"""What the ping of issue 3134 goes through."""


@dataclass(frozen=True)
class Verdict:
    """A suspicion that stood the test, and the failing flows it explains."""

    cause: Cause
    suspicion: Suspicion
    explained: tuple[Flow, ...]

    @property
    def place(self) -> tuple[str, str]:
        return self.suspicion.node.cluster, self.suspicion.node.name


OnError = Callable[[Cause, Exception], None]


def findings(seen: Observation, causes: Iterable[Cause], on_error: OnError | None = None) -> tuple[Finding, ...]:
    """Every independent root cause, the one that explains most first within its rank. Failing flows that none explains are left
    to `unexplained`. With `on_error` a rule that breaks is told there, and costs no other its say."""
    return tuple(_finding(seen, verdict) for verdict in judge(seen, causes, on_error))


def judge(seen: Observation, causes: Iterable[Cause], on_error: OnError | None = None) -> tuple[Verdict, ...]:
    stood = [
        Verdict(cause, suspicion, _explained(seen, cause, suspicion))
        for cause in causes
        for suspicion in _suspicions(seen, cause, on_error)
        if not (suspicion.refuted_by is not None and seen.working_in(suspicion.refuted_by))
    ]
    stood = [verdict for verdict in stood if verdict.explained or verdict.suspicion.latent]
    stood.sort(key=lambda v: (not v.explained, v.cause.rank, -len(v.explained)))
    return tuple(verdict for verdict in stood if not any(_takes(other, verdict) for other in stood))


def _suspicions(seen: Observation, cause: Cause, on_error: OnError | None) -> list[Suspicion]:
    try:
        return list(cause.rule(seen))
    except Exception as error:
        if on_error is None:
            raise
        on_error(cause, error)
        return []


def _explained(seen: Observation, cause: Cause, suspicion: Suspicion) -> tuple[Flow, ...]:
    """The failing flows in the scope, and what follows from them though its way is not Submariner's to carry."""
    found = seen.failing_in(suspicion.explains)
    inside = {flow.id for flow in found}
    others = (flow for flow in seen.failing if flow.id not in inside)
    return (
        *found,
        *(
            flow
            for flow in others
            if _status_follows(flow, found, suspicion) or _vx_follows(flow, found, cause, suspicion)
        ),
    )


def _status_follows(flow: Flow, found: Sequence[Flow], suspicion: Suspicion) -> bool:
    """The gateway status is told by a ping from the host network of one gateway to the CNI address of the other
    (submariner:pkg/pinger)."""
    if not flow.is_status:
        return False
    ends = {flow.source.cluster, flow.target.cluster}
    between = [f for f in found if f.crosses and {f.source.cluster, f.target.cluster} == ends]
    at_gateways = [f for f in between if {f.source.role, f.target.role} == {Role.GATEWAY}]
    if any(f.case.source.kind is Kind.HOSTPOD for f in at_gateways):
        return True
    return bool(at_gateways) and suspicion.node.role is Role.GATEWAY


def _vx_follows(flow: Flow, found: Sequence[Flow], cause: Cause, suspicion: Suspicion) -> bool:
    """A ping of a 240.x address is judged by the traces it leaves on its two nodes: what is broken there spoils them."""
    if flow.case.target.kind is not Kind.VX or suspicion.node not in flow.nodes:
        return False
    return bool(found) or cause.layer in _SPOILING


def _takes(other: Verdict, verdict: Verdict) -> bool:
    """Whether `verdict` is an effect of `other`."""
    if verdict.cause.code not in other.cause.effects or other.cause is verdict.cause:
        return False
    if other.cause.rank is Rank.OBJECT:
        return {flow.id for flow in verdict.explained} <= {flow.id for flow in other.explained}
    return other.place == verdict.place


def _finding(seen: Observation, verdict: Verdict) -> Finding:
    suspicion, cause = verdict.suspicion, verdict.cause
    said = [Evidence(EvidenceKind.STATE, text) for text in suspicion.state]
    said += [Evidence(EvidenceKind.TRAFFIC, text) for text in (*suspicion.traffic, *_traffic(seen, verdict))]
    return Finding(
        code=cause.code,
        cluster=suspicion.node.cluster,
        node=suspicion.node.name,
        object=suspicion.object,
        evidence=tuple(said),
        remedy=_NODE.sub(suspicion.node.name, suspicion.remedy or cause.remedy),
        paths=tuple(flow.id for flow in verdict.explained),
    )


def _traffic(seen: Observation, verdict: Verdict) -> list[str]:
    """What follows from the flows alone."""
    scope = verdict.suspicion.explains
    working = seen.working_in(scope)
    if not verdict.explained:
        asked = [flow for flow in seen.flows if flow.works]
        return [f"no path that was asked fails because of it now ({_paths(asked)} work)"]
    named = ", ".join(flow.id for flow in verdict.explained[:_NAMED])
    more = f" and {len(verdict.explained) - _NAMED} more" if len(verdict.explained) > _NAMED else ""
    lines = [f"{_paths(verdict.explained)} {scope.words} fail: {named}{more}"]
    if working:
        lines.append(f"{_paths(working)} {scope.words} work, such as {working[0].id}")
    outside = seen.working_in(~scope)
    if outside:
        lines.append(f"{_paths(outside)} that do not depend on it work, such as {outside[0].id}")
    lines += _lost(seen.traces.get(flow.id) for flow in verdict.explained)
    return lines


def _lost(traces: Iterable[Trace | None]) -> list[str]:
    found: Sequence[Trace] = [trace for trace in traces if trace is not None]
    return [str(trace) for trace in found[:_NAMED]]


def _paths(found: Sequence[object]) -> str:
    return f"{len(found)} path{'' if len(found) == 1 else 's'}"

"""Causes: NetworkPolicies."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.packet import Answer
from pytest_submariner.diagnose.reasoning.isolation import Forbidden, forbidden
from pytest_submariner.diagnose.reasoning.policies import Direction
from pytest_submariner.diagnose.scope import Scope

_TOLD = 3


@cause(
    "NF_NETWORKPOLICY_REMOTE_SOURCE",
    title="A NetworkPolicy does not admit the other cluster",
    symptom="Selected pods, or some of their ports, are not reached from other clusters (or reach none); other pods on the same node work.",
    mechanism="For a cluster, pods of another one are addresses outside: podSelector and namespaceSelector never match them, only ipBlock "
    "does. A policy that admits the cluster's own pods forbids all others.",
    evidence="The policies that select the pod, none of which has a rule for the source (or destination) address.",
    remedy="Add to the policy a rule with an ipBlock for the pod CIDRs of the other clusters (with Globalnet: their global CIDRs).",
    rank=Rank.OBJECT,
    sources=(
        "https://kubernetes.io/docs/concepts/services-networking/network-policies/",
        "red-hat-storage/ocs-operator pull request 4167",
    ),
)
def nf_networkpolicy_remote_source(seen: Observation) -> Iterator[Suspicion]:
    found: dict[tuple[str, tuple[str, ...]], list[Forbidden]] = {}
    for flow in seen.failing:
        for told in forbidden(seen, flow):
            if told.isolation.blocks is Answer.YES:
                found.setdefault((told.node.cluster, _named(told)), []).append(told)
    for (position, policies), denied in found.items():
        yield Suspicion(
            seen.anchor(position),
            "NetworkPolicy " + ", ".join(policies),
            tuple(dict.fromkeys(map(_sentence, denied)))[:_TOLD],
            _by(seen, position, policies, sure=False),
            refuted_by=_by(seen, position, policies, sure=True),
        )


def _by(seen: Observation, position: str, policies: tuple[str, ...], *, sure: bool) -> Scope:
    def holds(flow: Flow) -> bool:
        return any(
            told.node.cluster == position
            and _named(told) == policies
            and (told.isolation.blocks is Answer.YES or not sure)
            for told in forbidden(seen, flow)
        )

    return Scope(f"that NetworkPolicies of {position} forbid", holds)


def _named(told: Forbidden) -> tuple[str, ...]:
    return told.isolation.policies


def _sentence(told: Forbidden) -> str:
    isolation, packet = told.isolation, told.packet
    other = f"from {packet.source}" if isolation.direction is Direction.INGRESS else f"to {packet.destination}"
    return (
        f"{told.node.name}: {' and '.join(isolation.policies)} select pod {isolation.pod} for {isolation.direction.lower()}, and no rule "
        f"there allows {packet.protocol} {other}"
    )

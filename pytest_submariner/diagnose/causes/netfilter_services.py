"""Causes: kube-proxy on the gateway, where ClusterIPs asked for from other clusters are translated."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.firewall import Passed
from pytest_submariner.diagnose.packetfilter.packet import Hook
from pytest_submariner.diagnose.reasoning.ways import Layer, Passage
from pytest_submariner.diagnose.scope import Scope
from pytest_submariner.model.topology import Node, Role

_IPVS_DEVICE = "kube-ipvs0"
"""kubernetes:pkg/proxy/ipvs/proxier.go"""
_SERVICES_CHAIN = "KUBE-SERVICES"
_HOOKS = (Hook.PREROUTING, Hook.OUTPUT)


@cause(
    "NF_KUBEPROXY_DEAD_ON_REMOTE_GATEWAY",
    title="The gateway does not translate ClusterIPs",
    symptom="Other clusters reach this cluster's pods and none of its services, whichever node backs them.",
    mechanism="Packets for a ClusterIP come out of the cable on the gateway node, and only kube-proxy there can turn them to a pod; on any "
    "other node it may be in best health.",
    evidence="On the gateway no rule of PREROUTING translates the ClusterIP, though other nodes have one, or kube-proxy's chains are "
    "there and nothing leads to them; packets for the ClusterIP enter by the cable and leave nowhere.",
    remedy="Restart kube-proxy on the gateway node and look at its log; find who flushes nat/PREROUTING.",
    sources=("kubernetes:pkg/proxy/iptables/proxier.go",),
)
def nf_kubeproxy_dead_on_remote_gateway(seen: Observation) -> Iterator[Suspicion]:
    for sight, flow, passage in _untranslated(seen):
        why = None if _has_ipvs(sight, flow) else _dead(seen, sight, flow, passage)
        if why is not None:
            said = f"{sight.name}: no rule translates {passage.packet}"
            yield Suspicion(
                sight.node,
                "kube-proxy",
                (said, why),
                _services_by(seen, sight.node),
                refuted_by=_untranslated_at(seen, sight.node),
            )


@cause(
    "NF_KUBEPROXY_IPVS",
    title="kube-proxy runs in IPVS mode on the gateway",
    symptom="Other clusters reach this cluster's pods and none of its services.",
    mechanism="In IPVS mode every ClusterIP is an address of the device kube-ipvs0: the gateway takes packets for it as its own "
    "before Submariner's way to the pods is asked. Submariner does not support the mode on gateways.",
    evidence="The device kube-ipvs0 on the gateway, and no rule of PREROUTING that translates the ClusterIP.",
    remedy="Run kube-proxy in iptables or nftables mode on gateway nodes (`mode: iptables` in the kube-proxy ConfigMap), then delete "
    "kube-ipvs0 or reboot the node.",
    effects=("NF_KUBEPROXY_DEAD_ON_REMOTE_GATEWAY",),
    sources=("https://submariner.io/operations/known-issues/",),
)
def nf_kubeproxy_ipvs(seen: Observation) -> Iterator[Suspicion]:
    for sight, flow, passage in _untranslated(seen):
        if _has_ipvs(sight, flow):
            held = [address.ip for address in sight.addresses if address.device == _IPVS_DEVICE]
            said = f"{sight.name}: device {_IPVS_DEVICE} is there with {len(held)} addresses; no rule translates {passage.packet}"
            yield Suspicion(sight.node, _IPVS_DEVICE, (said,), _services_by(seen, sight.node))


def _untranslated(seen: Observation) -> Iterator[tuple[NodeSight, Flow, Passage]]:
    """Gateways that surely leave a ClusterIP of a failing flow as it is, each with the first such flow."""
    found: dict[Node, tuple[NodeSight, Flow, Passage]] = {}
    for flow in seen.failing:
        passage = _at_gateway(seen, flow)
        if passage is not None and passage.sight.firewall.is_read and _leaves(passage.passed):
            found.setdefault(passage.node, (passage.sight, flow, passage))
    yield from found.values()


def _at_gateway(seen: Observation, flow: Flow) -> Passage | None:
    """Where a gateway has to translate the flow's ClusterIP: that of the target's cluster, or the node it is opened on."""
    if not flow.to_service:
        return None
    where = seen.gateway(flow.target.cluster) if flow.crosses else flow.source
    if where is None or where.role is not Role.GATEWAY:
        return None
    passages = (p for p in seen.ways.at(flow, where) if p.opens and p.layer is Layer.INNER and p.hook in _HOOKS)
    return next((p for p in passages if p.packet.destination == flow.target_ip), None)


def _leaves(passed: Passed | None) -> bool:
    """Nothing translates, and nothing that is not understood may."""
    return passed is not None and passed.by is None and not any(step.verdict == "UNKNOWN" for step in passed.steps)


def _dead(seen: Observation, sight: NodeSight, flow: Flow, passage: Passage) -> str | None:
    """Why kube-proxy is to blame: what shows that the ClusterIP should be translated."""
    for other in seen.every():
        if other.node.cluster == sight.node.cluster and other is not sight:
            passed = other.firewall.passed(Hook.PREROUTING, passage.packet)
            if passed.by is not None:
                return f"{other.name} has a rule for it: `{passed.by}`"
    chains = {
        chain for filters in sight.before.packet_filters or () for table, chain in filters.policies if table == "nat"
    }
    if _SERVICES_CHAIN in chains and passage.passed is not None and not passage.passed.met(_SERVICES_CHAIN):
        return f"{sight.name}: chain {_SERVICES_CHAIN} is there, and nothing leads to it"
    return None


def _has_ipvs(sight: NodeSight, flow: Flow) -> bool:
    return sight.link(_IPVS_DEVICE) is not None or flow.target_ip in sight.own_ips


def _services_by(seen: Observation, node: Node) -> Scope:
    return Scope(f"to services which {node.name} has to translate", lambda flow: _is_at(_at_gateway(seen, flow), node))


def _untranslated_at(seen: Observation, node: Node) -> Scope:
    def holds(flow: Flow) -> bool:
        passage = _at_gateway(seen, flow)
        return _is_at(passage, node) and passage is not None and _leaves(passage.passed)

    return Scope(f"to services which {node.name} does not translate", holds)


def _is_at(passage: Passage | None, node: Node) -> bool:
    return passage is not None and passage.node == node

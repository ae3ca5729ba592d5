"""NetworkPolicies (networking.k8s.io/v1): which of them keep a packet from a pod, by name. Pure.

After the semantics of the API (kubernetes:staging/src/k8s.io/api/networking/v1/types.go): a pod is isolated in a direction as soon as one
policy selects it there, and then gets what any of these allows. Policies of other APIs (Calico, Cilium, AdminNetworkPolicy) are not
known here. Pods on the host network are not isolated: what CNIs do with them differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects, Object
from pytest_submariner.diagnose.packetfilter.addresses import within
from pytest_submariner.diagnose.packetfilter.packet import Answer, Packet, every, some


class Direction(StrEnum):
    INGRESS = "Ingress"
    EGRESS = "Egress"

    @property
    def rules_key(self) -> str:
        return self.value.lower()

    @property
    def peers_key(self) -> str:
        return "from" if self is Direction.INGRESS else "to"


@dataclass(frozen=True)
class Isolation:
    """`policies` (`namespace/name`) select `pod` and none of them lets the packet through. MAY: it depends on what is not known,
    such as whether ports are asked of ICMP."""

    direction: Direction
    pod: str
    policies: tuple[str, ...]
    blocks: Answer


class Policies:
    """Of one cluster. Nothing is isolated when policies, pods or namespaces were not read."""

    def __init__(self, objects: ClusterObjects) -> None:
        self._policies = objects["networkpolicies"] if objects.knows("networkpolicies", "pods", "namespaces") else ()
        self._labels = {_name(space): _labels(space) for space in objects["namespaces"]}
        self._pods = {ip: pod for pod in objects["pods"] if _has_own_network(pod) for ip in _ips(pod)}

    def __bool__(self) -> bool:
        return bool(self._policies)

    def isolation(self, direction: Direction, packet: Packet) -> Isolation | None:
        """What keeps `packet`, the first of its flow, from its pod: from the one it is for (INGRESS), or comes from (EGRESS). Addresses
        are those at the pod: of the pod behind a Service, of a source after translation."""
        own, other = (
            (packet.destination, packet.source)
            if direction is Direction.INGRESS
            else (packet.source, packet.destination)
        )
        pod = self._pods.get(own)
        if pod is None:
            return None
        selecting = [policy for policy in self._policies if _selects(policy, pod, direction)]
        if not selecting:
            return None
        allowed = some(
            self._allows(rule, direction, packet, other, _namespace(pod))
            for p in selecting
            for rule in _rules(p, direction)
        )
        names = tuple(sorted(f"{_namespace(policy)}/{_name(policy)}" for policy in selecting))
        return Isolation(direction, f"{_namespace(pod)}/{_name(pod)}", names, ~allowed)

    def _allows(
        self, rule: Mapping[str, Any], direction: Direction, packet: Packet, other: str, namespace: str
    ) -> Answer:
        peers, ports = rule.get(direction.peers_key) or [], rule.get("ports") or []
        who = some(self._is_peer(peer, other, namespace) for peer in peers) if peers else Answer.YES
        what = some(self._is_port(port, packet) for port in ports) if ports else Answer.YES
        return every((who, what))

    def _is_peer(self, peer: Mapping[str, Any], ip: str, namespace: str) -> Answer:
        block = peer.get("ipBlock")
        if block is not None:
            inside = within(ip, str(block.get("cidr", "")))
            return every((inside, ~some(within(ip, str(text)) for text in block.get("except") or ())))
        pod = self._pods.get(ip)
        if pod is None:
            return Answer.NO
        spaces = peer.get("namespaceSelector")
        is_there = (
            _namespace(pod) == namespace if spaces is None else _matches(spaces, self._labels.get(_namespace(pod), {}))
        )
        pods = peer.get("podSelector")
        return Answer.of(is_there and (pods is None or _matches(pods, _labels(pod))))

    def _is_port(self, port: Mapping[str, Any], packet: Packet) -> Answer:
        """What a rule with ports means for ICMP is not specified."""
        if packet.protocol == "icmp":
            return Answer.MAY
        if str(port.get("protocol", "TCP")).lower() != packet.protocol:
            return Answer.NO
        wanted, asked = port.get("port"), packet.destination_port
        if wanted is None:
            return Answer.YES
        if asked is None:
            return Answer.MAY
        if isinstance(wanted, str) and not wanted.isdigit():
            return self._is_named(wanted, packet, asked)
        return Answer.of(int(wanted) <= asked <= int(port.get("endPort") or wanted))

    def _is_named(self, name: str, packet: Packet, asked: int) -> Answer:
        pod = self._pods.get(packet.destination)
        if pod is None:
            return Answer.NO
        named = [
            entry.get("containerPort")
            for container in (pod.get("spec") or {}).get("containers") or ()
            for entry in container.get("ports") or ()
            if entry.get("name") == name and str(entry.get("protocol", "TCP")).lower() == packet.protocol
        ]
        return Answer.of(asked in named)


def _rules(policy: Object, direction: Direction) -> Iterator[Mapping[str, Any]]:
    yield from (policy.get("spec") or {}).get(direction.rules_key) or ()


def _selects(policy: Object, pod: Object, direction: Direction) -> bool:
    """Without policyTypes a policy is of ingress, and of egress if it has egress rules."""
    spec = policy.get("spec") or {}
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    if direction.value not in types or _namespace(policy) != _namespace(pod):
        return False
    return _matches(spec.get("podSelector") or {}, _labels(pod))


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """An empty selector matches all."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(labels, term) for term in selector.get("matchExpressions") or ())


def _meets(labels: Mapping[str, str], term: Mapping[str, Any]) -> bool:
    key, operator, values = term.get("key", ""), term.get("operator"), term.get("values") or ()
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) is (operator == "Exists")


def _has_own_network(pod: Object) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return not (pod.get("spec") or {}).get("hostNetwork") and phase not in ("Succeeded", "Failed")


def _ips(pod: Object) -> Iterable[str]:
    status = pod.get("status") or {}
    listed = (entry.get("ip") for entry in status.get("podIPs") or ())
    return dict.fromkeys(ip for ip in (status.get("podIP"), *listed) if ip)


def _name(item: Object) -> str:
    return str((item.get("metadata") or {}).get("name", ""))


def _namespace(item: Object) -> str:
    return str((item.get("metadata") or {}).get("namespace", ""))


def _labels(item: Object) -> Mapping[str, str]:
    return (item.get("metadata") or {}).get("labels") or {}

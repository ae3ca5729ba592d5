"""A placed path: its probe pods, and the address that is asked. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from functools import cached_property

from pytest_submariner.model.path import Kind, PathCase, Protocol
from pytest_submariner.model.topology import Cluster
from pytest_submariner.paths.sizes import size_tag
from pytest_submariner.probes import agent
from pytest_submariner.probes.conversation import Probe
from pytest_submariner.probes.placement import Placement
from pytest_submariner.probes.pods import CONTAINER, Place, namespace_name

_WORDS = {
    Kind.POD: "pod {pod} on {node}",
    Kind.HOSTPOD: "host-network pod {pod} on {node}",
    Kind.SVC: "the Service of pod {pod} on {node}",
    Kind.NODE: "node {node}",
}


@dataclass(frozen=True)
class Route:
    """`case` between the nodes of `placement`. A mesh has tens of thousands, each looked at several times."""

    case: PathCase
    placement: Placement

    @cached_property
    def source(self) -> Place:
        return Place(self.placement.source.cluster, self.placement.source.name, self.case.source.kind is Kind.HOSTPOD)

    @cached_property
    def target(self) -> Place | None:
        """The listener's pod; None where the node itself answers."""
        if self.case.target.kind is Kind.NODE:
            return None
        node = self.placement.target
        at = Place(node.cluster, node.name, self.case.target.kind is Kind.HOSTPOD)
        return replace(at, peer=True) if at == self.source and not at.host_network else at

    @property
    def service(self) -> Place | None:
        return self.target if self.case.target.kind is Kind.SVC else None

    @property
    def listener(self) -> str | None:
        """The pod whose name must be in the answer. An echo reply has no name in it."""
        return None if self.case.protocol is Protocol.ICMP or self.target is None else self.target.pod

    def target_words(self, address: str) -> str:
        pod = self.target.pod if self.target else ""
        return f"{_WORDS[self.case.target.kind].format(pod=pod, node=self.placement.target.name)} ({address})"

    def command(self, by_hand: ByHand, probe: Probe) -> str:
        """What repeats this by hand while the probe pods are there."""
        words = [probe.way, probe.address]
        if self.case.protocol is not Protocol.ICMP:
            words.append(str(probe.port))
        if probe.size != agent.SIZES[probe.way]:
            words.append(str(probe.size))
        return by_hand.ask(" ".join(words))

    def probe(self, address: str, port: int) -> Probe:
        """What the agent of the source is asked."""
        return Probe(self.case.id, self.case.protocol, address, port, size_tag(self.case) or "")


@dataclass(frozen=True)
class ByHand:
    """How a person asks from one pod what its agent was asked."""

    before: str
    after: str

    @classmethod
    def of(cls, cluster: Cluster, run_id: str, place: Place, *, shell: bool = False) -> ByHand:
        asker = 'sh -c "$SUBMARINER_PROBE_SHELL" sh' if shell else 'python3 -u -c "$SUBMARINER_PROBE_AGENT"'
        before, after = exec_command(cluster, run_id, place, f"exec {asker} ask \0").split("\0")
        return cls(before, after)

    def ask(self, words: str) -> str:
        """`words`: protocol, address, port, size; nothing a shell would take apart."""
        return f"{self.before}{words}{self.after}"


def exec_command(cluster: Cluster, run_id: str, place: Place, script: str) -> str:
    """A `kubectl exec` of a shell line in a probe pod."""
    return (
        f"{kubectl(cluster)} -n {namespace_name(run_id)} exec {place.pod} -c {CONTAINER} -- sh -c {shlex.quote(script)}"
    )


def kubectl(cluster: Cluster) -> str:
    kubeconfig = f" --kubeconfig {shlex.quote(cluster.kubeconfig)}" if cluster.kubeconfig else ""
    return f"kubectl{kubeconfig} --context {shlex.quote(cluster.context)}"

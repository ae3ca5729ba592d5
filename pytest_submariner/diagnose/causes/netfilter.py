"""Causes: packet filters that drop."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.packetfilter.packet import Hook
from pytest_submariner.diagnose.reasoning.drops import Dropper, droppers, places
from pytest_submariner.diagnose.reasoning.isolation import is_forbidden
from pytest_submariner.diagnose.reasoning.submarinerchains import accepts_elsewhere
from pytest_submariner.diagnose.reasoning.ways import Layer
from pytest_submariner.model.topology import Role

FORWARDING = places(Layer.INNER, Hook.INGRESS, Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING)
ENTERING = places(Layer.OVERLAY, Hook.INGRESS, Hook.PREROUTING, Hook.INPUT)
DELIVERING = places(Layer.INNER, Hook.INPUT)
OTHERS = (
    "KUBE-NWPLCY-",
    "KUBE-POD-FW-",
    "KUBE-ROUTER-",
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-PROXY-FIREWALL",
    "cali-",
    "CILIUM_",
)
"""Chains that drop on purpose: NetworkPolicies, and Services without endpoints."""


def forwarding_droppers(seen: Observation, *, gateway: bool) -> Iterator[Dropper]:
    """Nodes that drop what they forward, by other rules than those of policies and Services."""
    nodes = [s.node for s in seen.every() if (s.node.role is Role.GATEWAY) is gateway]
    for dropper in droppers(seen, FORWARDING, nodes):
        on_purpose = any(step.chain.startswith(OTHERS) for step in dropper.steps)
        forbidden = all(is_forbidden(seen, drop.flow) for drop in dropper.drops)
        if not on_purpose and not forbidden and not accepts_elsewhere(dropper):
            yield dropper


@cause(
    "NF_FORWARD_DROP_GATEWAY",
    title="The gateway drops what it should forward",
    symptom="Gateways are connected, and no pod or non-gateway host reaches the other cluster; the gateway's own host network does.",
    mechanism="A FORWARD policy of DROP (Docker sets one), or a rule of a firewall, drops packets between cable and cluster. Submariner "
    "accepts only what leaves by vx-submariner: what the gateway forwards otherwise depends on others' rules.",
    evidence="The rule or policy that decides about such a packet, and its counter, which rises with every probe; packets enter the "
    "gateway and never leave it, while IpForwDatagrams rises.",
    remedy="Accept forwarding between the pod and service CIDRs of all clusters, both ways, before the drop (`iptables -I FORWARD -s CIDR "
    "-d CIDR -j ACCEPT`, in DOCKER-USER where Docker runs), or `iptables -P FORWARD ACCEPT`.",
    sources=("submariner issue 2121", "https://docs.docker.com/engine/network/packet-filtering-firewalls/"),
)
def nf_forward_drop_gateway(seen: Observation) -> Iterator[Suspicion]:
    yield from map(_suspicion, forwarding_droppers(seen, gateway=True))


@cause(
    "NF_FORWARD_DROP_WORKER",
    title="A non-gateway node drops what it should forward to its pods",
    symptom="Nobody in other clusters can open connections to the pods of one node; what these pods open themselves works.",
    mechanism="A FORWARD policy of DROP, or a firewall's rule, drops new connections from the CNI to the pods. What the node sends to "
    "other clusters leaves by vx-submariner, which Submariner accepts, and replies are accepted as established.",
    evidence="The rule or policy that decides about such a packet, and its counter; the first packet arrives at the node and not at the "
    "pod.",
    remedy="Accept new connections from the pod CIDRs of other clusters to the local pod CIDR on that node (`iptables -I FORWARD -s "
    "REMOTE_CIDR -d POD_CIDR -j ACCEPT`), or `iptables -P FORWARD ACCEPT`.",
    sources=("submariner issue 2121",),
)
def nf_forward_drop_worker(seen: Observation) -> Iterator[Suspicion]:
    yield from map(_suspicion, forwarding_droppers(seen, gateway=False))


@cause(
    "NF_INPUT_REJECT_BEFORE_SUBMARINER",
    title="The gateway's firewall rejects UDP/4800 before Submariner accepts it",
    symptom="Pods and host network of all non-gateway nodes are cut off from other clusters; the gateway node is not.",
    mechanism="The agent appends its accept of UDP/4800 at the end of INPUT. A REJECT or DROP of firewalld, iptables-services or "
    "a table of nftables that stands before it, or beside it, decides first.",
    evidence="The rule that decides about UDP/4800 from a node, and its counter, while the counter of Submariner's accept stands still; "
    "packets arrive at the gateway's NIC and never at vx-submariner.",
    remedy="Open UDP/4800 between the cluster's nodes in the node's firewall (`firewall-cmd --permanent --add-port=4800/udp`, or an accept "
    "before the reject).",
    effects=("OVERLAY_UDP4800_BLOCKED",),
    sources=("submariner issue 2841", "submariner:pkg/packetfilter/iptables/iptables.go"),
)
def nf_input_reject_before_submariner(seen: Observation) -> Iterator[Suspicion]:
    """What the same rules keep from the host itself, inside the cluster, is told along."""
    for dropper in droppers(seen, ENTERING | DELIVERING):
        if dropper.hits(Layer.OVERLAY) and not accepts_elsewhere(dropper):
            yield _suspicion(dropper)


def _suspicion(dropper: Dropper) -> Suspicion:
    return Suspicion(
        dropper.sight.node,
        dropper.object,
        dropper.state(),
        dropper.explains,
        traffic=dropper.traffic(),
        refuted_by=dropper.refuted_by,
    )

"""Causes: packet filters that translate, or fail to."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane import constants as c
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.causes.netfilter import ENTERING, FORWARDING
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.drops import counted, droppers
from pytest_submariner.diagnose.reasoning.submarinerchains import accepts_elsewhere
from pytest_submariner.diagnose.reasoning.translations import Kind, Translation, rewritten_at, wrong
from pytest_submariner.model.path import Kind as EndKind
from pytest_submariner.model.topology import Node, Role

CHAIN = f"nat/{c.POSTROUTING_CHAIN}"


def host_network_of(node: Node) -> scope.Scope:
    """SIG-H: what host-network processes of a non-gateway node open towards other clusters."""
    return scope.crossing() & scope.from_node(node) & scope.opened_by(EndKind.HOSTPOD)


@cause(
    "NF_HOSTNET_SNAT_MISSING",
    title="No translation from 240/8 to the node's CNI address",
    symptom="Host-network processes of one non-gateway node reach no other cluster; its pods do.",
    mechanism="Their packets leave by vx-submariner with its 240.x address, which means nothing outside the cluster. "
    "Submariner's SNAT gives them the node's CNI address; without it replies have nowhere to go.",
    evidence="No rule of nat/POSTROUTING rewrites 240/8 on its way out by vx-submariner; at the gateway such packets carry 240.x.",
    remedy="Restart the route agent of that node; if the rule stays away, its log says that no CNI interface was found.",
    sources=(
        "submariner issues 298, 3103, 3134",
        "submariner:pkg/routeagent_driver/handlers/kubeproxy/kp_packetfilter.go",
    ),
)
def nf_hostnet_snat_missing(seen: Observation) -> Iterator[Suspicion]:
    for sight, found in wrong(seen, Kind.NOT_TRANSLATED):
        rules = [
            rule.text
            for rules in sight.rule_lists("nat", c.POSTROUTING_CHAIN)
            for rule in rules
            if rule.target == "SNAT"
        ]
        has = f"; SNAT rules of {c.POSTROUTING_CHAIN}: {', '.join(f'`{text}`' for text in rules) or 'none'}"
        yield Suspicion(sight.node, CHAIN, (found[0].text + has,), host_network_of(sight.node))


@cause(
    "NF_HOSTNET_SNAT_WRONG_ADDRESS",
    title="Host-network traffic is given an address the node does not have",
    symptom="Host-network processes of one non-gateway node reach no other cluster; its pods do.",
    mechanism="The SNAT for 240/8 names an address that is not, or no more, the node's CNI address: replies go to another node or "
    "nowhere. It stays so after the CNI gave the node another address while the agent ran; a new rule is appended behind it.",
    evidence="The rule's --to-source is no address of the node inside the pod CIDR.",
    remedy="Restart the route agent of that node, and delete the old rule if it stays (`iptables -t nat -S SUBMARINER-POSTROUTING`).",
    sources=("submariner issue 3103",),
)
def nf_hostnet_snat_wrong_address(seen: Observation) -> Iterator[Suspicion]:
    for sight, found in wrong(seen, Kind.FOREIGN_ADDRESS):
        own = ", ".join(sorted(ip for ip in sight.own_ips if not ip.startswith("127.")))
        said = f"{sight.name}: {found[0].source} is no address of its pods' network here; it has {own}"
        yield Suspicion(sight.node, CHAIN, (found[0].text, said), host_network_of(sight.node))


@cause(
    "NF_POSTROUTING_JUMP_MISSING",
    title="Packets do not come to Submariner's translation rules",
    symptom="What pods and host network of a node open towards other clusters fails; what other clusters open works. On a gateway, "
    "sources change, and with IPsec or WireGuard pods fail.",
    mechanism="SUBMARINER-POSTROUTING accepts inter-cluster packets before the CNI's masquerading, and gives host-network packets the CNI "
    "address. Nothing leads there when somebody flushed or rewrote nat/POSTROUTING: the agent puts the jump there once, when it starts.",
    evidence="The chain is there and filled, and no rule of nat/POSTROUTING leads packets for other clusters to it; its counters stand "
    "still while probes run.",
    remedy="Restart the route agent of that node; find who flushes nat/POSTROUTING (firewalld reloads, iptables-restore at boot).",
    sources=("submariner issues 1881, 1981", "submariner:pkg/packetfilter/iptables/iptables.go"),
)
def nf_postrouting_jump_missing(seen: Observation) -> Iterator[Suspicion]:
    for sight, found in wrong(seen, Kind.NOT_REACHED):
        said = f"{sight.name}: no rule of nat/POSTROUTING leads {found[0].passage.packet} to {c.POSTROUTING_CHAIN}, which is there"
        yield _suspicion(seen, sight, found, "nat/POSTROUTING", Kind.NOT_REACHED, first=said)


@cause(
    "NF_MASQUERADE_FIRST_WORKER",
    title="A non-gateway node masquerades pods before Submariner's accept",
    symptom="What pods of one non-gateway node open towards other clusters fails; what other clusters open towards them works.",
    mechanism="A MASQUERADE or SNAT of the CNI, of kube-proxy or of a table of nftables sees the packets before SUBMARINER-POSTROUTING, or "
    "that chain lacks the accept for the pair of CIDRs: pods leave with the node's 240.x address, which cannot be answered.",
    evidence="The rule that rewrites the source, its counter, and the source seen at the gateway's vx-submariner.",
    remedy="Exempt the remote CIDRs where the rule comes from (a disabled IPPool with natOutgoing false in Calico, nonMasqueradeCIDRs of "
    "ip-masq-agent), or restart the route agent so that its jump comes first again.",
    sources=("submariner issues 407, 3541", "https://submariner.io/operations/deployment/calico/"),
)
def nf_masquerade_first_worker(seen: Observation) -> Iterator[Suspicion]:
    for sight, found in wrong(seen, Kind.REWRITTEN):
        if sight.node.role is not Role.GATEWAY:
            yield _suspicion(seen, sight, found, _place(found), Kind.REWRITTEN)


@cause(
    "NF_MASQUERADE_ON_GATEWAY",
    title="The gateway rewrites the source of inter-cluster packets",
    symptom="Paths answer, and the server sees another source than the client's; with IPsec or WireGuard pods fail.",
    mechanism="A MASQUERADE or SNAT on the gateway takes packets before Submariner's accept, on their way out to the cable or in to the "
    "pods. NetworkPolicies and logs of the server then see a gateway; IPsec and WireGuard carry only the CIDRs they know.",
    evidence="The rule that rewrites the source, its counter, and the source the listener saw.",
    remedy="Exempt the remote CIDRs where the rule comes from, or restart the gateway's route agent so that its jump comes first "
    "again; kube-proxy must not run with masqueradeAll.",
    sources=("submariner issues 3541, 3800",),
)
def nf_masquerade_on_gateway(seen: Observation) -> Iterator[Suspicion]:
    for sight, found in wrong(seen, Kind.REWRITTEN):
        if sight.node.role is Role.GATEWAY:
            yield _suspicion(seen, sight, found, _place(found), Kind.REWRITTEN)


@cause(
    "NF_BACKEND_MIX",
    title="Rules of the other iptables backend undo Submariner's",
    symptom="As with a masquerade or a drop that comes first, though every chain looks right to the tool one happens to use.",
    mechanism="Rules of iptables-legacy and iptables-nft are in force side by side, and an accept in one does not bind the other. "
    "Submariner uses the backend its image found when it started; the CNI, kube-proxy or the host may use the other.",
    evidence="Submariner's chains in one backend, the rule that rewrites or drops in the other, and its counter.",
    remedy="Make host and containers use one backend (`update-alternatives --set iptables …`), flush the rules of the other, and restart "
    "the agents.",
    effects=("NF_MASQUERADE_FIRST_WORKER", "NF_MASQUERADE_ON_GATEWAY"),
    sources=("submariner-operator issues 1775, 2131", "submariner:package/iptables-wrapper-installer.sh"),
)
def nf_backend_mix(seen: Observation) -> Iterator[Suspicion]:
    for sight, found in wrong(seen, Kind.OTHER_BACKEND):
        yield _suspicion(seen, sight, found, _place(found), Kind.OTHER_BACKEND, first=_own_backend(sight))
    for asked in (FORWARDING, ENTERING):
        for dropper in droppers(seen, asked):
            if accepts_elsewhere(dropper):
                said = (_own_backend(dropper.sight), *dropper.state())
                yield Suspicion(
                    dropper.sight.node,
                    dropper.object,
                    said,
                    dropper.explains,
                    traffic=dropper.traffic(),
                    refuted_by=dropper.refuted_by,
                )


def _own_backend(sight: NodeSight) -> str:
    own = sorted(f.backend for f in sight.before.packet_filters or () if ("nat", c.POSTROUTING_CHAIN) in f.policies)
    return f"{sight.name}: Submariner's chains are in iptables-{' and iptables-'.join(own)}"


def _place(found: tuple[Translation, ...]) -> str:
    return next((t.step.place for t in found if t.step is not None), CHAIN)


def _suspicion(
    seen: Observation, sight: NodeSight, found: tuple[Translation, ...], place: str, kind: Kind, *, first: str = ""
) -> Suspicion:
    """One sentence per rule that rewrites, by the first packet it meets."""
    steps = {t.step: t for t in reversed(found)}
    said = [first] if first else []
    said += [translation.text for translation in steps.values()]
    rose = (counted(sight, step) for step in steps if step is not None)
    told = {f"{t.flow.id}: the listener saw {t.flow.result.source_seen}" for t in found if t.flow.result.source_seen}
    return Suspicion(
        sight.node,
        place,
        tuple(said),
        rewritten_at(seen, sight.node, kind),
        traffic=(*filter(None, rose), *sorted(told)[:2]),
    )

"""Causes: Globalnet's ranges and its chains on gateways. Those of single addresses are in `globalnet_addresses`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_submariner.dataplane.addresses import ipv4_cidrs
from pytest_submariner.dataplane.constants import POSTROUTING_CHAIN
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.globalchains import (
    EGRESS,
    EGRESS_DEFAULT,
    INGRESS,
    MARK,
    calls,
    is_readable,
    populated,
    translations,
    wanted,
)
from pytest_submariner.diagnose.reasoning.published import (
    Published,
    all_published,
    pairs,
    shared,
)
from pytest_submariner.diagnose.reasoning.routelookup import in_any
from pytest_submariner.diagnose.reasoning.untried import GLOBAL_ADDRESSES, untried
from pytest_submariner.model.topology import Role

RESTART_GLOBALNET = (
    "`kubectl -n submariner-operator delete pod -l app=submariner-globalnet --field-selector spec.nodeName=NODE`"
)
_SHOWN = 4


def _translating(seen: Observation) -> Iterator[tuple[Published, NodeSight]]:
    """Clusters with Globalnet, with their active gateway as far as its chains could be read."""
    for told in all_published(seen):
        sight = seen.sight(seen.gateway(told.position))
        if told.cluster.globalnet and sight is not None and is_readable(sight):
            yield told, sight


@cause(
    "GLOBALNET_EGRESS_SNAT_MISSING",
    title="The gateway does not give outgoing traffic a global address",
    symptom="Nothing of the cluster reaches global addresses of others, while others reach its exported Services.",
    mechanism="Globalnet translates in its chain SUBMARINER-GN-EGRESS, which SUBMARINER-POSTROUTING has to call first. Without the call, "
    "or without its last rules, packets leave with pod addresses that other clusters cannot answer.",
    evidence="No jump to SUBMARINER-GN-EGRESS on the active gateway, or no SNAT in SM-GN-EGRESS-CLUSTER for the pod CIDR.",
    remedy=f"Restart Globalnet on the active gateway: {RESTART_GLOBALNET}.",
    effects=("GLOBALNET_MARK_MISSING",),
    sources=("submariner issue 1881", "submariner issue 1981", "submariner:pkg/globalnet/controllers"),
)
def egress_snat_missing(seen: Observation) -> Iterator[Suspicion]:
    for told, sight in _translating(seen):
        state = []
        if not calls(sight, POSTROUTING_CHAIN, EGRESS):
            state.append(f"{sight.name}: nat/{POSTROUTING_CHAIN} does not call {EGRESS}")
        elif not calls(sight, EGRESS, EGRESS_DEFAULT):
            state.append(f"{sight.name}: nat/{EGRESS} does not call {EGRESS_DEFAULT}")
        else:
            known = [source for source, _ in translations(sight, EGRESS_DEFAULT, "SNAT")]
            missing = [cidr for cidr in ipv4_cidrs(told.cluster.pod_cidrs) if not _any_covers(known, cidr)]
            state += [f"{sight.name}: nat/{EGRESS_DEFAULT} has no SNAT for {cidr}" for cidr in missing]
        if state:
            yield untried(sight.node, f"nat/{EGRESS}", state, said=GLOBAL_ADDRESSES)


def _any_covers(sources: Iterable[str], cidr: str) -> bool:
    """Whether a rule is for all of a range; one without a source is for everything."""
    return any(not source or in_any(cidr.partition("/")[0], (source,)) for source in sources)


@cause(
    "GLOBALNET_MARK_MISSING",
    title="Traffic to a remote cluster's global range is not marked for translation",
    symptom="Nothing of the cluster reaches global addresses of one other cluster; others are fine.",
    mechanism="Globalnet translates only packets it has marked, by their destination: one rule for each remote global range.",
    evidence="No rule of SUBMARINER-GN-MARK has the subnet of a remote Endpoint.",
    remedy=f"Look in the log of the globalnet pod for overlaps that made it skip the Endpoint, then restart it: {RESTART_GLOBALNET}.",
    sources=("submariner issue 1556", "submariner:pkg/globalnet/controllers"),
)
def mark_missing(seen: Observation) -> Iterator[Suspicion]:
    for told, sight in _translating(seen):
        marked = wanted(sight, MARK, "MARK", "-d")
        remotes = {
            subnet: e.cluster_id for e in told.endpoints if e not in told.local for subnet in ipv4_cidrs(e.subnets)
        }
        missing = [f"{cidr} of {cluster}" for cidr, cluster in remotes.items() if not _any_covers(marked, cidr)]
        if missing:
            yield untried(
                sight.node,
                f"nat/{MARK}",
                [f"{sight.name}: nat/{MARK} has no rule for {text}" for text in missing[:_SHOWN]],
                said=GLOBAL_ADDRESSES,
            )


@cause(
    "GLOBALNET_CIDR_OVERLAP",
    title="Two clusters have the same global range",
    symptom="Nothing crosses between two clusters.",
    mechanism="Global ranges have to be apart. Agents do not take over an Endpoint whose range overlaps their own.",
    evidence="The global CIDRs of two clusters have addresses in common.",
    remedy="Repeat `subctl join` on one of them with a `--globalnet-cidr` of its own.",
    rank=Rank.OBJECT,
    effects=("GLOBALNET_MARK_MISSING", "ROUTE_REMOTE_CIDR_MISSING", "CABLE_PEER_FDB_MISSING", "DNS_CLUSTER_WITHHELD"),
    sources=("Submariner Globalnet page",),
)
def cidr_overlap(seen: Observation) -> Iterator[Suspicion]:
    for one, other in pairs(seen):
        common = shared(one.global_cidrs, other.global_cidrs)
        if not common:
            continue
        created = [told.own.created if told.own is not None else "" for told in (one, other)]
        at = one if created[0] > created[1] else other
        yield Suspicion(
            seen.anchor(at.position),
            f"Cluster {at.cluster.cluster_id} global_cidr",
            tuple(
                f"global range {left} of {one.position} overlaps {right} of {other.position}" for left, right in common
            ),
            scope.across(one.position, other.position),
            latent=True,
        )


@cause(
    "GLOBALNET_RULES_ON_OLD_GATEWAY",
    title="A former gateway still translates global addresses",
    symptom="After a failover some flows that still pass the old gateway are translated twice, or to the wrong pod.",
    mechanism="Globalnet clears its chains when its node loses the gateway role. Where its pod was down at that moment the rules stay.",
    evidence="SUBMARINER-GN-INGRESS or SUBMARINER-GN-EGRESS has rules on a node that is not the active gateway.",
    remedy="On that node `for c in INGRESS EGRESS MARK; do iptables -t nat -F SUBMARINER-GN-$c; done`, then restart its globalnet pod.",
    sources=("submariner issue 1118", "submariner:pkg/globalnet/controllers/gateway_monitor.go"),
)
def rules_on_old_gateway(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.others():
        left = [chain for chain in (INGRESS, EGRESS) if populated(sight, chain)]
        if left and seen.topology.cluster(sight.node.cluster).nodes_with(Role.GATEWAY):
            said = f"{sight.name} is not the active gateway, and has rules in {' and '.join(left)}"
            yield untried(sight.node, f"nat/{left[0]}", [said], said=GLOBAL_ADDRESSES)

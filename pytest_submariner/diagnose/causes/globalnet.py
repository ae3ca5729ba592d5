"""Causes: Globalnet, from its objects and the chains of the nat table: paths by global addresses were not asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from pytest_submariner.dataplane.addresses import ipv4_cidrs
from pytest_submariner.dataplane.constants import POSTROUTING_CHAIN
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.clusterobjects import Object
from pytest_submariner.diagnose.exports import services_known
from pytest_submariner.diagnose.globalchains import (
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
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.published import (
    Published,
    all_published,
    annotations_of,
    conditions_of,
    labels_of,
    name_of,
    namespace_of,
    pairs,
    shared,
)
from pytest_submariner.diagnose.routelookup import in_any
from pytest_submariner.model.topology import Node, Role

NOT_ASKED = "paths by global addresses were not asked"
RESTART_GLOBALNET = (
    "`kubectl -n submariner-operator delete pod -l app=submariner-globalnet --field-selector spec.nodeName=NODE`"
)
_GLOBAL_IP = "submariner.io/globalIp"
_EXPORTED = "submariner.io/exportedServiceRef"
_ALLOCATED = "Allocated"
_KINDS = (
    ("globalingressips", "GlobalIngressIP"),
    ("globalegressips", "GlobalEgressIP"),
    ("clusterglobalegressips", "ClusterGlobalEgressIP"),
)
_SHOWN = 4


def _untried(node: Node, what: str, state: Iterable[str]) -> Suspicion:
    """What is wrong whether or not a path that was asked depends on it."""
    return Suspicion(node, what, (*state, NOT_ASKED), scope.nothing(), latent=True)


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
            yield _untried(sight.node, f"nat/{EGRESS}", state)


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
            yield _untried(
                sight.node,
                f"nat/{MARK}",
                [f"{sight.name}: nat/{MARK} has no rule for {text}" for text in missing[:_SHOWN]],
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
        common = shared(_global(one), _global(other))
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


def _global(told: Published) -> tuple[str, ...]:
    return told.ranges.global_cidrs if told.ranges is not None else ()


@cause(
    "GLOBALNET_INGRESS_MISSING",
    title="A global address leads nowhere",
    symptom="One exported Service, or one pod of a headless one, is not reached from other clusters; others are.",
    mechanism="An exported Service gets a global address, and an internal Service that has it as an external IP; pods of headless "
    "Services get a DNAT rule on the gateway. When either is gone, or may not be made (DenyServiceExternalIPs), nobody answers.",
    evidence="A GlobalIngressIP has an address, and no internal Service, or no rule of SUBMARINER-GN-INGRESS, has the same.",
    remedy="Let Globalnet make it anew: restart its pod on the active gateway, or delete the GlobalIngressIP; permit external IPs to the "
    "service account submariner-globalnet.",
    rank=Rank.OBJECT,
    sources=("submariner issue 3204", "Submariner Globalnet page", "submariner:pkg/globalnet/controllers"),
)
def ingress_missing(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        for item in told.objects["globalingressips"]:
            ip = str((item.get("status") or {}).get("allocatedIP") or "")
            state = _unserved(seen, told, item, ip) if ip else ""
            if state:
                yield _untried(
                    seen.anchor(told.position), f"GlobalIngressIP {namespace_of(item)}/{name_of(item)}", [state]
                )


def _unserved(seen: Observation, told: Published, item: Object, ip: str) -> str:
    where, name = namespace_of(item), name_of(item)
    if (item.get("spec") or {}).get("target") == "ClusterIPService":
        if not services_known(told, where):
            return ""
        served = (
            str(external) for s in _internal(told, where) for external in (s.get("spec") or {}).get("externalIPs") or ()
        )
        return (
            ""
            if ip in served
            else f"{told.position}: no internal Service has {ip}, the global address of {where}/{name}"
        )
    sight = seen.sight(seen.gateway(told.position))
    if sight is None or not is_readable(sight):
        return ""
    known = wanted(sight, INGRESS, "DNAT", "-d")
    return (
        ""
        if any(in_any(ip, (text,)) for text in known if text)
        else f"{sight.name}: nat/{INGRESS} has no DNAT for {ip} of {where}/{name}"
    )


def _internal(told: Published, where: str) -> Iterator[Object]:
    return (item for item in told.objects["services"] if namespace_of(item) == where and _EXPORTED in labels_of(item))


@cause(
    "GLOBALNET_IP_DUPLICATE",
    title="One global address was given to two objects",
    symptom="Traffic for one Service lands at another, or comes and goes with restarts of Globalnet.",
    mechanism="Allocated addresses are kept in the objects' status. An object restored from a backup, or a rule left behind, uses an "
    "address a second time.",
    evidence="An address occurs twice among GlobalIngressIPs, GlobalEgressIPs and Gateways, or in two DNAT rules.",
    remedy="Delete one of the objects so that it gets another address, and restart Globalnet on the active gateway to make its rules anew.",
    rank=Rank.OBJECT,
    sources=("submariner issue 2388", "admiral:pkg/ipam/ippool.go"),
)
def ip_duplicate(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        owners: dict[str, list[str]] = defaultdict(list)
        for owner, ip in _allocated(told):
            owners[ip].append(owner)
        sight = seen.sight(seen.gateway(told.position))
        rules: dict[str, set[str]] = defaultdict(set)
        for destination, to in (
            translations(sight, INGRESS, "DNAT") if sight is not None and told.cluster.globalnet else ()
        ):
            rules[destination.removesuffix("/32")].add(to)
        twice = {ip: names for ip, names in owners.items() if len(names) > 1}
        twice |= {
            ip: [f"DNAT to {to}" for to in sorted(to)]
            for ip, to in rules.items()
            if ip and len(to) > 1 and ip not in twice
        }
        for ip, names in twice.items():
            yield _untried(
                seen.anchor(told.position),
                f"global address {ip}",
                [f"{told.position}: {ip} is given to {' and '.join(names)}"],
            )


def _allocated(told: Published) -> Iterator[tuple[str, str]]:
    """(owner, global address)."""
    for kind, word in _KINDS:
        for item in told.objects[kind]:
            status = item.get("status") or {}
            owner = f"{word} {f'{namespace_of(item)}/' if namespace_of(item) else ''}{name_of(item)}"
            found = [status.get("allocatedIP"), *(status.get("allocatedIPs") or ())]
            yield from ((owner, str(ip)) for ip in dict.fromkeys(found) if ip)
    for gateway in told.objects["gateways"]:
        if ip := annotations_of(gateway).get(_GLOBAL_IP):
            yield f"Gateway {name_of(gateway)}", ip


@cause(
    "GLOBALNET_POOL_EXHAUSTED",
    title="No global address is left to give",
    symptom="New exports and egress objects get no address and do not work; old ones go on.",
    mechanism="Each exported Service, each pod of headless ones and each egress object takes addresses from the cluster's global range.",
    evidence="Condition Allocated of an object is False because the pool could not give an address.",
    remedy="Lower numberOfIPs of egress objects, delete exports nobody uses, or join again with a larger `--globalnet-cidr`.",
    rank=Rank.OBJECT,
    effects=("DNS_EXPORT_INVALID",),
    sources=("Submariner Globalnet page", "admiral:pkg/ipam/ippool.go"),
)
def pool_exhausted(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        state = []
        for kind, word in _KINDS:
            for item in told.objects[kind]:
                allocated = conditions_of(item).get(_ALLOCATED, {})
                if allocated.get("status") == "False" and allocated.get("reason") == "IPPoolAllocationFailed":
                    state.append(
                        f"{word} {namespace_of(item)}/{name_of(item)}: {allocated.get('message') or allocated['reason']}".replace(
                            " /", " "
                        )
                    )
        if state:
            ranges = ", ".join(_global(told)) or "global range"
            yield _untried(seen.anchor(told.position), f"{ranges} of {told.position}", state[:_SHOWN])


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
            yield _untried(sight.node, f"nat/{left[0]}", [said])

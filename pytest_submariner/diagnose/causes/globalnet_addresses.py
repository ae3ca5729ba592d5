"""Causes: global addresses that were given to objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.objects.clusterobjects import Object
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.exports import services_known
from pytest_submariner.diagnose.reasoning.globalchains import (
    INGRESS,
    is_readable,
    translations,
    wanted,
)
from pytest_submariner.diagnose.reasoning.published import (
    Published,
    all_published,
    annotations_of,
    conditions_of,
    labels_of,
    name_of,
    namespace_of,
)
from pytest_submariner.diagnose.reasoning.routelookup import in_any
from pytest_submariner.diagnose.reasoning.untried import GLOBAL_ADDRESSES, untried

_GLOBAL_IP = "submariner.io/globalIp"
_EXPORTED = "submariner.io/exportedServiceRef"
_ALLOCATED = "Allocated"
_KINDS = (
    ("globalingressips", "GlobalIngressIP"),
    ("globalegressips", "GlobalEgressIP"),
    ("clusterglobalegressips", "ClusterGlobalEgressIP"),
)
_SHOWN = 4


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
                yield untried(
                    seen.anchor(told.position),
                    f"GlobalIngressIP {namespace_of(item)}/{name_of(item)}",
                    [state],
                    said=GLOBAL_ADDRESSES,
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
            yield untried(
                seen.anchor(told.position),
                f"global address {ip}",
                [f"{told.position}: {ip} is given to {' and '.join(names)}"],
                said=GLOBAL_ADDRESSES,
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
            ranges = ", ".join(told.global_cidrs) or "global range"
            yield untried(
                seen.anchor(told.position), f"{ranges} of {told.position}", state[:_SHOWN], said=GLOBAL_ADDRESSES
            )

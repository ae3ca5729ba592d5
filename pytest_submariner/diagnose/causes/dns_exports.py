"""Causes: what clusters export to each other, and what the others know of it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.objects.clusterobjects import Object
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.exports import (
    AGENT,
    SERVICE_NAME,
    SOURCE_NAMESPACE,
    Slice,
    discovering,
    has_settled,
    is_ready,
    own_addresses,
    service,
    services_known,
    slices,
)
from pytest_submariner.diagnose.reasoning.published import (
    Published,
    all_published,
    conditions_of,
    labels_of,
    name_of,
    namespace_of,
)
from pytest_submariner.diagnose.reasoning.untried import NAMES, untried

_SHOWN = 4


@cause(
    "DNS_EXPORT_INVALID",
    title="A ServiceExport has no usable Service",
    symptom="That Service's name does not exist in other clusters; all others are fine.",
    mechanism="Lighthouse exports a Service of the same name and namespace, of type ClusterIP or headless; with Globalnet it needs a "
    "global address first.",
    evidence="Condition Valid or Ready of the ServiceExport is not True, with a reason; the Service is missing or of another type.",
    remedy="Create the Service (or change its type to ClusterIP), or `kubectl delete serviceexport NAME`.",
    rank=Rank.OBJECT,
    effects=("DNS_IMPORT_MISSING",),
    sources=("Submariner troubleshooting page", "lighthouse:pkg/agent/controller/agent.go"),
)
def export_invalid(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        for export in told.objects["serviceexports"]:
            state = list(_invalid(told, export))
            if state:
                yield untried(
                    seen.anchor(told.position),
                    f"ServiceExport {namespace_of(export)}/{name_of(export)}",
                    state,
                    said=NAMES,
                )


def _invalid(told: Published, export: Object) -> Iterator[str]:
    where, name = namespace_of(export), name_of(export)
    known = conditions_of(export)
    bad = [c for kind in ("Valid", "Ready") if (c := known.get(kind)) is not None and c.get("status") == "False"]
    absent = services_known(told, where) and service(told, where, name) is None
    since = bad[0].get("lastTransitionTime") if bad else (export.get("metadata") or {}).get("creationTimestamp")
    if (not bad and not (absent and not is_ready(export))) or not has_settled(told, since):
        return
    for condition in bad:
        why = " ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))
        yield f"{told.position}: ServiceExport {where}/{name} is not {condition['type']}: {why or 'without a reason'}"
    if absent:
        yield f"{told.position} has no Service {where}/{name}"


@cause(
    "DNS_IMPORT_MISSING",
    title="An exported Service is not known in another cluster",
    symptom="Its name does not exist (NXDOMAIN) in one cluster, and is answered in others.",
    mechanism="The agent of each cluster copies ServiceImports and EndpointSlices from the broker, into namespaces that exist. Without "
    "permission, or when it stands still, they are missing.",
    evidence="The export is Ready in one cluster; in the other, which has the namespace, ServiceImport or EndpointSlice is missing.",
    remedy=f"`kubectl -n submariner-operator logs deployment/{AGENT}` (Forbidden: restore its ClusterRole); restart it: "
    f"`kubectl -n submariner-operator rollout restart deployment {AGENT}`.",
    rank=Rank.OBJECT,
    sources=("Submariner troubleshooting page", "lighthouse pull request 1472"),
)
def import_missing(seen: Observation) -> Iterator[Suspicion]:
    told_all = discovering(seen)
    for told in told_all:
        if not told.objects.knows("serviceimports", "endpointslices", "namespaces"):
            continue
        spaces = set(map(name_of, told.objects["namespaces"]))
        missing: list[str] = []
        first = ""
        for source in told_all:
            for export in source.objects["serviceexports"] if source is not told else ():
                lacks = _lacks(told, source, export) if namespace_of(export) in spaces else ""
                if lacks:
                    first = first or f"{lacks} {namespace_of(export)}/{name_of(export)}"
                    missing.append(
                        f"{told.position} has no {lacks} for {namespace_of(export)}/{name_of(export)}, exported by {source.position}"
                    )
        if missing:
            refused = told.logged(AGENT, lambda line: "forbidden" in line.lower())
            yield untried(seen.anchor(told.position), first, [*missing[:_SHOWN], *refused[-1:]], said=NAMES)


def _lacks(told: Published, source: Published, export: Object) -> str:
    """ServiceImport, EndpointSlice, or "" when both are there, or may still come."""
    where, name = namespace_of(export), name_of(export)
    ready = conditions_of(export).get("Ready") or conditions_of(export).get("Valid") or {}
    if not is_ready(export) or not has_settled(source, ready.get("lastTransitionTime")):
        return ""
    imports = [item for item in told.objects["serviceimports"] if _is_import_of(item, where, name)]
    if not imports:
        return "ServiceImport"
    if any((item.get("spec") or {}).get("type") == "Headless" for item in imports):
        return ""
    wanted = (where, name, source.cluster.cluster_id)
    return "" if any((s.namespace, s.service, s.source) == wanted for s in slices(told)) else "EndpointSlice"


def _is_import_of(item: Object, where: str, name: str) -> bool:
    """The aggregated one has the Service's name and namespace; those of single clusters say it by labels."""
    known = labels_of(item)
    return (namespace_of(item), name_of(item)) == (where, name) or (
        known.get(SOURCE_NAMESPACE),
        known.get(SERVICE_NAME),
    ) == (where, name)


@cause(
    "DNS_ENDPOINTSLICE_STALE",
    title="A name leads to an address its Service no longer has",
    symptom="The name resolves and connecting times out; by the Service's present address it works.",
    mechanism="Other clusters answer names with the address in the exporter's EndpointSlice. When the Service is deleted, or made anew "
    "with another ClusterIP, and the agent does not follow, the old one stays.",
    evidence="The address in the slice is not the ClusterIP of the Service in the exporting cluster, or the Service is gone.",
    remedy=f"In the exporting cluster `kubectl -n submariner-operator rollout restart deployment {AGENT}` (0.16.2 and later clean up by "
    "themselves).",
    rank=Rank.OBJECT,
    sources=("lighthouse issue 1416", "lighthouse pull request 1430"),
)
def endpointslice_stale(seen: Observation) -> Iterator[Suspicion]:
    yield from _stale(seen, headless=False)


@cause(
    "DNS_HEADLESS_STALE_POD",
    title="The name of a headless Service lists pods that are gone",
    symptom="A part of the connections by name fails, as many as there are dead addresses among the answers.",
    mechanism="Other clusters answer with the pod addresses in the exporter's EndpointSlice; those of pods that are gone have to be "
    "taken out by its agent.",
    evidence="Addresses in Lighthouse's slice that no slice of the Service in the exporting cluster has.",
    remedy=f"In the exporting cluster `kubectl -n submariner-operator rollout restart deployment {AGENT}`; look at readiness probes and "
    "publishNotReadyAddresses.",
    rank=Rank.OBJECT,
    sources=("lighthouse issue 1416",),
)
def headless_stale_pod(seen: Observation) -> Iterator[Suspicion]:
    yield from _stale(seen, headless=True)


def _stale(seen: Observation, *, headless: bool) -> Iterator[Suspicion]:
    sources = {told.cluster.cluster_id: told for told in all_published(seen)}
    found: dict[tuple[str, str, str], list[str]] = {}
    for told in sources.values():
        for item in slices(told):
            source = sources.get(item.source)
            if source is None or item.is_headless is not headless or not services_known(source, item.namespace):
                continue
            dead = _dead(source, item)
            if dead:
                lines = found.setdefault((item.source, item.namespace, item.service), [])
                lines.append(
                    f"in {told.position} EndpointSlice {namespace_of(item.object)}/{name_of(item.object)} {dead}"
                )
    for (source_id, where, name), lines in found.items():
        yield untried(
            seen.anchor(sources[source_id].position), f"EndpointSlices of {where}/{name}", lines[:_SHOWN], said=NAMES
        )


def _dead(source: Published, item: Slice) -> str:
    """What is wrong with a slice's addresses, "" when nothing is. With Globalnet they are global ones, whose owners are other objects."""
    if source.cluster.globalnet or not item.addresses:
        return ""
    found = service(source, item.namespace, item.service)
    spec = (found.get("spec") or {}) if found is not None else {}
    if found is None:
        return f"lists {', '.join(sorted(item.addresses))}; {source.position} has no such Service any more"
    current = {spec.get("clusterIP"), *(spec.get("clusterIPs") or ())} - {None, "None"}
    if item.is_headless:
        gone = item.addresses - own_addresses(source, item.namespace, item.service)
        return f"lists {', '.join(sorted(gone))}, which no pod of the Service in {source.position} has" if gone else ""
    if not current or item.addresses & current:
        return ""
    return f"lists {', '.join(sorted(item.addresses))}; the Service in {source.position} has {', '.join(sorted(map(str, current)))}"


@cause(
    "DNS_EXPORT_CONFLICT",
    title="Clusters export one name with different definitions",
    symptom="Of ports that differ only the common ones are told (SRV); of types that differ the second export is refused.",
    mechanism="Exports of one name and namespace are one Service of the clusterset. Where they disagree the oldest wins.",
    evidence="Condition Conflict of a ServiceExport is True, with a reason.",
    remedy="Make ports, type and session affinity of the Services the same in all clusters, or export under another name.",
    rank=Rank.OBJECT,
    sources=("lighthouse:pkg/agent/controller/service_import.go",),
)
def export_conflict(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        for export in told.objects["serviceexports"]:
            conflict = conditions_of(export).get("Conflict", {})
            if conflict.get("status") == "True":
                why = " ".join(str(conflict[key]) for key in ("reason", "message") if conflict.get(key))
                what = f"ServiceExport {namespace_of(export)}/{name_of(export)}"
                yield untried(
                    seen.anchor(told.position),
                    what,
                    [f"{told.position}: {what} conflicts: {why or 'without a reason'}"],
                    said=NAMES,
                )

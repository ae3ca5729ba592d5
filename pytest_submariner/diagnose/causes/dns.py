"""Causes: names of the clusterset, as far as objects tell: no name was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.clusterobjects import Object
from pytest_submariner.diagnose.corefile import ZONE, cluster_dns, forwards, has_zone
from pytest_submariner.diagnose.exports import (
    AGENT,
    COREDNS,
    SERVICE_NAME,
    SOURCE_NAMESPACE,
    Slice,
    has_settled,
    is_installed,
    is_ready,
    own_addresses,
    service,
    services_known,
    slices,
)
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.published import (
    Published,
    all_published,
    conditions_of,
    labels_of,
    name_of,
    namespace_of,
)

NOT_ASKED = f"names by {ZONE} were not asked"
_NAMES = "names of the clusterset"
_SHOWN = 4


def _untried(seen: Observation, told: Published, what: str, state: Iterable[str], remedy: str = "") -> Suspicion:
    """What objects say of names: true whether or not a path fails."""
    return Suspicion(seen.anchor(told.position), what, (*state, NOT_ASKED), scope.nothing(), latent=True, remedy=remedy)


def _discovering(seen: Observation) -> tuple[Published, ...]:
    return tuple(told for told in all_published(seen) if is_installed(told))


@cause(
    "DNS_FORWARD_MISSING",
    title=f"Cluster DNS does not forward {ZONE}",
    symptom=f"Names of {ZONE} do not exist (NXDOMAIN) for pods of the cluster; addresses work.",
    mechanism=f"The operator adds a block for {ZONE} to cluster DNS that leads to Lighthouse. Distributions that write the configuration "
    "themselves (k3s, RKE2) take it away again.",
    evidence="No ConfigMap of cluster DNS names the zone, though service discovery is installed.",
    remedy="Restart the operator, `kubectl -n submariner-operator rollout restart deployment submariner-operator`, so that it adds the "
    "block; where the distribution rewrites it, put it into its own place for additions (k3s: ConfigMap coredns-custom).",
    rank=Rank.OBJECT,
    sources=("Submariner troubleshooting page", "k3s issue 12385", "submariner issue 1863"),
)
def forward_missing(seen: Observation) -> Iterator[Suspicion]:
    for told in _discovering(seen):
        known = cluster_dns(told.objects["configmaps"])
        if not told.objects.knows("configmaps") or not known or any(map(has_zone, known)):
            continue
        named = ", ".join(f"{namespace_of(item)}/{name_of(item)}" for item in known)
        yield _untried(
            seen, told, f"ConfigMap {named}", [f"no block of {ZONE} in ConfigMap {named} of {told.position}"]
        )


@cause(
    "DNS_FORWARD_WRONG_IP",
    title=f"Cluster DNS forwards {ZONE} to an address that is not Lighthouse's",
    symptom=f"Names of {ZONE} time out or fail (SERVFAIL) for pods of the cluster; addresses work.",
    mechanism="The block of cluster DNS holds the ClusterIP of the Service submariner-lighthouse-coredns. When that Service is made anew "
    "it has another.",
    evidence="The address that the ConfigMap forwards to is not the Service's ClusterIP.",
    remedy="Restart the operator, `kubectl -n submariner-operator rollout restart deployment submariner-operator`, or write the "
    "ClusterIP of submariner-lighthouse-coredns into the block.",
    rank=Rank.OBJECT,
    sources=("Submariner troubleshooting page",),
)
def forward_wrong_ip(seen: Observation) -> Iterator[Suspicion]:
    for told in _discovering(seen):
        lighthouse = _lighthouse(told)
        ip = (lighthouse.get("spec") or {}).get("clusterIP") if lighthouse else None
        if not ip or ip == "None":
            continue
        ips = {str(ip), *((lighthouse or {}).get("spec", {}).get("clusterIPs") or ())}
        for item in cluster_dns(told.objects["configmaps"]):
            wrong = [target for target in forwards(item) if target not in ips]
            if wrong:
                what = f"ConfigMap {namespace_of(item)}/{name_of(item)}"
                yield _untried(
                    seen,
                    told,
                    what,
                    [f"{what} forwards {ZONE} to {', '.join(wrong)}; Service {COREDNS} of {told.position} has {ip}"],
                )


def _lighthouse(told: Published) -> Object | None:
    return next((item for item in told.objects["services"] if name_of(item) == COREDNS), None)


@cause(
    "DNS_LIGHTHOUSE_DOWN",
    title="Lighthouse does not run",
    symptom=f"Without its DNS server no name of {ZONE} is answered; without its agent known names go on, and new exports never appear.",
    mechanism="Two Deployments serve names: submariner-lighthouse-coredns answers them, submariner-lighthouse-agent brings exports to the "
    "broker and imports from it.",
    evidence="A Deployment of Lighthouse has no available replica, wants none, or is missing.",
    remedy="`kubectl -n submariner-operator describe deployment NAME`: scale it up again, or repair what keeps its pods from running.",
    rank=Rank.OBJECT,
    effects=("DNS_IMPORT_MISSING", "DNS_ENDPOINTSLICE_STALE", "DNS_HEADLESS_STALE_POD", "DNS_EXPORT_INVALID"),
    sources=(
        "Submariner troubleshooting page",
        "submariner-operator:controllers/servicediscovery/servicediscovery_controller.go",
    ),
)
def lighthouse_down(seen: Observation) -> Iterator[Suspicion]:
    for told in _discovering(seen):
        if not told.objects.knows("deployments"):
            continue
        for name, meaning in (
            (COREDNS, f"no name of {ZONE} is answered in {told.position}"),
            (AGENT, f"exports and imports of {told.position} no longer follow; names that were known still are"),
        ):
            found = next((item for item in told.objects["deployments"] if name_of(item) == name), None)
            wanted = (found.get("spec") or {}).get("replicas", 1) if found is not None else 0
            available = (found.get("status") or {}).get("availableReplicas") or 0 if found is not None else 0
            if available:
                continue
            said = (
                f"Deployment {name} is missing"
                if found is None
                else f"Deployment {name} wants {wanted} replicas and has none available"
            )
            scaled = f"kubectl -n {namespace_of(found) if found else 'submariner-operator'} scale deployment {name} --replicas="
            yield _untried(
                seen,
                told,
                f"Deployment {name}",
                [said, meaning],
                f"`{scaled}{2 if name == COREDNS else 1}`" if found is not None and not wanted else "",
            )


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
                yield _untried(seen, told, f"ServiceExport {namespace_of(export)}/{name_of(export)}", state)


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
    told_all = _discovering(seen)
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
            yield _untried(seen, told, first, [*missing[:_SHOWN], *refused[-1:]])


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
        yield _untried(seen, sources[source_id], f"EndpointSlices of {where}/{name}", lines[:_SHOWN])


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
    "DNS_CLUSTER_WITHHELD",
    title="Lighthouse does not serve a cluster it takes for disconnected",
    symptom="Names of Services that only that cluster exports resolve to nothing, though its addresses can be reached; the name with the "
    "cluster's ID in front is answered.",
    mechanism="Lighthouse goes by the connection status of the active Gateway. A status that is wrong withholds a cluster that works.",
    evidence="The Gateway's connection to the cluster is in error, while no path between the two fails.",
    remedy="None of its own: find out why the status is wrong (health check, frozen Gateway).",
    rank=Rank.TRAFFIC,
    sources=("Submariner gateway engine page",),
)
def cluster_withheld(seen: Observation) -> Iterator[Suspicion]:
    for told in _discovering(seen):
        for other in all_published(seen):
            connection = told.connection_to(other) if other is not told else None
            between = scope.crossing(told.position, other.position)
            if (
                connection is None
                or connection.status != "error"
                or seen.failing_in(between)
                or not seen.working_in(between)
            ):
                continue
            said = f"{told.position} says of {other.position}: {connection.status} {connection.status_message}".rstrip()
            yield _untried(seen, told, f"{_NAMES} in {other.position}", [said])


@cause(
    "DNS_TCP53_BLOCKED",
    title="Lighthouse cannot be asked by TCP",
    symptom="Names with many addresses (large headless Services) fail or are cut short; others are fine.",
    mechanism="An answer that does not fit into a UDP packet is marked as truncated and asked again by TCP. A Service without that port "
    "refuses.",
    evidence="The Service submariner-lighthouse-coredns has no TCP port 53.",
    remedy="Upgrade Submariner to a release whose Service has the port (0.17.3, 0.18.1), and allow TCP port 53 to it.",
    rank=Rank.OBJECT,
    sources=("Submariner release notes 0.17.3, 0.18.1",),
)
def tcp53_blocked(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        found = _lighthouse(told)
        ports = ((found or {}).get("spec") or {}).get("ports") or ()
        if found is not None and ports and not any(p.get("port") == 53 and p.get("protocol") == "TCP" for p in ports):
            have = ", ".join(f"{p.get('port')}/{p.get('protocol', 'TCP')}" for p in ports)
            yield _untried(
                seen,
                told,
                f"Service {namespace_of(found)}/{COREDNS}",
                [f"Service {COREDNS} of {told.position} has ports {have}"],
            )


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
                yield _untried(seen, told, what, [f"{told.position}: {what} conflicts: {why or 'without a reason'}"])

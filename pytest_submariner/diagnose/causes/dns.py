"""Causes: names of the clusterset, as far as objects tell: no name was asked. Those of single exports are in `dns_exports`."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.objects.clusterobjects import Object
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.corefile import ZONE, cluster_dns, forwards, has_zone
from pytest_submariner.diagnose.reasoning.exports import (
    AGENT,
    COREDNS,
    discovering,
)
from pytest_submariner.diagnose.reasoning.published import (
    Published,
    all_published,
    name_of,
    namespace_of,
)
from pytest_submariner.diagnose.reasoning.untried import NAMES, untried

_NAMES = "names of the clusterset"


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
    for told in discovering(seen):
        known = cluster_dns(told.objects["configmaps"])
        if not told.objects.knows("configmaps") or not known or any(map(has_zone, known)):
            continue
        named = ", ".join(f"{namespace_of(item)}/{name_of(item)}" for item in known)
        yield untried(
            seen.anchor(told.position),
            f"ConfigMap {named}",
            [f"no block of {ZONE} in ConfigMap {named} of {told.position}"],
            said=NAMES,
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
    for told in discovering(seen):
        lighthouse = _lighthouse(told)
        ip = (lighthouse.get("spec") or {}).get("clusterIP") if lighthouse else None
        if not ip or ip == "None":
            continue
        ips = {str(ip), *((lighthouse or {}).get("spec", {}).get("clusterIPs") or ())}
        for item in cluster_dns(told.objects["configmaps"]):
            wrong = [target for target in forwards(item) if target not in ips]
            if wrong:
                what = f"ConfigMap {namespace_of(item)}/{name_of(item)}"
                yield untried(
                    seen.anchor(told.position),
                    what,
                    [f"{what} forwards {ZONE} to {', '.join(wrong)}; Service {COREDNS} of {told.position} has {ip}"],
                    said=NAMES,
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
    for told in discovering(seen):
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
            yield untried(
                seen.anchor(told.position),
                f"Deployment {name}",
                [said, meaning],
                f"`{scaled}{2 if name == COREDNS else 1}`" if found is not None and not wanted else "",
                said=NAMES,
            )


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
    for told in discovering(seen):
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
            yield untried(seen.anchor(told.position), f"{_NAMES} in {other.position}", [said], said=NAMES)


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
            yield untried(
                seen.anchor(told.position),
                f"Service {namespace_of(found)}/{COREDNS}",
                [f"Service {COREDNS} of {told.position} has ports {have}"],
                said=NAMES,
            )

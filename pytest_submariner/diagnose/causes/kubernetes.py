"""Causes: gateways as the API has them. Those of what Endpoints say, and of other agents, are in `kubernetes_endpoints` and
`kubernetes_agents`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_submariner.dataplane.constants import GATEWAY_LABEL, STATUS_LABEL
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.objects.clusterobjects import Object
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.published import (
    STALE_S,
    Published,
    all_published,
    annotations_of,
    gateway_age_s,
    is_running,
    labels_of,
    name_of,
    restarts,
)
from pytest_submariner.model.topology import Node

PUBLIC_IP = "gateway.submariner.io/public-ip"
"""Annotation, or label, of a gateway node (submariner:pkg/endpoint/public_ip.go)."""
_NO_PUBLIC_IP = re.compile(r"public ip", re.IGNORECASE)


@cause(
    "K8S_GATEWAY_LABEL_MISSING",
    title="No node is labelled as gateway",
    symptom="Nothing crosses to or from the cluster; paths inside it work. Its gateway status is that of no gateway, or an old one.",
    mechanism="The DaemonSet submariner-gateway selects nodes labelled submariner.io/gateway=true. Without one no gateway pod runs, nobody "
    "publishes an Endpoint, and route agents remove, or keep, what belonged to the former one.",
    evidence="No node has the label; the DaemonSet wants no pod; there is no active Gateway, or a Gateway that nobody refreshes.",
    remedy="Label a schedulable node: `kubectl label node NODE submariner.io/gateway=true`, and wait until "
    "`kubectl get gateways.submariner.io -A` shows one active.",
    rank=Rank.OBJECT,
    effects=("K8S_GATEWAY_STATUS_FROZEN", "K8S_LOCAL_ENDPOINT_STALE", "DNS_CLUSTER_WITHHELD"),
    sources=("submariner-operator issue 253", "submariner-operator:controllers/submariner/gateway_resources.go"),
)
def gateway_label_missing(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        if not told.objects.knows("nodes", "gateways") or told.labelled or not told.objects["nodes"]:
            continue
        nodes = told.objects["nodes"]
        state = [f"none of the {len(nodes)} nodes of {told.position} has the label {GATEWAY_LABEL}=true"]
        state += [
            f"DaemonSet {name_of(d)} wants {(d.get('status') or {}).get('desiredNumberScheduled', 0)} pods"
            for d in told.objects["daemonsets"]
            if name_of(d) == "submariner-gateway"
        ]
        state.append(f"Gateways that say they are active: {', '.join(map(name_of, told.active)) or 'none'}")
        if not told.local:
            state.append(f"no Endpoint of cluster ID {told.cluster.cluster_id} is left")
        yield Suspicion(
            _former_gateway(seen, told),
            f"label {GATEWAY_LABEL} of the nodes",
            tuple(state),
            scope.across(told.position),
            latent=True,
        )


def _former_gateway(seen: Observation, told: Published) -> Node:
    """The node that was the gateway last, as far as anything still says so."""
    hosts = [told.holder, *(endpoint.hostname for endpoint in told.local)]
    return next((node for host in hosts if (node := told.named(host)) is not None), seen.anchor(told.position))


@cause(
    "K8S_TWO_ACTIVE_GATEWAYS",
    title="Two gateways say they are active",
    symptom="By itself none: traffic goes on through the one that holds the lease. The gateway status is contradictory, tools that "
    "expect one active gateway fail, and with two Endpoints other clusters may tunnel to the wrong one.",
    mechanism="A gateway that lost the lease without noticing (API server out of its reach, paused node) goes on calling itself active, "
    "in its Gateway object or by the label of its pod.",
    evidence="More than one Gateway with haStatus active, or more than one pod labelled gateway.submariner.io/status=active; the impostor "
    "is the one that does not hold the lease submariner-gateway-lock.",
    remedy="Delete the pod of the gateway that does not hold the lease: `kubectl -n submariner-operator get lease submariner-gateway-lock` "
    "names the holder; if both renew it, repair that node's way to the API server.",
    rank=Rank.OBJECT,
    effects=("K8S_GATEWAY_STATUS_FROZEN",),
    sources=("submariner issue 1912", "submariner pull request 3914"),
)
def two_active_gateways(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        gateways = tuple(map(name_of, told.active))
        pods = tuple(
            str((pod.get("spec") or {}).get("nodeName") or name_of(pod))
            for pod in told.pods("submariner-gateway")
            if labels_of(pod).get(STATUS_LABEL) == "active"
        )
        if len(gateways) < 2 and len(pods) < 2:
            continue
        holder = told.holder
        claims = gateways if len(gateways) > 1 else pods
        impostors = [claim for claim in claims if claim != holder] if holder in claims else list(claims)
        state = [f"{told.position}: Gateways that say they are active: {', '.join(gateways) or 'none'}"]
        state.append(f"nodes whose gateway pod is labelled active: {', '.join(pods) or 'none'}")
        state.append(f"the lease is held by {holder or 'nobody'}")
        explains = scope.status_between(told.position)
        if len(told.local) > 1:
            state.append(f"it has {len(told.local)} Endpoints: {', '.join(e.name for e in told.local)}")
            explains = scope.across(told.position)
        yield Suspicion(
            seen.anchor(told.position),
            f"Gateway {', '.join(impostors)}" if len(gateways) > 1 else f"gateway pod on {', '.join(impostors)}",
            tuple(state),
            explains,
            latent=True,
        )


@cause(
    "K8S_GATEWAY_PUBLIC_IP_UNRESOLVABLE",
    title="The gateway cannot start: no resolver tells its public address",
    symptom="Nothing crosses to or from the cluster; there is no active Gateway, and the gateway pod restarts over and over.",
    mechanism="At its start the gateway resolves its public address: by the node's annotation gateway.submariner.io/public-ip, else by "
    "public web services. When every resolver fails the process ends.",
    evidence="A labelled node, no active Gateway, a restarting gateway pod that logs that the public IP could not be resolved; the "
    "annotation names something that does not resolve.",
    remedy="`kubectl annotate --overwrite node NODE gateway.submariner.io/public-ip=ipv4:ADDRESS`, or join with `--air-gapped` where only "
    "private addresses are used; then delete the gateway pod.",
    rank=Rank.OBJECT,
    effects=("K8S_GATEWAY_STATUS_FROZEN", "DNS_CLUSTER_WITHHELD"),
    sources=("submariner issue 3801", "submariner-operator issue 2999", "submariner:pkg/endpoint/public_ip.go"),
)
def gateway_public_ip_unresolvable(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        if not told.objects.knows("gateways", "nodes", "pods") or told.active:
            continue
        logged = told.logged("submariner-gateway", _NO_PUBLIC_IP.search)
        for node in told.labelled:
            pods = [p for p in told.pods("submariner-gateway") if (p.get("spec") or {}).get("nodeName") == node]
            resolver = _resolver(told, node)
            failing = [pod for pod in pods if not is_running(pod)]
            lines = [line for line in logged if any(line.startswith(name_of(pod)) for pod in pods)]
            if not lines and not (failing and _may_fail(resolver)):
                continue
            where = told.named(node) or seen.anchor(told.position)
            state = [f"{told.position} has no active Gateway, though {node} is labelled"]
            state += [f"pod {name_of(pod)} has restarted {restarts(pod)} times" for pod in pods]
            state += [f"{node} is annotated {PUBLIC_IP}={resolver}"] if resolver else []
            state += lines[-2:]
            yield Suspicion(where, f"Node {node} {PUBLIC_IP}", tuple(state), scope.across(told.position), latent=True)


def _resolver(told: Published, node: str) -> str:
    """The annotation goes before the label (submariner:pkg/node/node.go)."""
    found: Object = next((n for n in told.objects["nodes"] if name_of(n) == node), {})
    return annotations_of(found).get(PUBLIC_IP) or labels_of(found).get(PUBLIC_IP) or ""


def _may_fail(resolver: str) -> bool:
    """Whether it names nothing but what has to be resolved, or is no resolver at all."""
    return bool(resolver) and not any(part.strip().startswith("ipv4:") for part in resolver.split(","))


@cause(
    "K8S_GATEWAY_STATUS_FROZEN",
    title="The Gateway object is no longer refreshed",
    symptom="None at first. What it says of connections is of the past: Lighthouse goes on serving a dead cluster, or withholds one "
    "that is back, and status checks pass or fail whatever the traffic does.",
    mechanism="The active gateway writes its Gateway every five seconds, with the time in the annotation update-timestamp. A process that "
    "hangs, or has lost the API server, leaves the object as it was.",
    evidence="update-timestamp is older than 15 s by the clock of the node that writes it.",
    remedy="Restart that gateway's pod: `kubectl -n submariner-operator delete pod -l app=submariner-gateway --field-selector "
    "spec.nodeName=NODE`; trust no status of it until the timestamp moves.",
    rank=Rank.OBJECT,
    sources=("submariner:pkg/cableengine/syncer/syncer.go",),
)
def gateway_status_frozen(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        age, gateway = gateway_age_s(seen, told), told.gateway
        if age is None or gateway is None or age <= STALE_S:
            continue
        yield Suspicion(
            seen.anchor(told.position),
            f"Gateway {name_of(gateway)}",
            (
                f"Gateway {name_of(gateway)} was refreshed {_duration(age)} ago, and should be every 5 s",
                *(
                    f"pod {name_of(pod)} is {'running' if is_running(pod) else 'not running'}"
                    for pod in told.pods("submariner-gateway")
                    if labels_of(pod).get(STATUS_LABEL) == "active"
                ),
            ),
            scope.status_between(told.position),
            latent=True,
        )


def _duration(seconds: float) -> str:
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"

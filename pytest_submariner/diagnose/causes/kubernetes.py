"""Causes: gateways and agents as the API has them. Those of what Endpoints say are in `kubernetes_endpoints`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce
from operator import or_

from pytest_submariner.dataplane.constants import GATEWAY_LABEL, STATUS_LABEL, VX_SUBMARINER
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.clusterobjects import BrokerProblem, Object
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.published import (
    STALE_S,
    Published,
    all_published,
    annotations_of,
    gateway_age_s,
    is_running,
    labels_of,
    name_of,
    namespace_of,
    published,
    restarts,
)
from pytest_submariner.diagnose.spokes import carried_by, has_overlay
from pytest_submariner.model.topology import Node

PUBLIC_IP = "gateway.submariner.io/public-ip"
"""Annotation, or label, of a gateway node (submariner:pkg/endpoint/public_ip.go)."""
_OWN_CHAIN = re.compile(r"^SUBMARINER-")
_NO_PUBLIC_IP = re.compile(r"public ip", re.IGNORECASE)
_REFUSED = re.compile(r"unauthorized|x509:|certificate signed by unknown|certificate has expired", re.IGNORECASE)


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
    "K8S_BROKER_CREDENTIALS_INVALID",
    title="The broker refuses the cluster's credentials",
    symptom="At first none: what was synced stays. New Endpoints, CIDRs and exported services no longer travel, so after a gateway moves "
    "on either side nothing crosses.",
    mechanism="Gateway and Lighthouse agents reach the broker with a token and a certificate authority from the time of the join. When "
    "the token is revoked or expired, the authority was renewed, or clocks are apart, every request is refused.",
    evidence="A request with the credentials on record is answered 401 or 403, or the TLS handshake fails; Endpoints here differ from "
    "what their own clusters publish.",
    remedy="Give the cluster new credentials: repeat `subctl join` with a current broker-info file (`subctl recover-broker-info`); for a "
    "certificate that is not valid yet set the clock.",
    rank=Rank.OBJECT,
    sources=(
        "submariner issue 2955",
        "submariner issue 1673",
        "submariner-operator issue 105",
        "admiral:pkg/syncer/broker/config.go",
    ),
)
def broker_credentials_invalid(seen: Observation) -> Iterator[Suspicion]:
    for told in all_published(seen):
        problem = told.objects.broker_problem
        if problem in (BrokerProblem.CREDENTIALS, BrokerProblem.CERTIFICATE):
            state = [f"{told.position} asks its broker with the {problem} on record: {told.objects.broker_error}"]
        else:
            state = list(_refusals(told))[:2] if told.objects.broker is None else []
        if not state:
            continue
        behind = [other for other in all_published(seen) if other is not told and _differs(told, other)]
        state += [f"the Endpoint of {other.position} is not here what it is there" for other in behind]
        stale = [scope.across(told.position, other.position) for other in behind]
        explains = reduce(or_, stale) if stale else scope.nothing()
        yield Suspicion(seen.anchor(told.position), _credentials(told), tuple(state), explains, latent=True)


def _refusals(told: Published) -> Iterator[str]:
    for workload in ("submariner-gateway", "submariner-lighthouse-agent"):
        yield from told.logged(workload, _REFUSED.search)


def _differs(told: Published, other: Published) -> bool:
    """Whether what `told` holds of another cluster is not what that cluster publishes now."""
    here, there = told.copy_of(other), other.own
    return here is not None and there is not None and here != there


def _credentials(told: Published) -> str:
    for installation in told.objects["submariners"]:
        spec = installation.get("spec") or {}
        if secret := spec.get("brokerK8sSecret"):
            return f"Secret {namespace_of(installation)}/{secret}"
        return f"Submariner {namespace_of(installation)}/{name_of(installation)} brokerK8sApiServerToken, brokerK8sCA"
    return "credentials for the broker"


@cause(
    "K8S_ROUTEAGENT_ABSENT_ON_NODE",
    title="No route agent ever worked on the node",
    symptom="Pods and host network of one node reach no other cluster, and are not reached; all other nodes are fine.",
    mechanism="The route agent makes vx-submariner, the routes to remote CIDRs and the SUBMARINER chains. Where its pod is not scheduled, "
    "cannot start or crashes, the node has none of the three.",
    evidence="Neither device, nor routes, nor chains on the node; its route agent pod is missing, not running or restarting.",
    remedy="`kubectl -n submariner-operator get pods -l app=submariner-routeagent -o wide` and `describe` the node's: tolerations, node "
    "selector, image, crash log; the node is served as soon as the pod is Ready.",
    effects=(
        "OVERLAY_DEVICE_MISSING",
        "ROUTE_REMOTE_CIDR_MISSING",
        "NF_HOSTNET_SNAT_MISSING",
        "NF_POSTROUTING_JUMP_MISSING",
        "NF_MASQUERADE_FIRST_WORKER",
        "MTU_MSS_CLAMP_MISSING",
    ),
    sources=("submariner issue 3355", "submariner-operator:controllers/submariner/route_agent_resources.go"),
)
def routeagent_absent_on_node(seen: Observation) -> Iterator[Suspicion]:
    for cluster in seen.clusters:
        told = published(seen, cluster.position)
        for node in cluster.nodes if has_overlay(cluster) else ():
            sight = seen.sight(node)
            agent = tuple(_agent(told, node.name)) if told is not None else ()
            if sight is not None and _is_expected(sight) and _is_bare(sight):
                made = (
                    f"{node.name}: no {VX_SUBMARINER}, no route to another cluster, no SUBMARINER chain in any backend"
                )
                yield Suspicion(node, "pod submariner-routeagent", (made, *agent), carried_by(seen, node))
            elif sight is None and told is not None and _is_left_out(told, node.name):
                # Without its route agent's pod there may be no way to look at the node.
                unseen = f"{node.name} itself could not be looked at"
                carried = carried_by(seen, node)
                yield Suspicion(node, "pod submariner-routeagent", (*agent, unseen), carried, refuted_by=carried)


def _is_left_out(told: Published, node: str) -> bool:
    """Whether other nodes have a running route agent, and this one has none."""
    on = {str((pod.get("spec") or {}).get("nodeName")) for pod in told.pods("submariner-routeagent") if is_running(pod)}
    return told.objects.knows("pods") and bool(on) and node not in on


def _is_expected(sight: NodeSight) -> bool:
    return sight.expected is not None and any(link.name == VX_SUBMARINER for link in sight.expected.links or ())


def _is_bare(sight: NodeSight) -> bool:
    """None of what a route agent makes; what could not be read may be there."""
    state = sight.before
    if state.links is None or state.routes is None or state.packet_filters is None:
        return False
    chains = (
        chain
        for filters in state.packet_filters
        for _, chain in (*filters.policies, *((r.table, r.chain) for r in filters.rules))
    )
    return sight.link(VX_SUBMARINER) is None and not any(map(_OWN_CHAIN.match, chains))


def _agent(told: Published, node: str) -> Iterator[str]:
    if not told.objects.knows("pods"):
        return
    pods = [pod for pod in told.pods("submariner-routeagent") if (pod.get("spec") or {}).get("nodeName") == node]
    if not pods:
        yield f"no pod of the DaemonSet submariner-routeagent is on {node}"
    for pod in pods:
        ready = "running" if is_running(pod) else "not running"
        yield f"pod {name_of(pod)} is {ready}, with {restarts(pod)} restarts"
    if told.objects.knows("routeagents") and node not in map(name_of, told.objects["routeagents"]):
        yield f"there is no RouteAgent {node}"


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

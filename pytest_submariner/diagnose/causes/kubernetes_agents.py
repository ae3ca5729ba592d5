"""Causes: route agents, and what agents need of the broker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce
from operator import or_

from pytest_submariner.dataplane.constants import VX_SUBMARINER
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.objects.clusterobjects import BrokerProblem
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.published import (
    Published,
    all_published,
    is_running,
    name_of,
    namespace_of,
    published,
    restarts,
)
from pytest_submariner.diagnose.reasoning.spokes import carried_by, has_overlay

_OWN_CHAIN = re.compile(r"^SUBMARINER-")
_REFUSED = re.compile(r"unauthorized|x509:|certificate signed by unknown|certificate has expired", re.IGNORECASE)


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

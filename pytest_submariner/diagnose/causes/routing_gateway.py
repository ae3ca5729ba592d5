"""Causes: the active gateway's routes for its own processes."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.addresses import ipv4_cidrs
from pytest_submariner.dataplane.constants import CABLE_TABLE, HOST_NETWORK_TABLE, VXLAN_TUNNEL
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.routelookup import Decision, in_any, lookup, network, rules_for
from pytest_submariner.diagnose.reasoning.spokes import has_overlay, restart_route_agent, view_of
from pytest_submariner.diagnose.reasoning.waysout import leaves, toward
from pytest_submariner.model.path import Kind

_RESTART = restart_route_agent("NODE")


@cause(
    "ROUTE_TABLE150_LOST",
    title="The gateway's host-network table is empty, or not asked",
    symptom="With IPsec the gateway's own processes reach no other cluster, so health checks fail and names of that cluster are "
    "withheld; with WireGuard nothing crosses; with the vxlan cable nothing shows, since table 100 comes first.",
    mechanism="Table 150 gives packets of the gateway's own processes a source address of the pod network, which is all that "
    "tunnels let through. An Endpoint deleted late, after its successor was made, emptied it.",
    evidence="No route in table 150 for a remote subnet, or no rule for the table, on an active gateway with a CNI address.",
    remedy=f"On the gateway: {_RESTART}.",
    sources=("submariner issue 1544", "submariner PR 1571", "submariner issue 592"),
)
def route_table150_lost(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.gateways():
        view = view_of(seen, sight.node.cluster)
        facts = sight.facts
        if view is None or facts is None or facts.cni_ip is None or not has_overlay(sight.cluster):
            continue
        if sight.before.routes is None or sight.before.rules is None or not view.is_active_gateway(facts):
            continue
        wanted = [subnet for remote in view.reachable_remotes for subnet in ipv4_cidrs(remote.subnets)]
        there = {network(r.destination) for r in sight.routes if r.table == HOST_NETWORK_TABLE and r.kind == "unicast"}
        lost = [subnet for subnet in wanted if network(subnet) not in there]
        own = rules_for(sight.before.rules, HOST_NETWORK_TABLE)
        # Both rules gone is one fault, which ROUTE_RULE100_MISSING tells.
        has_cable_rule = sight.link(VXLAN_TUNNEL) is None or bool(rules_for(sight.before.rules, CABLE_TABLE))
        if not lost and (not wanted or own or not has_cable_rule):
            continue
        what = (
            f"no route to {', '.join(lost)} in table {HOST_NETWORK_TABLE}"
            if lost
            else f"no rule leads to table {HOST_NETWORK_TABLE}"
        )
        by_table = view.local is not None and view.local.backend != "vxlan"
        yield Suspicion(
            sight.node,
            f"table {HOST_NETWORK_TABLE}",
            (f"{sight.name}: {what}",),
            _of_table150(
                seen, sight, lost or wanted, everything=view.local is not None and view.local.backend == "wireguard"
            )
            if by_table
            else scope.nothing(),
            latent=True,
            remedy=f"On {sight.name}: {restart_route_agent(sight.name)}.",
        )


@cause(
    "ROUTE_GW_SOURCE_HINT_MISSING",
    title="The gateway's routes to other clusters lack the CNI source address",
    symptom="Processes on the host network of the gateway node do not reach pods on remote non-gateway nodes; the gateway's health check "
    "works. Where the remote CNI masquerades foreign sources nothing shows.",
    mechanism="Without `src` the kernel picks the address of the outgoing device, 241.x or the node's. The remote cluster routes pod "
    "addresses back, and no others.",
    evidence="The deciding route has no source of the pod CIDR although the node has a CNI address.",
    remedy="Restart the gateway pod once the CNI device has its address.",
    sources=("submariner issue 635", "submariner PR 1498"),
)
def route_gw_source_hint_missing(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.gateways():
        view, facts = view_of(seen, sight.node.cluster), sight.facts
        if view is None or facts is None or facts.cni_ip is None or not has_overlay(sight.cluster):
            continue
        if sight.before.routes is None or sight.before.rules is None:
            continue
        found = {
            subnet: decision
            for remote in view.reachable_remotes
            for subnet in ipv4_cidrs(remote.subnets)
            if (decision := _decision(sight, subnet)) is not None and _lacks_source(sight, decision)
        }
        if not found:
            continue
        host = scope.opened_by(Kind.HOSTPOD) & scope.from_node(sight.node)
        yield Suspicion(
            sight.node,
            _objects(found),
            tuple(
                f"{sight.name}: traffic to {subnet} {leaves(decision)} with "
                f"{f'source {decision.route.source}' if decision.route.source else 'no source'}, not {facts.cni_ip}"
                for subnet, decision in found.items()
            ),
            scope.Scope(
                f"{host.words} between clusters",
                lambda flow, host=host, found=tuple(found): (
                    flow.crosses  # type: ignore[misc]
                    and host(flow)
                    and (in_any(flow.target_ip, found) or not flow.target_ip)
                ),
            ),
        )


def _objects(found: dict[str, Decision]) -> str:
    return "route " + ", ".join(dict.fromkeys(decision.route.destination for decision in found.values()))


def _decision(sight: NodeSight, subnet: str) -> Decision | None:
    """How the node's own processes reach a subnet: by a table of Submariner's, else it is another fault's matter."""
    first = network(subnet)
    decision = lookup(sight.before, str(first.network_address + 1)) if first is not None else None
    if decision is None or decision.refuses or decision.rule.table not in (CABLE_TABLE, HOST_NETWORK_TABLE):
        return None
    return decision


def _lacks_source(sight: NodeSight, decision: Decision) -> bool:
    source = decision.route.source
    return source is None or not (source in sight.own_ips and in_any(source, sight.cluster.pod_cidrs))


def _of_table150(seen: Observation, sight: NodeSight, networks: list[str], *, everything: bool) -> scope.Scope:
    """With WireGuard all that crosses needs the table, with IPsec the gateway's own processes."""
    nodes = seen.topology.cluster(sight.node.cluster).nodes if everything else (sight.node,)
    to = toward(seen, networks, nodes=nodes, words=f"from {sight.node.cluster} to {', '.join(networks)}")
    if everything:
        return to
    host = scope.opened_by(Kind.HOSTPOD) & scope.from_node(sight.node)
    status = scope.status_between(sight.node.cluster)
    return scope.Scope(f"{host.words} to other clusters", lambda flow: (to(flow) and host(flow)) or status(flow))

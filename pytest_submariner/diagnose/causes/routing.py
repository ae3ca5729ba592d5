"""Causes: Routes and rules."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane.constants import CABLE_TABLE, HOST_NETWORK_TABLE
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion, cause
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.routelookup import rules_for
from pytest_submariner.diagnose.reasoning.spokes import restart_route_agent
from pytest_submariner.diagnose.reasoning.waysout import Detour, WayOut, toward, ways_out
from pytest_submariner.model.topology import Node, Role

_RESTART = restart_route_agent("NODE")
_RESTART_GATEWAY = "`kubectl -n submariner-operator delete pod -l app=submariner-gateway`"


@cause(
    "ROUTE_REMOTE_CIDR_MISSING",
    title="A node lacks the route to a remote CIDR",
    symptom="Pods and host network of one node do not reach pods (or Services) of another cluster, and do not answer them; with all "
    "remote CIDRs gone the node is cut off from that cluster.",
    mechanism="Non-gateway nodes have one route per remote subnet, via the gateway's 240.x address on vx-submariner; the active gateway "
    "has them in the cable's table. Without it the default route takes the packets.",
    evidence="No route to the subnet although vx-submariner is up; `ip route get ADDRESS` answers with the default route.",
    remedy=f"Have the node's routes programmed again: {_RESTART}. If they vanish again look for what deletes them: a network manager, "
    "an agent that reads stale Endpoints.",
    sources=("submariner issue 131", "submariner issue 3188"),
)
def route_remote_cidr_missing(seen: Observation) -> Iterator[Suspicion]:
    yield from _told(seen, Detour.MISSING)


@cause(
    "ROUTE_NEXTHOP_OLD_GATEWAY",
    title="Routes to remote clusters have the next hop of another node than the active gateway",
    symptom="A non-gateway node reaches no other cluster, often after the gateway role moved; nodes that followed the move work.",
    mechanism="The next hop is the gateway's address on vx-submariner, 240 and the last three octets of its node address. With that of "
    "a former gateway, nobody answers its ARP, or a node that does not forward to the cable.",
    evidence="Next hop of the route differs from the active gateway's 240.x address; the neighbour entry for it is FAILED or leads "
    "elsewhere.",
    remedy=f"{_RESTART}. If it comes back, the cluster has two local Endpoints: delete the older.",
    sources=("submariner issue 2364", "submariner issue 346"),
)
def route_nexthop_old_gateway(seen: Observation) -> Iterator[Suspicion]:
    yield from _told(seen, Detour.NEXT_HOP)


@cause(
    "ROUTE_REPLACED_BY_CNI",
    title="Another program replaced the route to a remote CIDR",
    symptom="A node is cut off from other clusters as if the overlay were broken; its packets leave un-encapsulated.",
    mechanism="A routing daemon, such as the BGP daemon of a CNI, learned the remote CIDR from elsewhere and overwrote the route the "
    "route agent had made; the agent does not look again.",
    evidence="A route to the remote CIDR with another device than vx-submariner and a protocol other than static.",
    remedy="Keep the remote CIDRs out of the CNI's route exchange (Calico: `disableBGPExport: true` on the IPPools of remote CIDRs, "
    f"which Submariner 0.17.3 and 0.18.1 set themselves), then {_RESTART}.",
    sources=("submariner PR 3156",),
)
def route_replaced_by_cni(seen: Observation) -> Iterator[Suspicion]:
    yield from _told(seen, Detour.REPLACED)


@cause(
    "ROUTE_TABLE220_LEFTOVER",
    title="A policy routing table comes before Submariner's routes",
    symptom="A node does not reach some remote CIDRs although its main table is right; typical of a node that was gateway before.",
    mechanism="Rules with a priority below 32766 are asked before the main table. The table of an IPsec daemon (220), or one of the "
    "gateway's (100, 150), left on a node that lost the gateway role keeps taking the packets.",
    evidence="`ip route get ADDRESS` names a table other than main on a node that is not the active gateway.",
    remedy="On that node: `ip route flush table 220` and `ip rule del lookup 220` (with the table's number), then restart the agent that "
    "should have removed them.",
    sources=("submariner issue 346", "submariner issue 131"),
)
def route_table220_leftover(seen: Observation) -> Iterator[Suspicion]:
    yield from _told(seen, Detour.POLICY)


@cause(
    "ROUTE_RULE100_MISSING",
    title="No rule leads to the table of the vxlan cable",
    symptom="Nothing crosses between the clusters; the cable's device and routes are all there.",
    mechanism="The vxlan cable's routes are in table 100, which the gateway asks only because of the policy rule of that number. Network "
    "daemons that manage rules remove those they do not know (systemd-networkd by default).",
    evidence="Table 100 has the routes, no rule refers to it before another decides; `ip route get ADDRESS` leaves by the underlay.",
    remedy=f"Set ManageForeignRoutingPolicyRules=no and ManageForeignRoutes=no for systemd-networkd, then {_RESTART_GATEWAY}; at once: "
    "`ip rule add priority 100 lookup 100`.",
    sources=("systemd issue 22077", "submariner:pkg/cable/vxlan/vxlan.go"),
)
def route_rule100_missing(seen: Observation) -> Iterator[Suspicion]:
    for sight, ways in ways_out(seen, Detour.RULE):
        rules = sight.before.rules or ()
        own = rules_for(rules, CABLE_TABLE)
        state = [f"table {CABLE_TABLE} has the cable's routes, and {_rules_text(own)}", *(way.text for way in ways)]
        if not rules_for(rules, HOST_NETWORK_TABLE):
            state.append(
                f"{sight.name}: the rule of table {HOST_NETWORK_TABLE} is gone too, as after a restart of systemd-networkd"
            )
        yield Suspicion(
            sight.node,
            f"rule {CABLE_TABLE}",
            tuple(f"{sight.name}: {line}" if not line.startswith(sight.name) else line for line in state),
            _carried(seen, sight.node, ways),
            remedy=f"On {sight.name}: `ip rule add priority {CABLE_TABLE} lookup {CABLE_TABLE}`; to last, set "
            "ManageForeignRoutingPolicyRules=no and ManageForeignRoutes=no in networkd.conf.",
        )


@cause(
    "ROUTE_MORE_SPECIFIC_LOCAL",
    title="A route with a longer prefix covers a part of a remote CIDR",
    symptom="From and to one node some addresses of a remote cluster are dead, others work.",
    mechanism="The longest prefix wins: a local bridge (docker0), a static route or a VPN whose range lies inside the remote CIDR takes "
    "its part away from vx-submariner.",
    evidence="The longest match for the failing address is not Submariner's route; for one that works it is.",
    remedy="Move the bridge or route to a range outside of all clusters' CIDRs (Docker: `bip` and `default-address-pools` in "
    "daemon.json).",
    sources=("Docker's default address pools",),
)
def route_more_specific_local(seen: Observation) -> Iterator[Suspicion]:
    yield from _told(seen, Detour.MORE_SPECIFIC)


@cause(
    "ROUTE_BLACKHOLE",
    title="A route refuses packets for a remote CIDR",
    symptom="A node's connections to a remote CIDR fail at once (`No route to host`, `Invalid argument`) and packets from "
    "there are dropped by its reverse-path check.",
    mechanism="A blackhole, unreachable or prohibit route, such as a CNI makes for address blocks it owns, covers the remote CIDR.",
    evidence="Type of the route that decides; IPReversePathFilter rises when packets come from there.",
    remedy="`ip route del TYPE CIDR` on that node; its protocol number says which daemon made it and has to be told.",
    sources=("Calico: blackhole routes for IPAM blocks",),
)
def route_blackhole(seen: Observation) -> Iterator[Suspicion]:
    yield from _told(seen, Detour.REFUSED)


def _told(seen: Observation, detour: Detour) -> Iterator[Suspicion]:
    """One suspicion per node for all its remote subnets."""
    for sight, ways in ways_out(seen, detour):
        yield Suspicion(
            sight.node,
            _object(ways),
            tuple(dict.fromkeys(f"{way.text}, not by {way.expected}" for way in ways)),
            _carried(seen, sight.node, ways),
            traffic=_refused(sight) if detour is Detour.REFUSED else (),
        )


def _carried(seen: Observation, node: Node, ways: tuple[WayOut, ...]) -> scope.Scope:
    """What a detour takes along: on the gateway, of all nodes of its cluster."""
    networks = tuple(dict.fromkeys(part for way in ways for part in way.networks))
    nodes = seen.topology.cluster(node.cluster).nodes if node.role is Role.GATEWAY else (node,)
    where = node.cluster if node.role is Role.GATEWAY else node.name
    return toward(seen, networks, nodes=nodes, words=f"with packets from {where} to {', '.join(networks)}")


def _object(ways: tuple[WayOut, ...]) -> str:
    """The routes at fault; those that are missing by their subnet."""
    names = []
    for way in ways:
        missing = way.detour is Detour.MISSING or way.decision is None
        names.append(way.subnet if missing or way.decision is None else way.decision.route.destination)
    return "route " + ", ".join(dict.fromkeys(names))


def _refused(sight: NodeSight) -> tuple[str, ...]:
    rise = sight.rise("TcpExtIPReversePathFilter")
    return (f"{sight.name}: TcpExtIPReversePathFilter rose by {rise} while probes ran",) if rise else ()


def _rules_text(own: tuple[object, ...]) -> str:
    return f"its rule is asked too late: {own[0]}" if own else "no rule leads to it"

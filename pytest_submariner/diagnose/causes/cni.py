"""Causes: the CNI's part of the way, and what Submariner took from it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_submariner.dataplane import constants as c
from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Rank, Suspicion, cause
from pytest_submariner.diagnose.causes.netfilter_nat import CHAIN, host_network_of
from pytest_submariner.diagnose.flow import Flow
from pytest_submariner.diagnose.nodesight import NodeSight
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.podroutes import ON_POD_NETWORK, pod_routes, toward_pods
from pytest_submariner.diagnose.reasoning.reversepath import Refused, refused
from pytest_submariner.diagnose.reasoning.routelookup import in_any
from pytest_submariner.diagnose.reasoning.translations import Kind, wrong
from pytest_submariner.diagnose.tracing.ladder import is_ovn
from pytest_submariner.model.topology import Node


@cause(
    "CNI_INTERFACE_MISSING",
    title="No interface of the node has an address of the pod network",
    symptom="Host-network processes of the node reach no other cluster; on a gateway there is no health check either, or its pod does not "
    "start.",
    mechanism="Agents take the first interface with an address inside the pod CIDR for the CNI's, and give its address to host-network "
    "traffic. Without one (the CNI came up later, or never has one on the host) they go on without SNAT rule and route hints.",
    evidence="No address of the node is inside the cluster's pod CIDRs.",
    remedy="Restart the route agent, and on a gateway the gateway pod, once the CNI's interface is up; if the CNI never has one, switch "
    "the health check off and expect no host-network support.",
    rank=Rank.CNI,
    effects=("NF_HOSTNET_SNAT_MISSING", "ROUTE_GW_SOURCE_HINT_MISSING", "ROUTE_TABLE150_LOST"),
    sources=("submariner issues 1583, 1892, 3120", "submariner:pkg/cni/cni_iface.go"),
)
def cni_interface_missing(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.every():
        cidrs = sight.cluster.pod_cidrs
        if sight.before.addresses is None or not cidrs or is_ovn(sight.cluster):
            continue
        if any(in_any(ip, cidrs) for ip in sight.own_ips):
            continue
        has = ", ".join(f"{a.ip} ({a.device})" for a in sight.addresses if not a.ip.startswith("127."))
        said = f"{sight.name}: no address inside {', '.join(cidrs)}; it has {has or 'none'}"
        yield Suspicion(sight.node, "CNI interface", (said,), host_network_of(sight.node))


@cause(
    "CNI_INTERFACE_WRONG",
    title="The agent took a foreign interface for the CNI's",
    symptom="Host-network processes of one non-gateway node reach no other cluster; its pods do.",
    mechanism="The first interface with an address inside the pod CIDR wins. A bridge or VPN whose range lies inside it gives "
    "host-network traffic an address that the cluster does not route to this node, so replies go elsewhere.",
    evidence="The SNAT's address is one of the node, on a device to which the gateway does not send what it sends to the node's pods.",
    remedy="Move the foreign interface out of the pod CIDR and restart the route agent of that node.",
    rank=Rank.CNI,
    effects=("NF_HOSTNET_SNAT_WRONG_ADDRESS",),
    sources=("submariner:pkg/cni/cni_iface.go",),
)
def cni_interface_wrong(seen: Observation) -> Iterator[Suspicion]:
    for sight, found in wrong(seen, Kind.FOREIGN_DEVICE):
        source = found[0].source
        device = next((a.device for a in sight.addresses if a.ip == source), "")
        right = ", ".join(
            f"{a.ip} ({a.device})" for a in sight.addresses if a.ip != source and in_any(a.ip, sight.cluster.pod_cidrs)
        )
        said = (
            f"{sight.name}: {source} is on {device}, where the cluster does not look for this node; it also has {right}"
        )
        yield Suspicion(sight.node, f"{CHAIN}, {device}", (found[0].text, said), host_network_of(sight.node))


@cause(
    "CNI_CALICO_IPPOOL",
    title="Calico has no disabled IPPool for a remote CIDR, or one that translates",
    symptom="What pods open towards another cluster fails or arrives with another source; what that cluster opens works.",
    mechanism="Calico masquerades what leaves its pools. A disabled IPPool with natOutgoing false for each remote CIDR tells it that those "
    "addresses are pods too; an enabled one hands them out to local pods.",
    evidence="For each remote subnet the IPPool with that CIDR, and its fields disabled and natOutgoing.",
    remedy="Create for each remote pod and service CIDR an IPPool with `disabled: true`, `natOutgoing: false` and "
    "`disableBGPExport: true`, or install Calico's API server so that Submariner can.",
    rank=Rank.OBJECT,
    effects=("NF_MASQUERADE_FIRST_WORKER", "NF_MASQUERADE_ON_GATEWAY"),
    sources=("submariner issues 407, 2810", "https://submariner.io/operations/deployment/calico/"),
)
def cni_calico_ippool(seen: Observation) -> Iterator[Suspicion]:
    for cluster in seen.clusters:
        objects = seen.objects.get(cluster.position)
        if objects is None or not objects.knows("ippools") or cluster.globalnet:
            continue
        pools = {str((pool.get("spec") or {}).get("cidr")): pool for pool in objects["ippools"]}
        if not pools and "calico" not in cluster.network_plugin.lower():
            continue
        for remote in seen.remotes(cluster.position):
            there = seen.topology.cluster(remote)
            said = tuple(
                f"{cluster.position}: {text}"
                for cidr in (*there.service_cidrs, *there.pod_cidrs)
                if (text := _pool_fault(cidr, pools.get(cidr)))
            )
            if said:
                # Host network too: it crosses with CNI addresses, which are inside the pools as well.
                explains = scope.crossing(cluster.position, remote) & scope.from_cluster(cluster.position)
                yield Suspicion(seen.anchor(cluster.position), f"IPPools for {remote}", said, explains)


def _pool_fault(cidr: str, pool: dict[str, object] | None) -> str:
    if pool is None:
        return f"no IPPool for {cidr}"
    spec = pool.get("spec")
    fields = spec if isinstance(spec, dict) else {}
    wrong_fields = [
        f"{name}: {str(bool(fields.get(name))).lower()}"
        for name, wanted in (("disabled", True), ("natOutgoing", False))
        if bool(fields.get(name)) is not wanted
    ]
    return f"the IPPool for {cidr} has {' and '.join(wrong_fields)}" if wrong_fields else ""


@cause(
    "CNI_INGRESS_PATH_MISSING",
    title="The gateway has no way to a node's pods",
    symptom="One non-gateway node is cut off from other clusters: replies to it and requests for it come to the gateway and go no further.",
    mechanism="Submariner carries packets from a node to its gateway; the other way they go as the CNI sends them. Without a route to "
    "the node's pods on the gateway they leave by the default route, or not at all.",
    evidence="The gateway's route for addresses of that node's pods; inside the cluster, pods of the gateway do not reach them either.",
    remedy="Repair the CNI on the gateway (restart its pod there), use its overlay mode, or add the route to the node's pod subnet; on "
    "clouds that route pods themselves, enable IP forwarding on the instances.",
    rank=Rank.CNI,
    effects=("CNI_INTRA_CLUSTER_BROKEN", "UNDERLAY_SOURCE_CHECK"),
    sources=("submariner issues 2005, 3140, 3593",),
)
def cni_ingress_path_missing(seen: Observation) -> Iterator[Suspicion]:
    for sight in seen.gateways():
        for node in seen.topology.cluster(sight.node.cluster).nodes:
            bad = [route for route in pod_routes(seen, sight, node) if route.is_wrong]
            if bad:
                explains = toward_pods(seen, sight.node, node)
                said = tuple(route.text for route in bad[:2])
                yield Suspicion(
                    sight.node, f"route to pods of {node.name}", said, explains, refuted_by=_all_of(explains, bad[0].ip)
                )


def _all_of(explains: scope.Scope, ip: str) -> scope.Scope:
    """Flows that need the route to `ip` for sure. What goes to a node itself CNIs may masquerade: then the answer needs none."""
    return scope.Scope(
        explains.words,
        lambda flow: (
            explains(flow) and ip in (flow.source_ip, flow.target_ip) and flow.case.target.kind in ON_POD_NETWORK
        ),
    )


@cause(
    "CNI_RPFILTER_STRICT",
    title="Strict reverse-path filter where the CNI delivers",
    symptom="One non-gateway node is cut off from other clusters; inside the cluster everything works.",
    mechanism="Packets from other clusters enter the node by the CNI's device, while its route back to them is vx-submariner: a strict "
    "filter drops them without a word. Submariner loosens only the device that has an address of the pod network.",
    evidence="The effective rp_filter of the device (the maximum of `all` and its own) is 1, and the route back leads elsewhere; "
    "TcpExtIPReversePathFilter rises with every probe.",
    remedy="`sysctl -w net.ipv4.conf.DEVICE.rp_filter=2`, and the same in /etc/sysctl.d so that it stays.",
    effects=("CNI_INTRA_CLUSTER_BROKEN",),
    sources=("submariner issues 2005, 3159", "Linux: Documentation/networking/ip-sysctl.rst"),
)
def cni_rpfilter_strict(seen: Observation) -> Iterator[Suspicion]:
    found: dict[tuple[Node, str], Refused] = {}
    for flow in seen.failing:
        for told in refused(seen, flow):
            if told.passage.packet.in_device != c.VX_SUBMARINER:
                found.setdefault((told.passage.node, told.passage.packet.in_device), told)
    for (node, device), told in found.items():
        sight = told.passage.sight
        own, every = (sight.setting(f"net.ipv4.conf.{name}.rp_filter") for name in (device.replace(".", "/"), "all"))
        said = (
            f"{sight.name}: rp_filter of {device} is {own}, of all {every}: 1 (strict) is in effect",
            f"{sight.name}: the way back to {told.passage.packet.source}, which enters by {device}, is {told.back or 'not there'}",
        )
        rise = sight.rise("TcpExtIPReversePathFilter")
        traffic = (f"{sight.name}: TcpExtIPReversePathFilter rose by {rise} while probes ran",) if rise else ()
        filtered = _filtered(seen, node, device)
        yield Suspicion(
            node, f"sysctl net.ipv4.conf.{device}.rp_filter", said, filtered, traffic=traffic, refuted_by=filtered
        )


def _filtered(seen: Observation, node: Node, device: str) -> scope.Scope:
    def holds(flow: Flow) -> bool:
        return seen.ways.passes(flow, node) and any(
            told.passage.node == node and told.passage.packet.in_device == device for told in refused(seen, flow)
        )

    return scope.Scope(f"whose packets enter {node.name} by {device} against its route back", holds)


@cause(
    "CNI_NODE_IP_ON_VX_SUBMARINER",
    title="The CNI took vx-submariner's address for the node's",
    symptom="Paths inside the cluster to one node broke when Submariner was installed, and its paths to other clusters with them.",
    mechanism="Autodetection of the node address picked 240.x, so other nodes send the CNI's tunnel to an address that exists only inside "
    "Submariner's overlay.",
    evidence="An annotation of the Node, or the destination of the CNI's tunnel on another node, inside 240.0.0.0/8.",
    remedy="Exclude vx-submariner from autodetection (Calico: IP_AUTODETECTION_METHOD=skip-interface=vx-submariner; flannel: --iface) and "
    "restart the CNI.",
    rank=Rank.CNI,
    effects=("CNI_INTRA_CLUSTER_BROKEN", "CNI_INGRESS_PATH_MISSING"),
    sources=("submariner issues 1195, 2104",),
)
def cni_node_ip_on_vx_submariner(seen: Observation) -> Iterator[Suspicion]:
    told: dict[Node, list[str]] = {}
    for cluster in seen.clusters:
        nodes = {node.name: node for node in cluster.nodes}
        objects = seen.objects.get(cluster.position)
        for found in objects["nodes"] if objects is not None else ():
            metadata = found.get("metadata") or {}
            for key, value in (metadata.get("annotations") or {}).items():
                ip = str(value).partition("/")[0]
                if "submariner" not in key and _is_overlay(ip) and metadata.get("name") in nodes:
                    told.setdefault(nodes[metadata["name"]], []).append(f"Node {metadata['name']}: {key} is {value}")
    for sight in seen.every():
        for ip, text in _tunnels_to_overlay(sight):
            told.setdefault(_owner(seen, sight, ip), []).append(f"{sight.name}: {text}")
    for node, said in told.items():
        explains = scope.node_cut_off(node) | (scope.inside(node.cluster) & scope.at_node(node))
        yield Suspicion(node, "the CNI's node address", tuple(said[:3]), explains)


def _tunnels_to_overlay(sight: NodeSight) -> Iterator[tuple[str, str]]:
    own = (c.VX_SUBMARINER, c.VXLAN_TUNNEL)
    for link in sight.before.links or ():
        for ip in (link.local, link.remote):
            if link.name not in own and ip and _is_overlay(ip):
                yield ip, f"tunnel device {link.name} has the end {ip}"
    for entry in sight.before.fdb or ():
        if entry.device not in own and _is_overlay(entry.dst):
            yield entry.dst, f"{entry.device} sends frames for {entry.mac} to {entry.dst}"
    for route in sight.routes:
        if route.device not in own and route.gateway and _is_overlay(route.gateway):
            yield route.gateway, f"route {route.destination} leads via {route.gateway} dev {route.device}"


def _owner(seen: Observation, sight: NodeSight, ip: str) -> Node:
    owners = (s.node for s in seen.every() if s.node.cluster == sight.node.cluster and ip in s.own_ips)
    tail = ip.split(".", 1)[1]
    derived = (n for n in seen.topology.cluster(sight.node.cluster).nodes if n.internal_ip.split(".", 1)[-1] == tail)
    return next(owners, None) or next(derived, sight.node)


def _is_overlay(ip: str) -> bool:
    return ip.startswith(f"{c.VX_SUBMARINER_OCTET}.") and ip.count(".") == 3

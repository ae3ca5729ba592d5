"""The lab's clusters and nodes in the data plane's words."""

from __future__ import annotations

from typing import Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.objects import Cluster, Endpoint
from pytest_submariner.dataplane.view import NodeFacts
from pytest_submariner.lab.spec import ClusterSpec, NodeSpec

UNDERLAY_DEVICE: Final = "eth0"
CNI_DEVICE: Final = "cni0"
UNDERLAY_MTU: Final = 1500


def node_facts(node: NodeSpec) -> NodeFacts:
    """What agents would find on a node of the lab; OS hostname and Node name are the same here."""
    return NodeFacts(
        name=node.name,
        hostname=node.name,
        underlay_device=UNDERLAY_DEVICE,
        underlay_ip=node.ip,
        underlay_mtu=UNDERLAY_MTU,
        cni_device=CNI_DEVICE,
        cni_ip=node.cni_ip,
        gateway_pod=node.gateway,
    )


def cluster_of(cluster: ClusterSpec) -> Cluster:
    """Cluster IDs are the lab's cluster names."""
    return Cluster(cluster.name, (cluster.pod_cidr,), (cluster.service_cidr,))


def endpoint_of(cluster: ClusterSpec, gateway: NodeSpec, backend: str) -> Endpoint:
    """The Endpoint `gateway` publishes while it is active."""
    return make_endpoint(
        cluster_id=cluster.name,
        hostname=gateway.name,
        private_ip=gateway.ip,
        health_check_ip=gateway.cni_ip,
        subnets=(cluster.service_cidr, cluster.pod_cidr),
        backend=backend,
    )


def make_endpoint(
    *, cluster_id: str, hostname: str, private_ip: str, health_check_ip: str, subnets: tuple[str, ...], backend: str
) -> Endpoint:
    """Named as upstream names it: `submariner-cable-<cluster ID>-<private IP with dashes>`
    (submariner:pkg/endpoint/local_endpoint.go)."""
    cable = f"submariner-cable-{cluster_id}-{private_ip.replace('.', '-')}"
    return Endpoint(
        cluster_id=cluster_id,
        cable_name=cable,
        hostname=hostname,
        subnets=subnets,
        private_ip=private_ip,
        public_ip="",
        nat_enabled=False,
        backend=backend,
        backend_config={"natt-discovery-port": str(c.NAT_DISCOVERY_PORT), "udp-port": str(c.CABLE_PORT)},
        health_check_ip=health_check_ip,
        name=f"{cluster_id}-{cable}",
    )

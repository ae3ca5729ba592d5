"""The names that steps use for a lab's addresses and devices."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.addresses import vtep
from pytest_submariner.errors import LabError
from pytest_submariner.lab.spec import UNDERLAY_GATEWAY, LabSpec, NodeSpec
from pytest_submariner.lab.submariner.topology import endpoint_of

Values = Mapping[str, str]


def values(spec: LabSpec, node: NodeSpec, active: Mapping[str, NodeSpec]) -> Values:
    """Name -> value for a fault at `node`. `active`: cluster -> its active gateway. LabError for a lab with one cluster.

    UL, CNI: underlay and CNI device. NODE, IP, CIP, PODS: the node's name, underlay address, CNI address, pod subnet.
    GATEWAY, GIP, GV, GCIP, GPODS: its cluster's active gateway: name, underlay, vx-submariner, CNI address, pod subnet.
    WORKER, WIP, WPODS, WV: the node itself if it is no gateway, else the cluster's first that is not.
    OTHER_GATEWAY, OIP, OV: a passive gateway node of the cluster, absent if there is none.
    LPOD, LSVC: its cluster's CIDRs; FREE: an address of LPOD outside every node's subnet; ENDPOINT: its Endpoint's name.
    OTHER_WORKER, OWIP, OWV: another node that is no gateway, absent if there is none.
    LSVCS: the last /24 of LSVC. TV: the gateway's vxlan-tunnel address. RENDPOINT: the other cluster's Endpoint's name.
    APIPORT: port of its cluster's API server, at ROUTER.
    RCLUSTER, RPOD, RSVC, RPODS: the first other cluster, its CIDRs, the upper half of its pod CIDR.
    RGATEWAY, RGIP, RT, RCIP, RGPODS: that one's active gateway: name, underlay, vxlan-tunnel, CNI address, pod subnet.
    ROUTER: the fabric's address. NS: Submariner's namespace.
    """
    cluster = spec.cluster(node.cluster)
    others = [other for other in spec.clusters if other is not cluster]
    if not others:
        raise LabError(f"lab {spec.name} has one cluster: faults are of what joins two; boot it with --clusters 2")
    remote, gateway = others[0], active[cluster.name]
    remote_gateway = active[remote.name]
    worker = node if node is not gateway else _first(cluster.nodes, gateway)
    passive = next((n for n in cluster.gateways if n not in (gateway, node)), None)
    found = {
        "UL": "eth0",
        "CNI": "cni0",
        "NS": c.OPERATOR_NAMESPACE,
        "ROUTER": UNDERLAY_GATEWAY,
        "CLUSTER": cluster.name,
        "FREE": str(ipaddress.IPv4Network(cluster.pod_cidr)[-6]),
        "LPOD": cluster.pod_cidr,
        "LSVC": cluster.service_cidr,
        "LSVCS": f"{ipaddress.IPv4Network(cluster.service_cidr)[-256]}/24",
        "APIPORT": str(cluster.api_port),
        "NODE": node.name,
        "IP": node.ip,
        "CIP": node.cni_ip,
        "PODS": node.pod_cidr,
        "GATEWAY": gateway.name,
        "GIP": gateway.ip,
        "GV": vtep(c.VX_SUBMARINER_OCTET, gateway.ip),
        "GCIP": gateway.cni_ip,
        "GPODS": gateway.pod_cidr,
        "TV": vtep(c.VXLAN_TUNNEL_OCTET, gateway.ip),
        "RENDPOINT": endpoint_of(remote, remote_gateway, spec.cable).name,
        "RCLUSTER": remote.name,
        "RPOD": remote.pod_cidr,
        "RSVC": remote.service_cidr,
        "RPODS": str(next(reversed(list(ipaddress.IPv4Network(remote.pod_cidr).subnets(1))))),
        "RGPODS": remote_gateway.pod_cidr,
        "RGATEWAY": remote_gateway.name,
        "RGIP": remote_gateway.ip,
        "RCIP": remote_gateway.cni_ip,
        "RT": vtep(c.VXLAN_TUNNEL_OCTET, remote_gateway.ip),
        "ENDPOINT": endpoint_of(cluster, gateway, spec.cable).name,
    }
    if worker is not None:
        found |= {
            "WORKER": worker.name,
            "WIP": worker.ip,
            "WV": vtep(c.VX_SUBMARINER_OCTET, worker.ip),
            "WPODS": worker.pod_cidr,
        }
    others_here = [n for n in cluster.nodes if n is not worker and not n.gateway]
    if worker is not None and others_here:
        other = min(others_here, key=lambda n: n.name)
        found |= {"OTHER_WORKER": other.name, "OWIP": other.ip, "OWV": vtep(c.VX_SUBMARINER_OCTET, other.ip)}
    if passive is not None:
        found |= {"OTHER_GATEWAY": passive.name, "OIP": passive.ip, "OV": vtep(c.VX_SUBMARINER_OCTET, passive.ip)}
    return found


def assignments(found: Values) -> str:
    """As lines of sh."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in found.items())


def filled(data: Any, found: Values) -> Any:
    """`data` with $NAME replaced in its strings."""
    if isinstance(data, str):
        return Template(data).substitute(found)
    if isinstance(data, Mapping):
        return {key: filled(value, found) for key, value in data.items()}
    return [filled(value, found) for value in data] if isinstance(data, list) else data


def _first(nodes: Sequence[NodeSpec], but: NodeSpec) -> NodeSpec | None:
    return min((n for n in nodes if n is not but), key=lambda n: (n.gateway, n.name), default=None)

"""Faults of Kubernetes objects."""

from __future__ import annotations

import base64
from functools import partial
from typing import Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.lab.faults.catalogue.authority import OTHER_CA
from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import CABLE, NODE, NOTHING, SERVICES_HERE
from pytest_submariner.lab.faults.steps import (
    DeviceChanged,
    Object,
    ObjectAdded,
    ObjectChanged,
    ObjectRemoved,
    Paused,
    Step,
    Whose,
    chain_removed,
    rule_first,
    rule_removed,
)

_fault: Final = partial(Fault, layer=Layer.KUBERNETES)
GROUP: Final = "/apis/submariner.io/v1/namespaces/$NS"
ENDPOINT: Final = f"{GROUP}/endpoints/$ENDPOINT"
_MODELLED: Final = ("modelled",)
"""Agents would set these objects right."""

_ROUTE_AGENT: Final = "submariner-routeagent"
_NO_TRACE: Final[tuple[Step, ...]] = (
    DeviceChanged("vx-submariner", "ip link del vx-submariner"),
    *(rule_removed(table, chain, text) for table, chain, text, _ in c.HOOKS),
    *(chain_removed(table, chain) for table, chain in c.OWN_CHAINS),
)
"""What an agent leaves on a node."""
_STALE: Final = ObjectChanged(
    f"{GROUP}/gateways/$GATEWAY", {"metadata": {"annotations": {c.TIMESTAMP_ANNOTATION: "1735689600"}}}
)
"""Instead of waiting: a Gateway is refreshed every 5 seconds, and old after 15 (submariner:pkg/cableengine/syncer/syncer.go)."""


def _impostor(name: str) -> ObjectAdded:
    """A Gateway that says it is active, of a node that does not hold the lease."""
    status = {"version": "impostor", "haStatus": "active", "statusFailure": "", "localEndpoint": {}, "connections": []}
    metadata = {"name": name, "namespace": "$NS"}
    body = {"apiVersion": "submariner.io/v1", "kind": "Gateway", "metadata": metadata, "status": status}
    return ObjectAdded(f"{GROUP}/gateways", body)


def _left_out(term: Object) -> ObjectChanged:
    """The route agents' DaemonSet goes only where `term` allows it; the pod on the node ends and
    takes its RouteAgent along."""
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    return ObjectChanged(
        f"/apis/apps/v1/namespaces/$NS/daemonsets/{_ROUTE_AGENT}",
        {"spec": {"template": {"spec": {"affinity": affinity}}}},
        takes=f"{GROUP}/routeagents/$NODE",
    )


def _broker_access(name: str, value: str) -> ObjectChanged:
    """What the cluster has stored to enter the broker with."""
    return ObjectChanged("/apis/submariner.io/v1alpha1/namespaces/$NS/submariners/submariner", {"spec": {name: value}})


def _namesake(ip: str, subnets: list[str]) -> ObjectAdded:
    """The Endpoint that a second cluster of the same ID has put on the broker."""
    name = f"$CLUSTER-submariner-cable-$CLUSTER-{ip.replace('.', '-')}"
    spec = {
        "cluster_id": "$CLUSTER",
        "cable_name": name.partition("-")[2],
        "hostname": "namesake",
        "subnets": subnets,
        "private_ip": ip,
        "public_ip": "",
        "nat_enabled": False,
        "backend": "vxlan",
        "backend_config": {"natt-discovery-port": "4490", "preferred-server": "false", "udp-port": "4500"},
        "healthCheckIP": "",
    }
    metadata = {"name": name, "namespace": c.BROKER_NAMESPACE, "labels": {c.CLUSTER_ID_LABEL: "$CLUSTER"}}
    body = {"apiVersion": "submariner.io/v1", "kind": "Endpoint", "metadata": metadata, "spec": spec}
    return ObjectAdded(f"/apis/submariner.io/v1/namespaces/{c.BROKER_NAMESPACE}/endpoints", body, Whose.BROKER)


FAULTS: Final = (
    _fault(
        "k8s-gateway-label-missing",
        Role.CLUSTER,
        f"no node carries {c.GATEWAY_LABEL}=true",
        (
            ObjectChanged(
                "/api/v1/nodes/$GATEWAY",
                {"metadata": {"labels": {c.GATEWAY_LABEL: None}}},
                takes=f"{GROUP}/gateways/$GATEWAY",
            ),
            ObjectRemoved(ENDPOINT),
        ),
        CABLE,
        modes=_MODELLED,
        otherwise=(
            ObjectChanged(
                "/api/v1/nodes/$GATEWAY",
                {"metadata": {"labels": {c.GATEWAY_LABEL: "false"}}},
                takes=f"{GROUP}/gateways/$GATEWAY",
            ),
            ObjectRemoved(ENDPOINT),
        ),
    ),
    _fault(
        "k8s-two-active-gateways",
        Role.CLUSTER,
        "two gateways claim to be active",
        (_impostor("$WORKER"),),
        NOTHING,
        needs=("WORKER",),
        modes=_MODELLED,
        otherwise=(_impostor("$CLUSTER-former"),),
    ),
    _fault(
        "k8s-local-endpoint-stale",
        Role.CLUSTER,
        "the local Endpoint still describes the previous gateway",
        (ObjectChanged(ENDPOINT, {"spec": {"hostname": "$CLUSTER-former", "private_ip": "172.18.250.250"}}),),
        CABLE,
        modes=_MODELLED,
        otherwise=(ObjectChanged(ENDPOINT, {"spec": {"hostname": "retired", "private_ip": "172.18.99.1"}}),),
    ),
    _fault(
        "k8s-endpoint-subnets-incomplete",
        Role.CLUSTER,
        "the Endpoint does not advertise the service CIDR",
        (ObjectChanged(ENDPOINT, {"spec": {"subnets": ["$LPOD"]}}),),
        SERVICES_HERE,
        otherwise=(ObjectChanged(ENDPOINT, {"spec": {"subnets": ["$LSVCS", "$LPOD"]}}),),
    ),
    _fault(
        "k8s-cidr-overlap",
        Role.CLUSTER,
        "a subnet of the Endpoint lies inside another cluster's pod CIDR, without Globalnet",
        (ObjectChanged(ENDPOINT, {"spec": {"subnets": ["$LSVC", "$LPOD", "$RPODS"]}}),),
        CABLE,
        modes=_MODELLED,
        otherwise=(ObjectChanged(ENDPOINT, {"spec": {"subnets": ["$LSVC", "$LPOD", "$RSVC"]}}),),
    ),
    _fault(
        "k8s-routeagent-absent-on-node",
        Role.NON_GATEWAY,
        "no route agent ever worked on the node: no device, no routes, no chains",
        (
            _left_out({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["$NODE"]}]}),
            *_NO_TRACE,
        ),
        NODE,
        modes=_MODELLED,
        otherwise=(
            ObjectChanged("/api/v1/nodes/$NODE", {"metadata": {"labels": {"example.org/no-agents": "true"}}}),
            _left_out({"matchExpressions": [{"key": "example.org/no-agents", "operator": "DoesNotExist"}]}),
            *_NO_TRACE,
        ),
    ),
    _fault(
        "k8s-broker-credentials-invalid",
        Role.CLUSTER,
        "the broker does not accept the cluster's token any more",
        (_broker_access("brokerK8sApiServerToken", "expired"),),
        NOTHING,
        modes=_MODELLED,
        otherwise=(_broker_access("brokerK8sCA", base64.b64encode(OTHER_CA.encode()).decode()),),
    ),
    _fault(
        "k8s-duplicate-cluster-id",
        Role.CLUSTER,
        "another cluster has joined under the same cluster ID",
        (_namesake("172.18.250.250", ["100.250.0.0/16", "10.250.0.0/16"]),),
        CABLE,
        otherwise=(_namesake("172.18.99.1", ["172.31.0.0/16", "10.99.0.0/16"]),),
    ),
    _fault(
        "k8s-cable-driver-mismatch",
        Role.CLUSTER,
        "the clusters use different cable drivers",
        (ObjectChanged(ENDPOINT, {"spec": {"backend": "libreswan"}}),),
        CABLE,
        modes=_MODELLED,
        otherwise=(ObjectChanged(ENDPOINT, {"spec": {"backend": "wireguard"}}),),
    ),
    _fault(
        "k8s-gateway-status-frozen",
        Role.GATEWAY,
        "the Gateway object is not refreshed any more",
        (Paused("submariner-gateway"), _STALE),
        NOTHING,
        otherwise=(
            rule_first("filter", "OUTPUT", "-d $ROUTER -p tcp --dport $APIPORT -j DROP"),
            _STALE,
        ),
    ),
)

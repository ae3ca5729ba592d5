"""Faults of Kubernetes objects."""

from __future__ import annotations

from typing import Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.lab.faults.fault import Fault, Layer, Role
from pytest_submariner.lab.faults.signatures import CABLE, NODE, NOTHING, SERVICES_HERE
from pytest_submariner.lab.faults.steps import (
    DeviceChanged,
    ObjectAdded,
    ObjectChanged,
    ObjectRemoved,
    chain_removed,
    rule_removed,
)

GROUP: Final = "/apis/submariner.io/v1/namespaces/$NS"
ENDPOINT: Final = f"{GROUP}/endpoints/$ENDPOINT"
_MODELLED: Final = ("modelled",)
"""Agents would set these objects right."""

FAULTS: Final = (
    Fault(
        "k8s-gateway-label-missing",
        Layer.KUBERNETES,
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
    ),
    Fault(
        "k8s-two-active-gateways",
        Layer.KUBERNETES,
        Role.CLUSTER,
        "two gateways claim to be active",
        (
            ObjectAdded(
                f"{GROUP}/gateways",
                {
                    "apiVersion": "submariner.io/v1",
                    "kind": "Gateway",
                    "metadata": {"name": "$WORKER", "namespace": "$NS"},
                    "status": {
                        "version": "impostor",
                        "haStatus": "active",
                        "statusFailure": "",
                        "localEndpoint": {},
                        "connections": [],
                    },
                },
            ),
        ),
        NOTHING,
        needs=("WORKER",),
        modes=_MODELLED,
    ),
    Fault(
        "k8s-local-endpoint-stale",
        Layer.KUBERNETES,
        Role.CLUSTER,
        "the local Endpoint still describes the previous gateway",
        (ObjectChanged(ENDPOINT, {"spec": {"hostname": "$CLUSTER-former", "private_ip": "172.18.250.250"}}),),
        CABLE,
        modes=_MODELLED,
    ),
    Fault(
        "k8s-endpoint-subnets-incomplete",
        Layer.KUBERNETES,
        Role.CLUSTER,
        "the Endpoint does not advertise the service CIDR",
        (ObjectChanged(ENDPOINT, {"spec": {"subnets": ["$LPOD"]}}),),
        SERVICES_HERE,
    ),
    Fault(
        "k8s-cidr-overlap",
        Layer.KUBERNETES,
        Role.CLUSTER,
        "a subnet of the Endpoint lies inside another cluster's pod CIDR, without Globalnet",
        (ObjectChanged(ENDPOINT, {"spec": {"subnets": ["$LSVC", "$LPOD", "$RPODS"]}}),),
        CABLE,
        modes=_MODELLED,
    ),
    Fault(
        "k8s-routeagent-absent-on-node",
        Layer.KUBERNETES,
        Role.NON_GATEWAY,
        "no route agent ever worked on the node: no device, no routes, no chains",
        (
            DeviceChanged("vx-submariner", "ip link del vx-submariner"),
            *(rule_removed(table, chain, text) for table, chain, text, _ in c.HOOKS),
            *(chain_removed(table, chain) for table, chain in c.OWN_CHAINS),
            ObjectRemoved(f"{GROUP}/routeagents/$NODE"),
        ),
        NODE,
        modes=_MODELLED,
    ),
)

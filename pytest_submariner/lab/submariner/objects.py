"""API objects a Submariner installation consists of, beside its workloads, as subctl and the operator would have
made them."""

from __future__ import annotations

import base64
import datetime
from typing import Any, Final

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.objects import Cluster, Endpoint
from pytest_submariner.lab.spec import ClusterSpec

Object = dict[str, Any]
VERSION: Final = "0.19.0-modelled"
"""The release line whose behaviour is modelled, and that it is a model."""
NETWORK_PLUGIN: Final = "kindnet"
"""The CNI of the lab routes and masquerades as kindnet does."""
LEASE_NAME: Final = "submariner-gateway-lock"
LEASE_SECONDS: Final = 15
"""submariner:pkg/gateway/gateway.go"""
GROUP_V1: Final = "submariner.io/v1"
GROUP_V1ALPHA1: Final = "submariner.io/v1alpha1"


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def submariner(cluster: ClusterSpec, cable: str, broker: str, *, token: str, ca_pem: bytes) -> Object:
    """The operator's resource; `broker` is `host:port` of the broker cluster's API, `token` and `ca_pem` those of its account there.
    Its status goes to the status subresource."""
    return {
        **_head(GROUP_V1ALPHA1, "Submariner", "submariner", c.OPERATOR_NAMESPACE),
        "spec": {
            "broker": "k8s",
            "brokerK8sApiServer": broker,
            "brokerK8sApiServerToken": token,
            "brokerK8sCA": base64.b64encode(ca_pem).decode(),
            "brokerK8sRemoteNamespace": c.BROKER_NAMESPACE,
            "cableDriver": cable,
            "ceIPSecDebug": False,
            "ceIPSecNATTPort": c.CABLE_PORT,
            "clusterCIDR": "",
            "clusterID": cluster.name,
            "connectionHealthCheck": {"enabled": True, "intervalSeconds": 1, "maxPacketLossCount": 5},
            "debug": False,
            "globalCIDR": "",
            "namespace": c.OPERATOR_NAMESPACE,
            "natEnabled": False,
            "repository": "quay.io/submariner",
            "serviceCIDR": "",
            "serviceDiscoveryEnabled": False,
            "version": VERSION,
        },
    }


def submariner_status(cluster: ClusterSpec) -> Object:
    """What the operator detected."""
    return {
        "status": {
            "clusterCIDR": cluster.pod_cidr,
            "clusterID": cluster.name,
            "natEnabled": False,
            "networkPlugin": NETWORK_PLUGIN,
            "serviceCIDR": cluster.service_cidr,
            "version": VERSION,
        }
    }


def broker() -> Object:
    return {
        **_head(GROUP_V1ALPHA1, "Broker", "submariner-broker", c.BROKER_NAMESPACE),
        "spec": {
            "components": ["connectivity"],
            "globalnetCIDRRange": "242.0.0.0/8",
            "defaultGlobalnetClusterSize": 65536,
            "globalnetEnabled": False,
        },
    }


def cluster(source: Cluster, namespace_name: str, *, synced: bool) -> Object:
    """`synced`: a copy that came from another cluster or went to the broker, which the label says."""
    head = _head(GROUP_V1, "Cluster", source.cluster_id, namespace_name, source.cluster_id if synced else None)
    return {**head, "spec": source.to_spec()}


def endpoint(source: Endpoint, namespace_name: str, *, synced: bool) -> Object:
    head = _head(GROUP_V1, "Endpoint", source.name, namespace_name, source.cluster_id if synced else None)
    return {**head, "spec": source.to_spec()}


def lease(hostname: str) -> Object:
    """Leadership of the cluster's gateways, held by `<OS hostname>-submariner-gateway`."""
    now = micro_time()
    return {
        **_head("coordination.k8s.io/v1", "Lease", LEASE_NAME, c.OPERATOR_NAMESPACE),
        "spec": {
            "acquireTime": now,
            "holderIdentity": f"{hostname}-submariner-gateway",
            "leaseDurationSeconds": LEASE_SECONDS,
            "leaseTransitions": 0,
            "renewTime": now,
        },
    }


def micro_time() -> str:
    """Now, as Kubernetes writes a MicroTime."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _head(api_version: str, kind: str, name: str, namespace_name: str, origin: str | None = None) -> Object:
    labels = {} if origin is None else {"labels": {c.CLUSTER_ID_LABEL: origin}}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace_name, **labels}}

"""EndpointSlices for Endpoints that someone wrote for a Service without selector (kubernetes:pkg/controller/endpointslicemirroring)."""

from __future__ import annotations

from typing import Any

from pytest_submariner.lab.controllers.backends import MANAGED_LABEL, SERVICE_LABEL

Object = dict[str, Any]
MIRROR_MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"


def mirrored(endpoints: Object | None) -> list[Object]:
    """One slice per subset; none when the Endpoints ask not to be mirrored or are a leader's lock. Pure."""
    if endpoints is None:
        return []
    metadata = endpoints["metadata"]
    labels = metadata.get("labels") or {}
    if labels.get(SKIP_LABEL) == "true" or LEADER_ANNOTATION in (metadata.get("annotations") or {}):
        return []
    owner = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": {**labels, SERVICE_LABEL: metadata["name"], MANAGED_LABEL: MIRROR_MANAGER},
                "ownerReferences": [owner],
            },
            "addressType": "IPv4",
            "endpoints": [
                _endpoint(address, ready)
                for field, ready in (("addresses", True), ("notReadyAddresses", False))
                for address in subset.get(field) or ()
            ],
            "ports": [
                {"name": port.get("name", ""), "port": port["port"], "protocol": port.get("protocol", "TCP")}
                for port in subset.get("ports") or ()
            ],
        }
        for subset in endpoints.get("subsets") or ()
    ]


def _endpoint(address: Object, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    return endpoint | {field: address[field] for field in ("hostname", "nodeName", "targetRef") if address.get(field)}

"""What a genuine server puts into an empty cluster: four namespaces and its own Service."""

from __future__ import annotations

from pytest_submariner.lab.api.resources import Resources
from pytest_submariner.lab.api.status import Object

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_PORT_NAME = "https"


def bootstrap(resources: Resources, advertise: tuple[str, int] | None) -> None:
    """Fills empty resources; `advertise` is where pods reach the server."""
    for name in _NAMESPACES:
        _create(resources, "", "namespaces", "", {"metadata": {"name": name}})
    labels = {"component": "apiserver", "provider": "kubernetes"}
    port = {"name": _PORT_NAME, "port": 443, "protocol": "TCP", "targetPort": advertise[1] if advertise else 6443}
    service = {
        "metadata": {"name": "kubernetes", "labels": labels},
        "spec": {"clusterIP": resources.addresses.first, "ports": [port], "type": "ClusterIP"},
    }
    _create(resources, "", "services", "default", service)
    if not advertise:
        return
    address, number = advertise
    mirrored = {"metadata": {"name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
    subset = {"addresses": [{"ip": address}], "ports": [{"name": _PORT_NAME, "port": number, "protocol": "TCP"}]}
    _create(resources, "", "endpoints", "default", {**mirrored, "subsets": [subset]})
    endpoint_slice = {
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": _PORT_NAME, "port": number, "protocol": "TCP"}],
    }
    _create(resources, "discovery.k8s.io", "endpointslices", "default", endpoint_slice)


def _create(resources: Resources, group: str, plural: str, namespace: str, body: Object) -> None:
    kind = resources.kinds.require(group, "v1", plural)
    resources.create(kind, namespace, {"kind": kind.kind, "apiVersion": kind.api_version, **body})

"""What Submariner publishes in a lab's clusters, as text elements that can be compared one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from node_survey import Attribute, Elements, flat

from pytest_submariner.kube.client import KubeClient

OPERATOR, BROKER = "submariner-operator", "submariner-k8s-broker"
KINDS = ("Endpoint", "Cluster", "Gateway", "RouteAgent")
SERVERS_OWN = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")
"""Metadata that the API server writes."""
ATTRIBUTES = (
    Attribute("objects", r"(?:update-timestamp|Time)=(.*)", "times"),
    Attribute("objects", r" status\.version=(.*)", "the agents' release, and that a model is one"),
    Attribute("objects", r"latencyRTT\.\w+=(.*)", "measured times; that they are there is compared"),
    Attribute("objects", r"leaseTransitions=(.*)", "counter"),
)
FIRST_PINGS = Attribute(
    "objects",
    r"^(RouteAgent \S+ status\.remoteEndpoints.*)",
    "a route agent reports once a minute, first before it knows an Endpoint; its first ping is a minute after its start",
)
"""An attribute too where nobody waits so long."""


def read_objects(kubeconfig: str, cluster: str, *, patient: bool) -> Elements:
    """Kinds of KINDS in the operator's namespace (and the broker's), the lease, the labels of gateway pods. `patient`: the route
    agents have had two minutes."""
    kube = KubeClient(kubeconfig, cluster)
    found: Counter[str] = Counter()
    for namespace in (OPERATOR, BROKER):
        for kind in KINDS:
            for item in kube.list(f"{kind.lower()}s.submariner.io", namespace=namespace):
                found.update(_elements(kind, item))
    for item in kube.list("leases.coordination.k8s.io", namespace=OPERATOR):
        found.update(_elements("Lease", item))
    for pod in kube.list("pods", namespace=OPERATOR, labels="app=submariner-gateway"):
        labels = {k: v for k, v in pod["metadata"]["labels"].items() if k != "controller-revision-hash"}
        found.update(f"gateway pod on {pod['spec']['nodeName']} {key}={value}" for key, value in flat(labels))
    kube.close()
    attributes = ATTRIBUTES if patient else (*ATTRIBUTES, FIRST_PINGS)
    blotted = Counter(_blot(text, attributes) for text in found.elements())
    del blotted["…"]
    return {"objects": blotted}


def _blot(text: str, attributes: tuple[Attribute, ...]) -> str:
    for attribute in attributes:
        text = attribute.blot(text)
    return text


def _elements(kind: str, item: dict[str, Any]) -> Iterator[str]:
    metadata = {key: value for key, value in item["metadata"].items() if key not in SERVERS_OWN}
    head = f"{kind} {metadata.pop('namespace')}/{metadata.pop('name')}"
    rest = {key: value for key, value in item.items() if key not in ("apiVersion", "kind", "metadata")}
    yield head
    yield from (f"{head} {key}={value}" for key, value in flat(_indexed({"metadata": metadata, **rest})))


def _indexed(item: Any) -> Any:
    """Lists of objects as dicts by cluster ID, so that their order does not matter; empty ones as they are."""
    if isinstance(item, list) and item and all(isinstance(entry, dict) for entry in item):
        return {_key(entry): _indexed(entry) for entry in item}
    return {key: _indexed(value) for key, value in item.items()} if isinstance(item, dict) else item


def _key(entry: dict[str, Any]) -> str:
    return str((entry.get("endpoint") or entry.get("spec") or entry).get("cluster_id", "?"))

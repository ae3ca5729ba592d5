"""Reading what the API of one cluster holds for a diagnosis: all kinds side by side, bounded however big the cluster is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from pytest_submariner.dataplane.constants import BROKER_NAMESPACE, OPERATOR_NAMESPACE
from pytest_submariner.diagnose.objects.agentlogs import read_logs
from pytest_submariner.diagnose.objects.broker import BrokerCopy, psk_digest, read_broker
from pytest_submariner.diagnose.objects.clusterobjects import (
    RESOURCES,
    BrokerProblem,
    ClusterObjects,
    Object,
    exported_namespaces,
)
from pytest_submariner.diagnose.objects.redaction import lean
from pytest_submariner.errors import SubmarinerError
from pytest_submariner.kube.errors import ResourceAbsent
from pytest_submariner.kube.ownership import OWNER, OWNER_LABEL

_THREADS: Final = 12
_MOST_NAMESPACES: Final = 40
"""Of those that policies, services and exports are read of."""
_EVERYWHERE: Final = (
    "endpoints",
    "clusters",
    "gateways",
    "routeagents",
    "nodes",
    "namespaces",
    "daemonsets",
    "ippools",
    "serviceexports",
    "serviceimports",
    "globalingressips",
    "clusterglobalegressips",
    "globalegressips",
    "submariners",
)
"""Kinds of which a cluster has few, or one per node."""
_SYNCED: Final = ("endpoints", "clusters", "serviceimports")
_SYSTEM: Final = "kube-system"
_SYSTEM_NAMESPACES: Final = frozenset(
    {
        _SYSTEM,
        "calico-system",
        "cilium",
        "kube-flannel",
        "openshift-dns",
        "openshift-ovn-kubernetes",
        "openshift-sdn",
        "ovn-kubernetes",
        "weave",
    }
)
"""Where CNI, cluster DNS and kube-proxy run."""
_SYSTEM_PODS: Final = (
    "antrea-agent",
    "aws-node",
    "calico",
    "canal",
    "cilium",
    "coredns",
    "dns-default",
    "flannel",
    "kindnet",
    "kube-dns",
    "kube-flannel",
    "kube-proxy",
    "kube-router",
    "node-local-dns",
    "ovnkube",
    "rke2-canal",
    "rke2-coredns",
    "sdn-",
    "weave-net",
)
"""How their pods' names begin."""
_CONFIGMAPS: Final = (
    (_SYSTEM, "coredns"),
    (_SYSTEM, "coredns-custom"),
    (_SYSTEM, "rke2-coredns-rke2-coredns"),
    (_SYSTEM, "kube-dns"),
    (_SYSTEM, "kube-proxy"),
    ("openshift-dns", "dns-default"),
)
"""Cluster DNS by distribution (submariner-operator:controllers/servicediscovery/servicediscovery_controller.go), and kube-proxy's mode."""
_LIGHTHOUSE_SLICES: Final = "endpointslice.kubernetes.io/managed-by=lighthouse-agent.submariner.io"


class Reader(Protocol):
    """The part of `kube.client.KubeClient` needed here."""

    @property
    def rest(self) -> Any: ...

    def list(
        self, resource: str, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> list[Object]: ...

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> Object | None: ...

    def logs(self, namespace: str, pod: str, container: str | None = None, *, tail: int = 200) -> str: ...


Job = Callable[[], Iterable[Object]]


@dataclass
class _Shelf:
    """What was read so far. A kind any part of which could not be read counts as unread: its absence proves nothing."""

    found: dict[str, tuple[Object, ...]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def fill(self, pool: ThreadPoolExecutor, jobs: Sequence[tuple[str, Job]]) -> None:
        running = [(kind, pool.submit(_answer, job)) for kind, job in jobs]
        for kind, future in running:
            found, error = future.result()
            if error:
                self.unread[kind] = error
                self.found.pop(kind, None)
            elif kind not in self.unread:
                self.found[kind] = self.found.get(kind, ()) + found

    def leave_out(self, namespaces: frozenset[str]) -> None:
        """The cluster that hosts the broker holds the broker's copies as well."""
        for kind in _SYNCED:
            if kind in self.found:
                self.found[kind] = tuple(
                    i for i in self.found[kind] if i["metadata"].get("namespace") not in namespaces
                )


def read_objects(kube: Reader, position: str, nodes: Collection[str] = ()) -> ClusterObjects:
    """All a diagnosis asks of one cluster's API; `nodes` are those whose route agents' and CNI's logs are wanted, such as the ends of
    failing paths. What is denied or fails is in `unread`; a server that does not answer at all costs one request."""
    try:
        clock_s = kube.rest.clock()
    except SubmarinerError as error:
        reason = str(error)
        unread = dict.fromkeys(RESOURCES, reason)
        return ClusterObjects(position, unread=unread, broker_error=reason, broker_problem=BrokerProblem.UNKNOWN)
    shelf = _Shelf()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix=f"objects-{position}") as pool:
        shelf.fill(pool, [(kind, partial(kube.list, RESOURCES[kind])) for kind in _EVERYWHERE])
        installations = shelf.found.get("submariners", ())
        broker = pool.submit(read_broker, kube, installations)
        digest = pool.submit(psk_digest, kube, installations)
        operator = _operator_namespace(shelf)
        shelf.leave_out(_broker_namespaces(installations, operator))
        shelf.fill(pool, list(_namespaced(kube, shelf, operator)))
        logs = read_logs(kube, pool, shelf.found.get("pods", ()), nodes)
        copy: BrokerCopy = broker.result()
        return ClusterObjects(
            position=position,
            found={kind: tuple(lean(item) for item in items) for kind, items in shelf.found.items()},
            unread=shelf.unread,
            broker=copy.found,
            broker_error=copy.error,
            broker_problem=copy.problem,
            clock_s=clock_s,
            logs=logs.trouble,
            psk_digest=digest.result(),
            tails=logs.tails,
        )


def _namespaced(kube: Reader, shelf: _Shelf, operator: str) -> Iterable[tuple[str, Job]]:
    """The kinds a big cluster has too many of, by the namespaces that matter."""
    spaces = shelf.found.get("namespaces", ())
    present = {_name(space) for space in spaces}
    probes = {_name(s) for s in spaces if (s["metadata"].get("labels") or {}).get(OWNER_LABEL) == OWNER}
    exported = exported_namespaces(shelf.found)
    system = {name for name in _SYSTEM_NAMESPACES if name in present} or {_SYSTEM}
    ours = sorted({operator, *probes})[:_MOST_NAMESPACES]
    served = sorted({*ours, *sorted(exported)})[:_MOST_NAMESPACES]

    def of(kind: str, namespace: str, labels: str = "") -> tuple[str, Job]:
        return kind, partial(kube.list, RESOURCES[kind], namespace=namespace, labels=labels)

    yield of("leases", operator)
    for namespace in ours:
        yield of("pods", namespace)
        yield of("networkpolicies", namespace)
    for namespace in sorted(system):
        yield "pods", partial(_system_pods, kube, namespace)
        yield of("deployments", namespace)
        yield of("services", namespace)
    yield of("deployments", operator)
    for namespace in served:
        yield of("services", namespace)
        yield of("endpointslices", namespace)
    seen = _broker_namespaces(shelf.found.get("submariners", ()), operator) | set(served)
    elsewhere = partial(_slices_elsewhere, kube, seen)
    yield "endpointslices", elsewhere
    for namespace, name in _CONFIGMAPS:
        if namespace in system:
            yield "configmaps", partial(_one, kube, "configmaps", name, namespace)


def _system_pods(kube: Reader, namespace: str) -> Iterable[Object]:
    return [pod for pod in kube.list("pods", namespace=namespace) if _name(pod).startswith(_SYSTEM_PODS)]


def _slices_elsewhere(kube: Reader, read: frozenset[str]) -> Iterable[Object]:
    """Lighthouse's slices, also of services that only other clusters export."""
    found = kube.list(RESOURCES["endpointslices"], labels=_LIGHTHOUSE_SLICES)
    return [item for item in found if item["metadata"]["namespace"] not in read]


def _one(kube: Reader, kind: str, name: str, namespace: str) -> Iterable[Object]:
    found = kube.get(RESOURCES[kind], name, namespace=namespace)
    return () if found is None else (found,)


def _answer(job: Job) -> tuple[tuple[Object, ...], str]:
    try:
        return tuple(job()), ""
    except ResourceAbsent:
        return (), ""
    except SubmarinerError as error:
        return (), str(error)


def _operator_namespace(shelf: _Shelf) -> str:
    """Where the operator's objects are: what the Submariner object says, else where Gateways or Endpoints live."""
    for kind in ("submariners", "gateways", "endpoints"):
        for item in shelf.found.get(kind, ()):
            if namespace := item["metadata"].get("namespace"):
                return str(namespace)
    return OPERATOR_NAMESPACE


def _broker_namespaces(installations: Sequence[Object], operator: str) -> frozenset[str]:
    told = {str(item["spec"].get("brokerK8sRemoteNamespace") or BROKER_NAMESPACE) for item in installations}
    return frozenset({BROKER_NAMESPACE, *told} - {operator})


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])

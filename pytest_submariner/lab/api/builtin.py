"""The kinds every lab cluster has without a CRD: the parts of Kubernetes the lab uses, submariner.io and multicluster.x-k8s.io.

Names, scopes, categories and subresources are what a genuine server's discovery lists; the Submariner kinds follow
submariner:pkg/apis/submariner.io/v1/types.go and submariner-operator:config/crd/bases (0.19 line).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pytest_submariner.lab.api.kinds import Kind, PrinterColumn, Subresource

_SCALE = Subresource("scale", "Scale", ("get", "patch", "update"), "autoscaling/v1")
_ASK = ("create",)
_NO_COLLECTION_DELETE = ("create", "delete", "get", "list", "patch", "update", "watch")
_POD_SUBRESOURCES = (
    Subresource("binding", "Binding", _ASK, "v1"),
    Subresource("eviction", "Eviction", _ASK, "policy/v1"),
    Subresource("exec", "PodExecOptions", ("create", "get"), "v1"),
    Subresource("log", "Pod", ("get",), "v1"),
)
_POD_LABELS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_EVENT_LABELS = (
    *(
        f"involvedObject.{f}"
        for f in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    ),
    "reason",
    "reportingComponent",
    "source",
    "type",
)
_AGE = PrinterColumn("Age", ".metadata.creationTimestamp", "date")


def builtin_kinds() -> Iterator[Kind]:
    """Every kind, in the order in which discovery shows the groups."""
    yield from _core()
    yield from _apps()
    yield from _small_groups()
    yield from submariner_kinds()


def submariner_kinds() -> Iterator[Kind]:
    """Those that other clusters get from CustomResourceDefinitions."""
    yield from _submariner()
    yield from _multicluster()


def _core() -> Iterator[Kind]:
    core = partial(Kind, group="", version="v1")
    yield core(kind="Binding", plural="bindings", verbs=_ASK)
    yield core(kind="ConfigMap", plural="configmaps", short_names=("cm",))
    yield core(kind="Endpoints", plural="endpoints", short_names=("ep",), singular="endpoints", create_on_update=True)
    yield core(kind="Event", plural="events", short_names=("ev",), create_on_update=True, field_labels=_EVENT_LABELS)
    yield core(
        kind="Namespace",
        plural="namespaces",
        namespaced=False,
        short_names=("ns",),
        verbs=_NO_COLLECTION_DELETE,
        subresources=(Subresource("finalize", "Namespace", ("update",)),),
        status=True,
        returns_deleted=True,
        field_labels=("status.phase",),
    )
    yield core(
        kind="Node",
        plural="nodes",
        namespaced=False,
        short_names=("no",),
        status=True,
        field_labels=("spec.unschedulable",),
    )
    yield core(
        kind="Pod",
        plural="pods",
        short_names=("po",),
        categories=("all",),
        subresources=_POD_SUBRESOURCES,
        status=True,
        generation=True,
        returns_deleted=True,
        field_labels=_POD_LABELS,
    )
    yield core(kind="Secret", plural="secrets", field_labels=("type",))
    yield core(
        kind="ServiceAccount",
        plural="serviceaccounts",
        short_names=("sa",),
        subresources=(Subresource("token", "TokenRequest", _ASK, "authentication.k8s.io/v1"),),
        returns_deleted=True,
    )
    yield core(
        kind="Service",
        plural="services",
        short_names=("svc",),
        categories=("all",),
        status=True,
        returns_deleted=True,
        field_labels=("spec.clusterIP", "spec.type"),
    )


def _apps() -> Iterator[Kind]:
    apps = partial(Kind, group="apps", version="v1", categories=("all",), status=True, generation=True)
    yield Kind(group="apps", kind="ControllerRevision", plural="controllerrevisions")
    yield apps(kind="DaemonSet", plural="daemonsets", short_names=("ds",))
    yield apps(kind="Deployment", plural="deployments", short_names=("deploy",), subresources=(_SCALE,))
    yield apps(
        kind="ReplicaSet",
        plural="replicasets",
        short_names=("rs",),
        subresources=(_SCALE,),
        field_labels=("status.replicas",),
    )
    yield apps(kind="StatefulSet", plural="statefulsets", short_names=("sts",), subresources=(_SCALE,))


def _small_groups() -> Iterator[Kind]:
    yield Kind(
        group="coordination.k8s.io", kind="Lease", plural="leases", create_on_update=True, unconditional_update=False
    )
    yield Kind(
        group="discovery.k8s.io",
        kind="EndpointSlice",
        plural="endpointslices",
        generation=True,
        unconditional_update=False,
    )
    yield Kind(
        group="networking.k8s.io",
        kind="NetworkPolicy",
        plural="networkpolicies",
        short_names=("netpol",),
        generation=True,
    )
    rbac = partial(Kind, group="rbac.authorization.k8s.io", version="v1")
    yield rbac(kind="ClusterRoleBinding", plural="clusterrolebindings", namespaced=False)
    yield rbac(kind="ClusterRole", plural="clusterroles", namespaced=False)
    yield rbac(kind="RoleBinding", plural="rolebindings")
    yield rbac(kind="Role", plural="roles")
    yield Kind(
        group="apiextensions.k8s.io",
        kind="CustomResourceDefinition",
        plural="customresourcedefinitions",
        namespaced=False,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        status=True,
        generation=True,
        unconditional_update=False,
    )
    review = partial(Kind, version="v1", verbs=_ASK)
    yield review(group="authentication.k8s.io", kind="SelfSubjectReview", plural="selfsubjectreviews", namespaced=False)
    authorization = partial(review, group="authorization.k8s.io")
    yield authorization(kind="LocalSubjectAccessReview", plural="localsubjectaccessreviews")
    yield authorization(kind="SelfSubjectAccessReview", plural="selfsubjectaccessreviews", namespaced=False)
    yield authorization(kind="SelfSubjectRulesReview", plural="selfsubjectrulesreviews", namespaced=False)
    yield authorization(kind="SubjectAccessReview", plural="subjectaccessreviews", namespaced=False)


def custom(
    group: str, version: str, kind: str, plural: str, *, columns: tuple[PrinterColumn, ...] = (_AGE,), **flags: object
) -> Kind:
    """A kind as a CRD makes it; without columns of its own it shows Age, as the genuine server does."""
    return Kind(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        custom=True,
        generation=True,
        unconditional_update=False,
        columns=columns,
        **flags,  # type: ignore[arg-type]
    )


def _submariner() -> Iterator[Kind]:
    """Gateways and route agents have no status subresource: the agents write status by plain create and update."""
    v1 = partial(custom, "submariner.io", "v1")
    yield v1("Cluster", "clusters")
    yield v1("Endpoint", "endpoints")
    ha = PrinterColumn("HA Status", ".status.haStatus", description="High availability status of the Gateway")
    yield v1("Gateway", "gateways", columns=(ha,))
    yield v1("RouteAgent", "routeagents")
    yield v1("GatewayRoute", "gatewayroutes", short_names=("gwrt",))
    yield v1("NonGatewayRoute", "nongatewayroutes", short_names=("ngwrt",))
    ip = PrinterColumn("IP", ".status.allocatedIP", description="Global IP Allocated")
    yield v1("GlobalEgressIP", "globalegressips", short_names=("geip",), status=True)
    yield v1("ClusterGlobalEgressIP", "clusterglobalegressips", short_names=("cgeip",), status=True, namespaced=False)
    yield v1("GlobalIngressIP", "globalingressips", short_names=("giip",), status=True, columns=(ip,))
    v1alpha1 = partial(custom, "submariner.io", "v1alpha1", status=True)
    yield v1alpha1("Broker", "brokers")
    yield v1alpha1("ServiceDiscovery", "servicediscoveries")
    yield v1alpha1("Submariner", "submariners")


def _multicluster() -> Iterator[Kind]:
    mcs = partial(custom, "multicluster.x-k8s.io", "v1alpha1", status=True)
    yield mcs("ServiceExport", "serviceexports", short_names=("svcex",))
    columns = (
        PrinterColumn("Type", ".spec.type", description="The type of this ServiceImport"),
        PrinterColumn("IP", ".spec.ips", description="The VIP for this ServiceImport"),
        _AGE,
    )
    yield mcs("ServiceImport", "serviceimports", short_names=("svcim",), columns=columns)

"""Every spec registered in `subctl verify` (0.19 line: 48), by id and exact title, and the path that is its counterpart.

The ids are ours: group and number in the order of the sources. Titles are the ones of `submariner:test/e2e` and
`lighthouse:test/e2e`, put together as Ginkgo does: the texts of all containers and of the leaf, one blank between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_SENT = "should have sent the expected data from the pod to the other pod"
_NEAR = {"ngw": "not on a gateway", "gw": "on a gateway"}
_TCP = "Basic TCP connectivity tests across clusters without discovery"
_GN = "Basic TCP connectivity tests across overlapping clusters without discovery"
_SD = "Test Service Discovery Across Clusters"
_HL = "Test Headless Service Discovery Across Clusters"
_SS = "Test Stateful Sets Discovery Across Clusters"

GLOBALNET = "Globalnet paths are not measured by this version"
NAMES = "names (DNS) are not measured by this version"
DISRUPTION = "paths after a disruption are not measured by this version"
NO_TRAFFIC = "it asks for no path"


@dataclass(frozen=True)
class Spec:
    """A stock spec. `path_ids` are its counterparts in the order subctl asks them, empty where no path id exists;
    `uncovered` says why our suites do not measure them, and is empty for the specs of `--only connectivity`."""

    id: str
    text: str
    path_ids: tuple[str, ...] = ()
    uncovered: str = ""
    checks_source: bool = False
    """Whether the spec itself looks at the source address the listener saw."""

    @property
    def path_id(self) -> str | None:
        return self.path_ids[0] if self.path_ids else None


def _tcp() -> Iterator[Spec]:
    """`submariner:test/e2e/dataplane/tcp_pod_connectivity.go`."""
    plain = [("ngw", "ngw"), ("ngw", "gw"), ("gw", "ngw"), ("gw", "gw")]
    rows = [("pod", "pod", *places) for places in plain] + [("pod", "svc", *places) for places in plain]
    rows += [("hostpod", "pod", "ngw", "ngw"), ("hostpod", "pod", "gw", "ngw")]
    for number, (source, target, near, far) in enumerate(rows, 1):
        who = "a pod with HostNetworking" if source == "hostpod" else "a pod"
        what = "service" if target == "svc" else "pod"
        text = f"{_TCP} when {who} connects via TCP to a remote {what} {_places(what, near, far)}"
        path = f"{source}.{near}.c1--{target}.{far}.c2--tcp"
        yield Spec(f"TCP-{number:02}", text, (path,), checks_source=source == "pod")
    text = f"{_TCP} when a pod connects via TCP to a remote pod in reverse direction {_places('pod', 'ngw', 'ngw')}"
    yield Spec("TCP-11", text, ("pod.ngw.c2--pod.ngw.c1--tcp",), checks_source=True)


def _globalnet() -> Iterator[Spec]:
    """`submariner:test/e2e/dataplane/tcp_gn_pod_connectivity.go`."""
    rows = [
        ("a pod", "service", "ngw", "ngw", "cluster"),
        ("a pod", "service", "gw", "ngw", "cluster"),
        ("a pod", "service", "gw", "gw", "cluster"),
        ("a pod matching an egress IP namespace selector", "service", "ngw", "ngw", "ns"),
        ("a pod matching an egress IP namespace selector", "service", "gw", "gw", "ns"),
        ("a pod matching an egress IP pod selector", "service", "ngw", "ngw", "pod"),
        ("a pod matching an egress IP pod selector", "service", "gw", "gw", "pod"),
        ("a pod with HostNetworking", "service", "ngw", "ngw", "cluster"),
        ("a pod with HostNetworking", "service", "gw", "ngw", "cluster"),
        ("a pod", "headless service", "ngw", "ngw", "cluster"),
        ("a pod", "headless service", "gw", "gw", "cluster"),
    ]
    for number, (who, what, near, far, egress) in enumerate(rows, 1):
        text = f"{_GN} when {who} connects via TCP to the globalIP of a remote {what} {_places('service', near, far)}"
        source = "hostpod" if "HostNetworking" in who else "pod"
        target = "svc" if what == "service" else "pod"
        path = f"{source}.{near}.c1--{target}.{far}.c2--tcp--egress-{egress}"
        yield Spec(f"GN-{number:02}", text, (path,), GLOBALNET, checks_source=True)
    reverse = "a pod connects via TCP to the globalIP of a remote service in reverse direction"
    path = "pod.ngw.c2--svc.ngw.c1--tcp--egress-cluster"
    yield Spec(
        "GN-12", f"{_GN} when {reverse} {_places('service', 'ngw', 'ngw')}", (path,), GLOBALNET, checks_source=True
    )


def _places(what: str, near: str, far: str) -> str:
    return f"when the pod is {_NEAR[near]} and the remote {what} is {_NEAR[far]} {_SENT}"


def _disruptive() -> Iterator[Spec]:
    """`submariner:test/e2e/redundancy`. The fail-over specs choose their clusters by their gateways; the path ids hold
    where the cluster that is disrupted is c1."""
    gateway = "and be able to connect from another cluster"
    yield _after(
        "GWF-01",
        "Gateway fail-over tests when one gateway node is configured and the submariner gateway pod fails "
        f"should start a new submariner gateway pod {gateway}",
        "gateway-pod-restart",
    )
    yield _after(
        "GWF-02",
        "Gateway fail-over tests when multiple gateway nodes are configured and fail-over is initiated "
        f"should activate the passive gateway {gateway}",
        "gateway-failover",
    )
    for number, role in ((1, "gateway"), (2, "non-gateway")):
        yield _after(
            f"RAR-0{number}",
            f"Route Agent restart tests when a route agent pod running on a {role} node is restarted "
            f"should start a new route agent pod {gateway}",
            f"route-agent-restart-{role}",
        )
    yield Spec(
        "LE-01",
        "Leader election tests when renewal of the leader lease fails "
        "should re-acquire the leader lease after the failure is cleared",
        ("pod.ngw.c1--pod.ngw.c2--tcp--after-lease-denied", "pod.gw.c1--pod.gw.c2--tcp--after-lease-restored"),
        DISRUPTION,
        checks_source=True,
    )


def _after(spec_id: str, text: str, what: str) -> Spec:
    paths = (f"pod.gw.c2--pod.gw.c1--tcp--after-{what}", f"pod.ngw.c2--pod.ngw.c1--tcp--after-{what}")
    return Spec(spec_id, text, paths, DISRUPTION, checks_source=True)


def _names() -> Iterator[Spec]:
    """`lighthouse:test/e2e/discovery`."""
    resolve = "when a pod tries to resolve"
    for spec_id, text in (
        (
            "SD-01",
            f"{_SD} {resolve} a service in a remote cluster should be able to discover the remote service successfully",
        ),
        (
            "SD-02",
            f"{_SD} {resolve} a service which is present locally and in a remote cluster should resolve the local service",
        ),
        ("SD-03", f"{_SD} when service export is created before the service should resolve the service"),
        ("SD-04", f"{_SD} when there are no active pods for a service should not resolve the service"),
        (
            "SD-05",
            f"{_SD} when there are active pods for a service in only one cluster "
            "should not resolve the service on the cluster without active pods",
        ),
        (
            "SD-06",
            f"{_SD} {resolve} a service in a specific remote cluster by its cluster name "
            "should resolve the service on the specified cluster",
        ),
        (
            "SD-07",
            f"{_SD} {resolve} a service multiple times "
            "should resolve the service from both the clusters in a round robin fashion",
        ),
        (
            "SD-08",
            f"{_SD} when one of the clusters with a service is not healthy should not resolve that cluster's service IP",
        ),
        (
            "HL-01",
            f"{_HL} {resolve} a headless service in a remote cluster should resolve the backing pod IPs from the remote cluster",
        ),
        (
            "HL-02",
            f"{_HL} {resolve} a headless service which is exported locally and in a remote cluster "
            "should resolve the backing pod IPs from both clusters",
        ),
        (
            "HL-03",
            f"{_HL} {resolve} a headless service without selector in a remote cluster "
            "should resolve the backing endpoint IPs from the remote cluster",
        ),
        (
            "HL-04",
            f"{_HL} when the number of active pods backing a service changes should only resolve the IPs from the active pods",
        ),
        ("HL-05", f"{_HL} when the number of active pods backing a service changes should resolve the local pod IPs"),
        (
            "HL-06",
            f"{_HL} {resolve} a headless service in a specific remote cluster by its cluster name "
            "should resolve the backing pod IPs from the specified remote cluster",
        ),
        (
            "SS-01",
            f"{_SS} {resolve} a podname from stateful set in a remote cluster should resolve the pod IP from the remote cluster",
        ),
        (
            "SS-02",
            f"{_SS} {resolve} a podname from stateful set in a local cluster should resolve the pod IP from the local cluster",
        ),
        (
            "SS-03",
            f"{_SS} when the number of active pods backing a stateful set changes should only resolve the IPs from the active pods",
        ),
        (
            "CSIP-01",
            f"{_SD} when clusterset IP is enabled for an exported service should resolve the allocated clusterset IP",
        ),
    ):
        yield Spec(spec_id, text, uncovered=NAMES)


SPECS: tuple[Spec, ...] = (
    *_tcp(),
    Spec(
        "GWS-01",
        "Gateway status reporting when a gateway node is configured should correctly report its status and connection information",
        ("gateway.gw.c1--gateway.gw.c2--status",),
    ),
    *_globalnet(),
    *_disruptive(),
    *_names(),
    Spec(
        "FIPS-01",
        "FIPS when FIPS mode is enabled for the active gateway node should use FIPS mode in the libreswan cable driver",
        uncovered=NO_TRAFFIC,
    ),
)
"""All specs; the first 12 are those of `subctl verify --only connectivity` without Globalnet."""

CONNECTIVITY = tuple(spec for spec in SPECS if not spec.uncovered)

_BY_PATH = {path: spec for spec in SPECS for path in spec.path_ids}


def spec_of(path_id: str) -> Spec | None:
    """The stock spec a path is the counterpart of."""
    return _BY_PATH.get(path_id)

"""What each path promises, and who promises it: one table, a row per promise.

Source expectations, in the words of results.json: `preserved` is the source pod's own address. `node` is the address
Submariner gives host traffic: the *CNI address* of the source's node, an address of that node inside the cluster's pod
CIDR, because nothing else of a node is routed back by the other cluster. `any`: nobody promises one, so the address is
recorded and not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pytest_submariner.model.path import Kind, PathCase, Protocol
from pytest_submariner.model.verdict import Expectation, SourceExpectation
from pytest_submariner.paths.sizes import BULK, PMTU, size_tag


@dataclass(frozen=True)
class Promise:
    """What must hold on a path; `reference` names who says so, as `repository:file` or a document."""

    expected: Expectation
    source: SourceExpectation
    reason: str
    reference: str


class _Where(Enum):
    ACROSS = "to another cluster"
    INSIDE = "inside a cluster"


@dataclass(frozen=True)
class _Row:
    where: _Where
    sources: frozenset[Kind]
    targets: frozenset[Kind]
    protocols: frozenset[Protocol]
    promise: Promise
    size: str | None = None
    """The tag of the size this row is about; None for the usual few bytes."""

    def matches(self, case: PathCase) -> bool:
        return (
            self.where is _where(case)
            and case.source.kind in self.sources
            and case.target.kind in self.targets
            and case.protocol in self.protocols
            and size_tag(case) == self.size
        )


def _where(case: PathCase) -> _Where:
    return _Where.ACROSS if case.is_cross_cluster else _Where.INSIDE


_POD, _HOSTPOD, _SVC = frozenset({Kind.POD}), frozenset({Kind.HOSTPOD}), frozenset({Kind.SVC})
_NODE, _VX, _GATEWAY = frozenset({Kind.NODE}), frozenset({Kind.VX}), frozenset({Kind.GATEWAY})
_PORTS = frozenset({Protocol.TCP, Protocol.UDP})
_TCP = frozenset({Protocol.TCP})
_ECHO = frozenset({Protocol.ICMP})
_STATUS = frozenset({Protocol.STATUS})

_PACKET_FILTER = "submariner:pkg/routeagent_driver/handlers/kubeproxy/kp_packetfilter.go"
_NETWORK_MODEL = "Kubernetes documentation: Services, Load Balancing, and Networking, The Kubernetes network model"

_CABLE_STATUS = Promise(
    Expectation.OK,
    SourceExpectation.ANY,
    "while the cable works, the active Gateway lists the remote cluster as connected, with a round-trip time from its "
    "health check",
    "submariner:test/e2e/dataplane/gateway_status.go",
)
_REMOTE_ECHO = Promise(
    Expectation.OK,
    SourceExpectation.ANY,
    "a pod of another cluster answers an echo request; the reply does not tell which source arrived",
    "submariner:pkg/pinger/pinger.go",
)
_REMOTE_POD = Promise(
    Expectation.OK,
    SourceExpectation.PRESERVED,
    "the ACCEPT pairs of SUBMARINER-POSTROUTING keep pod traffic between clusters away from every masquerade, so the "
    "listener sees the pod's own address",
    _PACKET_FILTER,
)
_REMOTE_SERVICE = Promise(
    Expectation.OK,
    SourceExpectation.PRESERVED,
    "a remote gateway node translates the Service, and its ACCEPT pairs end nat before kube-proxy could masquerade, so "
    "the listener sees the pod's own address",
    "submariner:test/e2e/dataplane/tcp_pod_connectivity.go",
)
_REMOTE_FROM_HOST = Promise(
    Expectation.OK,
    SourceExpectation.NODE,
    "host traffic leaves with the CNI address of its node: a non-gateway node rewrites 240.0.0.0/8 to it, a gateway "
    "node routes with it. The other cluster routes only pod and service CIDRs back",
    _PACKET_FILTER,
)
_REMOTE_PATH_MTU = Promise(
    Expectation.OK,
    SourceExpectation.ANY,
    "tunnels take a fixed number of bytes off the MTU of the nodes' default devices (VXLAN 50, IPsec and WireGuard 80 as Submariner "
    "reckons); what fits into the rest is carried unfragmented",
    "submariner:pkg/vxlan/vxlan.go; submariner:pkg/routeagent_driver/handlers/mtu/mtuhandler.go",
)
_REMOTE_BULK = Promise(
    Expectation.OK,
    SourceExpectation.PRESERVED,
    "the route agent clamps the MSS of connections between clusters, so that full segments fit into the tunnels; the listener "
    "sees the pod's own address",
    "submariner:pkg/routeagent_driver/handlers/mtu/mtuhandler.go",
)
_REMOTE_BULK_FROM_HOST = Promise(
    Expectation.OK,
    SourceExpectation.NODE,
    "the route agent clamps the MSS of connections between clusters, so that full segments fit into the tunnels; host traffic "
    "leaves with the CNI address of its node",
    "submariner:pkg/routeagent_driver/handlers/mtu/mtuhandler.go",
)
_VX_PING = Promise(
    Expectation.BY_DESIGN,
    SourceExpectation.ANY,
    "vx-submariner exists for traffic to other clusters. The rule that gives host traffic an address which the other "
    "cluster can answer rewrites this ping too, so its reply travels outside the VXLAN and may be lost there. Nobody "
    "promises that the ping is answered",
    f"submariner issue 3134; {_PACKET_FILTER}",
)
_LOCAL_ECHO = Promise(
    Expectation.OK,
    SourceExpectation.ANY,
    "pods and nodes of a cluster reach each other; an echo reply does not tell which source arrived",
    _NETWORK_MODEL,
)
_LOCAL_POD = Promise(
    Expectation.OK,
    SourceExpectation.PRESERVED,
    "pods of a cluster reach each other without address translation",
    _NETWORK_MODEL,
)
_LOCAL_SERVICE = Promise(
    Expectation.OK,
    SourceExpectation.ANY,
    "a ClusterIP reaches its pod; whether the source is kept depends on the mode of kube-proxy",
    "Kubernetes documentation: Using Source IP",
)
_LOCAL_HOST = Promise(
    Expectation.OK,
    SourceExpectation.ANY,
    "a pod reaches the nodes of its cluster; the CNI may masquerade what leaves the pod network",
    _NETWORK_MODEL,
)
_LOCAL_FROM_HOST = Promise(
    Expectation.OK,
    SourceExpectation.ANY,
    "a node reaches the pods, nodes and Services of its cluster; which of its addresses it uses is the kernel's choice",
    _NETWORK_MODEL,
)

# Across clusters Submariner promises; inside one the CNI and kube-proxy do, and Submariner must not stand in their way.
_ROWS: tuple[_Row, ...] = (
    _Row(_Where.ACROSS, _GATEWAY, _GATEWAY, _STATUS, _CABLE_STATUS),
    _Row(_Where.ACROSS, _POD | _HOSTPOD, _POD, _ECHO, _REMOTE_ECHO),
    _Row(_Where.ACROSS, _POD, _POD, _PORTS, _REMOTE_POD),
    _Row(_Where.ACROSS, _POD, _SVC, _PORTS, _REMOTE_SERVICE),
    _Row(_Where.ACROSS, _HOSTPOD, _POD | _SVC, _PORTS, _REMOTE_FROM_HOST),
    _Row(_Where.ACROSS, _POD | _HOSTPOD, _POD, _ECHO, _REMOTE_PATH_MTU, PMTU),
    _Row(_Where.ACROSS, _POD, _POD, _TCP, _REMOTE_BULK, BULK),
    _Row(_Where.ACROSS, _HOSTPOD, _POD, _TCP, _REMOTE_BULK_FROM_HOST, BULK),
    _Row(_Where.INSIDE, _HOSTPOD, _VX, _ECHO, _VX_PING),
    _Row(_Where.INSIDE, _POD | _HOSTPOD, _POD | _HOSTPOD | _NODE, _ECHO, _LOCAL_ECHO),
    _Row(_Where.INSIDE, _POD, _POD, _PORTS, _LOCAL_POD),
    _Row(_Where.INSIDE, _POD, _SVC, _PORTS, _LOCAL_SERVICE),
    _Row(_Where.INSIDE, _POD, _HOSTPOD, _PORTS, _LOCAL_HOST),
    _Row(_Where.INSIDE, _HOSTPOD, _POD | _HOSTPOD | _SVC, _PORTS, _LOCAL_FROM_HOST),
)


def promise(case: PathCase) -> Promise:
    """What `case` promises; ValueError when nobody promises anything about such a path (a host in another cluster)."""
    for row in _ROWS:
        if row.matches(case):
            return row.promise
    raise ValueError(
        f"{case.id}: neither Kubernetes nor Submariner promises {case.protocol} from {case.source.kind} "
        f"to {case.target.kind} {_where(case).value}"
    )

"""The two sets the MSS rules match on (submariner:pkg/routeagent_driver/handlers/mtu/mtuhandler.go)."""

from __future__ import annotations

from pytest_submariner.dataplane import constants as c
from pytest_submariner.dataplane.addresses import ipv4_cidrs, without_host_mask
from pytest_submariner.dataplane.view import ClusterView
from pytest_submariner.model.nodestate import IpSet


def ipsets(view: ClusterView) -> tuple[IpSet, ...]:
    """On every node. The local set is empty before a local Endpoint exists; the remote one also holds subnets of
    remote Endpoints that the rest of the data plane ignores because they overlap."""
    local = () if view.local is None else ipv4_cidrs((*view.local.subnets, *view.cluster.pod_cidrs))
    remote = ipv4_cidrs(subnet for endpoint in view.remotes for subnet in endpoint.subnets)
    return (_set(c.LOCAL_CIDRS_SET, local), _set(c.REMOTE_CIDRS_SET, remote))


def _set(name: str, members: tuple[str, ...]) -> IpSet:
    return IpSet(name, c.SET_TYPE, frozenset(without_host_mask(cidr) for cidr in members))

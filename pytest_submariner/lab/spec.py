"""What a lab is made of: names and addresses of every part, derived from a few numbers. Pure data, no I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_submariner.errors import LabError
from pytest_submariner.lab.cidrs import Ranges, ranges

UNDERLAY = ipaddress.IPv4Network("172.18.0.0/16")
UNDERLAY_GATEWAY = "172.18.0.1"
"""The fabric's own address: default route of every node, and where the API servers listen inside the lab."""
API_PORT = 6443
"""Inside the lab cluster N (from 1) listens on UNDERLAY_GATEWAY:API_PORT+N-1."""
MAX_CLUSTERS = 20
MAX_NODES = 250
CABLES = ("vxlan",)
PROFILES = ("default", "issue-3134")
CONTROL_PLANES = ("embedded", "kube")
SUBMARINERS = ("modelled", "agents")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class NodeSpec:
    """One node: `c1-gw` with its underlay address, its pod subnet and the CNI bridge's address in it."""

    name: str
    cluster: str
    ip: str
    pod_cidr: str
    cni_ip: str
    gateway: bool


@dataclass(frozen=True)
class ClusterSpec:
    """One cluster: context and cluster ID are the same word (`c1`)."""

    name: str
    index: int
    """From 1."""
    pod_cidr: str
    service_cidr: str
    nodes: tuple[NodeSpec, ...]

    @property
    def api_port(self) -> int:
        return API_PORT + self.index - 1

    @property
    def gateways(self) -> tuple[NodeSpec, ...]:
        return tuple(n for n in self.nodes if n.gateway)


@dataclass(frozen=True)
class LabSpec:
    """A whole lab. `LabSpec.make` checks the numbers and lays out the addresses."""

    name: str
    clusters: tuple[ClusterSpec, ...]
    cable: str = "vxlan"
    profile: str = "default"
    control_plane: str = "embedded"
    submariner: str = "modelled"
    agents_dir: str | None = None
    """Only with agents: the folder with their binaries."""

    @property
    def nodes(self) -> tuple[NodeSpec, ...]:
        return tuple(n for c in self.clusters for n in c.nodes)

    def cluster(self, name: str) -> ClusterSpec:
        """LabError when there is no such cluster."""
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        raise LabError(f"lab {self.name} has no cluster {name!r}; it has {', '.join(c.name for c in self.clusters)}")

    def node(self, name: str) -> NodeSpec:
        """LabError when there is no such node."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise LabError(f"lab {self.name} has no node {name!r}; it has {', '.join(n.name for n in self.nodes)}")

    @classmethod
    def make(
        cls,
        name: str,
        *,
        clusters: int = 2,
        gateways: int = 1,
        workers: int = 1,
        cable: str = "vxlan",
        profile: str = "default",
        control_plane: str = "embedded",
        submariner: str = "modelled",
        agents_dir: str | None = None,
        pod_cidrs: Sequence[str] = (),
        service_cidrs: Sequence[str] = (),
    ) -> LabSpec:
        """`pod_cidrs`, `service_cidrs`: of the first clusters, in order. LabError names the value that does not fit and what
        does."""
        if not _NAME.fullmatch(name):
            raise LabError(
                f"--name {name!r}: a lab's name has 1 to 32 lower-case letters, digits or dashes, no dash at either end"
            )
        _between("--clusters", clusters, 1, MAX_CLUSTERS)
        _between("--gateways", gateways, 1, MAX_NODES)
        _between("--workers", workers, 0, MAX_NODES - gateways)
        for option, value, allowed in (
            ("--cable", cable, CABLES),
            ("--profile", profile, PROFILES),
            ("--control-plane", control_plane, CONTROL_PLANES),
            ("--submariner", submariner, SUBMARINERS),
        ):
            if value not in allowed:
                raise LabError(f"{option} {value!r}: this lab knows {', '.join(allowed)}")
        if submariner == "agents" and agents_dir is None:
            raise LabError(
                "--submariner agents needs --agents-dir: a folder with submariner-gateway and submariner-route-agent"
            )
        if submariner != "agents" and agents_dir is not None:
            raise LabError(f"--agents-dir {agents_dir} goes with --submariner agents only")
        chosen = ranges(clusters, gateways + workers, pod_cidrs, service_cidrs)
        made = tuple(_cluster(i, gateways, workers, of) for i, of in enumerate(chosen, start=1))
        return cls(name, made, cable, profile, control_plane, submariner, agents_dir)


def _between(option: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise LabError(f"{option} {value}: allowed are {low} to {high}")


def _cluster(index: int, gateways: int, workers: int, of: Ranges) -> ClusterSpec:
    """Node N (from 1, gateways first) of cluster 1 is 172.18.1.N and has the N-th /24 of the cluster's pod CIDR."""
    name = f"c{index}"
    gateway_names = [f"{name}-gw"] if gateways == 1 else [f"{name}-gw{i}" for i in range(1, gateways + 1)]
    names = gateway_names + [f"{name}-w{i}" for i in range(1, workers + 1)]
    nodes = tuple(
        NodeSpec(
            name=node,
            cluster=name,
            ip=f"172.18.{index}.{number}",
            pod_cidr=of.node_subnet(number),
            cni_ip=str(ipaddress.IPv4Network(of.node_subnet(number))[1]),
            gateway=number <= gateways,
        )
        for number, node in enumerate(names, start=1)
    )
    return ClusterSpec(name, index, of.pods, of.services, nodes)

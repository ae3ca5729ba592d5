"""What a fault is: data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pytest_submariner.lab.faults.signatures import NOTHING, Signature
from pytest_submariner.lab.faults.steps import Step


class Layer(StrEnum):
    KUBERNETES = "kubernetes"
    CABLE = "cable"
    OVERLAY = "overlay"
    ROUTING = "routing"
    NETFILTER = "netfilter"
    CNI = "cni"
    MTU = "mtu"
    HOST = "host"
    UNDERLAY = "underlay"


class Role(StrEnum):
    """Where the fault sits."""

    GATEWAY = "gateway"
    """On an active gateway node."""
    NON_GATEWAY = "non-gateway"
    """On a node that is not an active gateway."""
    FABRIC = "fabric"
    """On the network between nodes, at the port of one."""
    CLUSTER = "cluster"
    """In the objects of a cluster."""


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    `near`: for faults of fabric and cluster, the role of the node they are about. `needs`: names of `Values` which a
    small lab may lack (`OTHER_GATEWAY`: a passive gateway node). `modes`: Submariners of the lab it applies to.
    """

    id: str
    layer: Layer
    role: Role
    title: str
    steps: tuple[Step, ...]
    breaks: Signature = NOTHING
    near: Role = Role.GATEWAY
    needs: tuple[str, ...] = ()
    modes: tuple[str, ...] = ("modelled", "agents")

    @property
    def code(self) -> str:
        """`NF_HOSTNET_SNAT_MISSING`."""
        return self.id.upper().replace("-", "_")

    @property
    def node_role(self) -> Role:
        """The role of the node it is injected at."""
        return self.role if self.role in (Role.GATEWAY, Role.NON_GATEWAY) else self.near

    def describe(self) -> Mapping[str, str]:
        """One entry of `submariner-lab faults --json`."""
        return {
            "id": self.id,
            "code": self.code,
            "layer": str(self.layer),
            "role": str(self.role),
            "title": self.title,
        }

"""What a fault is: data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
class Injection:
    """Something to be done to a lab, and undone.

    `near`: for what sits in fabric or cluster, the role of the node it is about. `needs`: names of `Values` which a
    small lab may lack (`OTHER_GATEWAY`: a passive gateway node). `modes`: Submariners of the lab it applies to.
    """

    id: str
    role: Role
    title: str
    steps: tuple[Step, ...]
    near: Role = field(default=Role.GATEWAY, kw_only=True)
    needs: tuple[str, ...] = field(default=(), kw_only=True)
    modes: tuple[str, ...] = field(default=("modelled", "agents"), kw_only=True)

    @property
    def code(self) -> str | None:
        """None: nothing is at fault."""
        return None

    @property
    def node_role(self) -> Role:
        """The role of the node it is injected at."""
        return self.role if self.role in (Role.GATEWAY, Role.NON_GATEWAY) else self.near


@dataclass(frozen=True)
class Fault(Injection):
    """One row of the table.

    `otherwise`: other steps that make the same fault by other means, with the same paths broken, so that whoever looks
    for the fault can be shown to know it and not its injection.
    """

    layer: Layer = field(kw_only=True)
    breaks: Signature = NOTHING
    otherwise: tuple[Step, ...] = field(default=(), kw_only=True)

    @property
    def code(self) -> str:
        """`NF_HOSTNET_SNAT_MISSING`."""
        return self.id.upper().replace("-", "_")

    def describe(self) -> Mapping[str, str]:
        """One entry of `submariner-lab faults --json`."""
        return {
            "id": self.id,
            "code": self.code,
            "layer": str(self.layer),
            "role": str(self.role),
            "title": self.title,
        }


@dataclass(frozen=True)
class LookAlike(Injection):
    """A healthy state that somebody might take for a fault: no path breaks, and nothing may be said of it.

    `why` it is fine, in a sentence."""

    why: str = field(kw_only=True)

    def describe(self) -> Mapping[str, str]:
        """One entry of `submariner-lab faults --healthy --json`."""
        return {"id": self.id, "role": str(self.role), "title": self.title, "why": self.why}

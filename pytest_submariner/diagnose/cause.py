"""A root cause: its name, what people read about it, and the rule that finds it. One row per cause.

A rule looks at an `Observation` and yields a `Suspicion` for each object that has the fault. It asserts the fault by
state; that paths fail because of it is the engine's part, by the suspicion's scope. Sources of the catalogue: upstream
issues and code, named per cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from pytest_submariner.diagnose.scope import Scope
from pytest_submariner.model.topology import Node

if TYPE_CHECKING:
    from pytest_submariner.diagnose.observation import Observation

DOCS = "docs/root-causes.md"


class Layer(StrEnum):
    """Chapters of the catalogue."""

    KUBERNETES = "Kubernetes objects and control plane"
    CABLE = "Gateway and cable"
    OVERLAY = "vx-submariner overlay"
    ROUTE = "Routing"
    NF = "Netfilter and kube-proxy"
    CNI = "CNI"
    MTU = "MTU, fragmentation, offload"
    DNS = "DNS and service discovery"
    GLOBALNET = "Globalnet"
    HOST = "Host and kernel"
    UNDERLAY = "Underlay and cloud"


class Rank(IntEnum):
    """Cause before effect: which of several matching causes names a path's root cause."""

    OBJECT = 0
    """What Submariner was told: Endpoint, label, CIDR, policy."""
    CNI = 1
    """Paths inside the cluster are broken too: no verdict on the overlay stands above that."""
    NODE = 2
    """A node's configuration: device, route, rule, setting."""
    TRAFFIC = 3
    """Told by how packets fare: where they are lost, which counter rises."""


@dataclass(frozen=True)
class Suspicion:
    """A fault found in the state, or by the traffic, at one object.

    `explains`: flows the fault can break. `refuted_by`: flows that could not work if the fault were at work.
    `state` and `traffic` are sentences with the values found; traffic evidence that follows from the flows alone (which
    fail, which work, where the packet was lost) is added by the engine. `latent`: worth telling though no path fails.
    `remedy` says more than the cause's own where the values are known."""

    node: Node
    object: str
    state: tuple[str, ...]
    explains: Scope
    traffic: tuple[str, ...] = ()
    refuted_by: Scope | None = None
    latent: bool = False
    remedy: str = ""


Rule = Callable[["Observation"], Iterable[Suspicion]]


@dataclass(frozen=True)
class Cause:
    """`effects`: codes that follow from this one at the same node (or, for `Rank.OBJECT`, in the same cluster), and are
    not reported beside it. NODE in `remedy` stands for the finding's node. `sources`: upstream issues, pages, code."""

    code: str
    layer: Layer
    title: str
    symptom: str
    mechanism: str
    evidence: str
    remedy: str
    rule: Rule
    rank: Rank = Rank.NODE
    effects: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`overlay-link-down`: the name faults have."""
        return self.code.lower().replace("_", "-")

    @property
    def link(self) -> str:
        return f"{DOCS}#{self.id}"


def cause(
    code: str,
    *,
    title: str,
    symptom: str,
    mechanism: str,
    evidence: str,
    remedy: str,
    rank: Rank = Rank.NODE,
    effects: tuple[str, ...] = (),
    sources: tuple[str, ...] = (),
) -> Callable[[Rule], Cause]:
    """Makes a rule a `Cause`; the layer is the code's first word."""
    layer = Layer["KUBERNETES" if code.startswith("K8S_") else code.split("_", maxsplit=1)[0].replace("OFFLOAD", "MTU")]

    def make(rule: Rule) -> Cause:
        return Cause(code, layer, title, symptom, mechanism, evidence, remedy, rule, rank, effects, sources)

    return make

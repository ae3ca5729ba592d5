"""Where a finding is on the picture: at a hop its object names, else at its node."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.topology import Topology
from pytest_submariner.report.text import parse
from pytest_submariner.report.topology_svg.hops import Hop, Lane

CABLE_DEVICES = ("vxlan-tunnel", "ipsec", "wireguard", "submariner-cable", "cable")
"""What names a cable in an object: the devices of the cable drivers, and the cable itself."""


@dataclass(frozen=True)
class Spot:
    """A finding on the picture. `hop` is None where only the node is known; `node` is empty for one about a whole cluster."""

    finding: Finding
    node: str
    hop: Hop | None


def spots(findings: list[Finding], topology: Topology) -> list[Spot]:
    """Findings about clusters of `topology`, in their order."""
    known = {cluster.position: {node.name for node in cluster.nodes} for cluster in topology.clusters}
    return [
        Spot(finding, finding.node if finding.node in known[finding.cluster] else "", _hop(finding, topology))
        for finding in findings
        if finding.cluster in known
    ]


def _hop(finding: Finding, topology: Topology) -> Hop | None:
    named = finding.object.lower()
    if finding.code.startswith("CABLE_") or any(device in named for device in CABLE_DEVICES):
        return _cable(finding, topology)
    if finding.code.startswith("OVERLAY_") or Lane.VX in named:
        return Hop(Lane.VX, finding.cluster, finding.node)
    if finding.code.startswith("CNI_"):
        return Hop(Lane.CNI, finding.cluster, finding.node)
    return None


def _cable(finding: Finding, topology: Topology) -> Hop | None:
    """The one cable that the explained paths cross; None when they cross several."""
    positions = [cluster.position for cluster in topology.clusters]
    if len(positions) == 2:
        return Hop.cable(*positions)
    cases = [case for case in map(parse, finding.paths) if case is not None and case.is_cross_cluster]
    crossed = {Hop.cable(case.source.cluster, case.target.cluster) for case in cases}
    return crossed.pop() if len(crossed) == 1 else None

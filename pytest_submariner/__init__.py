"""pytest-submariner: conformance suite and lab for Submariner."""

from __future__ import annotations

from pytest_submariner.model.finding import Finding
from pytest_submariner.model.path import PathCase, Protocol, Side
from pytest_submariner.model.result import CommandResult, PathResult
from pytest_submariner.model.topology import Cluster, Node, Role, Topology
from pytest_submariner.model.verdict import Expectation, Verdict

__version__ = "0.1.0"
__all__ = [
    "Cluster",
    "CommandResult",
    "Expectation",
    "Finding",
    "Node",
    "PathCase",
    "PathResult",
    "Protocol",
    "Role",
    "Side",
    "Topology",
    "Verdict",
]

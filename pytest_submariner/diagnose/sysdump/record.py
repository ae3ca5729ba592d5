"""An observation as data that JSON can hold, and back: what a sysdump keeps, so that a diagnosis can be repeated elsewhere."""

from __future__ import annotations

from typing import Any

from pytest_submariner.diagnose.flow import flows
from pytest_submariner.diagnose.nodesight import sights
from pytest_submariner.diagnose.objects.clusterobjects import ClusterObjects
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.reasoning.repeats import ArpAnswers, Repeat
from pytest_submariner.diagnose.tracing.trace import Trace
from pytest_submariner.errors import SubmarinerError
from pytest_submariner.model.nodestate import NodeState
from pytest_submariner.model.result import PathResult
from pytest_submariner.model.topology import Node, Topology

VERSION = 1


class RecordUnreadable(SubmarinerError):
    """What was read is no record of an observation; the message says where it is not."""


def to_dict(seen: Observation) -> dict[str, Any]:
    return {
        "record_version": VERSION,
        "topology": seen.topology.to_dict(),
        "paths": [flow.result.to_dict() for flow in seen.flows],
        "objects": {position: objects.to_dict() for position, objects in seen.objects.items()},
        "nodes": [
            {
                "cluster": sight.node.cluster,
                "name": sight.node.name,
                "before": sight.before.to_dict(),
                "after": sight.after.to_dict() if sight.after is not None else None,
            }
            for sight in seen.sights.values()
        ],
        "traces": [trace.to_dict() for trace in seen.traces.values()],
        "unread": list(seen.unread),
        "repeats": [repeat.to_dict() for repeat in seen.repeats],
        "arp_answers": [answer.to_dict() for answer in seen.arp_answers],
    }


def from_dict(data: dict[str, Any]) -> Observation:
    """The inverse of `to_dict`; RecordUnreadable for anything else."""
    version = data.get("record_version")
    if version != VERSION:
        raise RecordUnreadable(f"record_version is {version!r}; this release reads {VERSION}")
    try:
        topology = Topology.from_dict(data["topology"])
        nodes = {(node.cluster, node.name): node for cluster in topology.clusters for node in cluster.nodes}
        before: dict[Node, NodeState] = {}
        after: dict[Node, NodeState] = {}
        for entry in data["nodes"]:
            node = nodes[entry["cluster"], entry["name"]]
            before[node] = NodeState.from_dict(entry["before"])
            if entry["after"] is not None:
                after[node] = NodeState.from_dict(entry["after"])
        objects = {position: ClusterObjects.from_dict(found) for position, found in data["objects"].items()}
        return Observation(
            topology,
            flows(map(PathResult.from_dict, data["paths"]), topology),
            objects,
            sights(topology, before, objects, after),
            {trace["path_id"]: Trace.from_dict(trace) for trace in data["traces"]},
            tuple(data["unread"]),
            tuple(map(Repeat.from_dict, data.get("repeats", ()))),
            tuple(map(ArpAnswers.from_dict, data.get("arp_answers", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordUnreadable(f"{type(error).__name__}: {error}") from None

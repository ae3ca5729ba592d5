"""Two labs side by side: what every node and every API tells, compared element by element."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from node_survey import Elements, read_node
from object_survey import read_objects
from running_lab import RunningLab

Survey = dict[str, Elements]
"""Node, or cluster for its objects -> parts -> elements."""


def survey(lab: RunningLab, *, without: tuple[str, ...] = (), patient: bool = False) -> Survey:
    """All nodes and clusters but those of the clusters `without`."""
    nodes = [node["name"] for node in lab.nodes if node["cluster"] not in without]
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(nodes, pool.map(lambda node: read_node(lab, node), nodes), strict=True))
    for cluster in lab.contexts:
        if cluster not in without:
            found[cluster] = read_objects(lab.kubeconfig, cluster, patient=patient)
    return found


def deviations(agents: Survey, model: Survey) -> list[str]:
    """One line for each element that only one of them has; the agents are right."""
    assert agents.keys() == model.keys()
    found = []
    for place, parts in agents.items():
        for part, genuine in parts.items():
            modelled = model[place][part]
            found += [f"{place} {part}: the model lacks {element}" for element in (genuine - modelled).elements()]
            found += [f"{place} {part}: the agents lack {element}" for element in (modelled - genuine).elements()]
    return found


def size(of: Survey) -> int:
    """How many elements were read."""
    return sum(elements.total() for parts in of.values() for elements in parts.values())

"""Label selectors, as `kubectl get -l` takes them: `zone=a,disk!=slow,!spot,pool in (x, y)`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pytest_submariner.model.topology import Topology

_KEY = r"(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)?"
_TERM = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<missing>{_KEY})"
    rf"|(?P<key>{_KEY})(?:\s*(?P<equals>==?|!=)\s*(?P<value>{_VALUE})"
    rf"|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Selector:
    """`text` as it was given; every one of `terms` must hold."""

    text: str
    terms: tuple[Callable[[Labels], bool], ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """ValueError says where it is no selector."""
        terms: list[Callable[[Labels], bool]] = []
        at = 0
        while at < len(text) or not terms:
            match = _TERM.match(text, at)
            if match is None or match.end() == at:
                raise ValueError(f"is not a label selector at {text[at:] or 'its end'!r}")
            terms.append(_term(match))
            at = match.end()
        if text.rstrip().endswith(","):
            raise ValueError("is not a label selector: it ends with a comma")
        return cls(text, tuple(terms))

    def matches(self, labels: Labels) -> bool:
        return all(term(labels) for term in self.terms)


def restrict(topology: Topology, selector: Selector) -> Topology:
    """The same clusters with those nodes only that have the labels."""
    return replace(
        topology,
        clusters=tuple(
            replace(cluster, nodes=tuple(node for node in cluster.nodes if selector.matches(node.labels)))
            for cluster in topology.clusters
        ),
    )


def _term(match: re.Match[str]) -> Callable[[Labels], bool]:
    if match["absent"]:
        missing = match["missing"]
        return lambda labels: missing not in labels
    key = match["key"]
    if match["equals"]:
        value, wanted = match["value"], match["equals"] != "!="
        return lambda labels: (labels.get(key) == value) is wanted
    if match["set"]:
        values = {word.strip() for word in match["values"].split(",")}
        if match["set"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    return lambda labels: key in labels

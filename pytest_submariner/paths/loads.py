"""What the performance suite measures: few paths, because each loads the clusters for a second or more.

Pod network only, and only in directions applications use. In particular nothing goes over vx-submariner from a gateway node to a
worker: there the kernel floods every packet to all nodes of the cluster (its FDB has an all-zero entry for each).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from pytest_submariner.model.path import Kind, PathCase, Protocol, Side
from pytest_submariner.model.performance import LoadCase, Measure

STREAMS = (1, 10)
"""`subctl benchmark` knows 10 only, which hides the limit of a single flow."""


def intra(cluster: str) -> PathCase:
    """Between two nodes of a cluster: what the CNI carries, and what paths between clusters are compared with."""
    return PathCase(Side(Kind.POD, "ngw", cluster), Side(Kind.POD, "gw", cluster), Protocol.TCP)


def loads(positions: Sequence[str], measure: Measure) -> list[LoadCase]:
    """Every figure of this measure, those inside clusters first."""
    paths = [intra(cluster) for cluster in positions]
    for here, there in permutations(positions, 2):
        paths += [
            PathCase(Side(Kind.POD, place, here), Side(Kind.POD, place, there), Protocol.TCP) for place in ("gw", "ngw")
        ]
    return [case for path in paths for case in _of(path, measure)]


def baseline(case: LoadCase) -> LoadCase | None:
    """The same measure inside the source's cluster; None for a figure that is inside one itself."""
    if not case.path.is_cross_cluster:
        return None
    return replace(case, path=replace(intra(case.path.source.cluster), protocol=case.path.protocol))


def _of(path: PathCase, measure: Measure) -> Iterator[LoadCase]:
    if measure is Measure.THROUGHPUT:
        yield from (LoadCase(path, measure, streams) for streams in STREAMS)
    else:
        yield from (LoadCase(replace(path, protocol=protocol), measure) for protocol in (Protocol.TCP, Protocol.ICMP))

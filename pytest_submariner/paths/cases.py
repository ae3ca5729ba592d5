"""The path cases of each suite, in a fixed order, from positions alone: no cluster is asked.

Every id exists whatever the number of nodes. A cluster has one *active* gateway node, so inside a cluster gateway to
gateway is always `--samenode`. Non-gateway nodes may be one or many, so both forms exist: `pod.ngw.c1--pod.ngw.c1--tcp`
is between two nodes (and is skipped, with what was found, where there is only one), the same id with `--samenode` is
between two pods of the first of them. A node to itself is no path: it never leaves the loopback.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import permutations, product
from typing import TypeVar

from pytest_submariner.model.path import Kind, PathCase, Protocol, Side
from pytest_submariner.paths.sizes import BULK, PMTU, SIZE_TAGS, size_tag

_Word = TypeVar("_Word", Kind, Protocol)

SAME_NODE = "samenode"
"""The tag of a path whose two ends are on one node."""

_PLACES = ("gw", "ngw")
_SOURCES = (Kind.POD, Kind.HOSTPOD)
_ANY_PROTOCOL = (Protocol.TCP, Protocol.UDP, Protocol.ICMP)
_LOCAL_TARGETS: dict[Kind, tuple[Protocol, ...]] = {
    Kind.POD: _ANY_PROTOCOL,
    Kind.HOSTPOD: _ANY_PROTOCOL,
    # A ClusterIP is a rule, not a host: nothing answers an echo request.
    Kind.SVC: (Protocol.TCP, Protocol.UDP),
    # The node itself has no listener of ours; its TCP and UDP are the hostpod's.
    Kind.NODE: (Protocol.ICMP,),
}
# Submariner carries pod and service CIDRs; hosts and nodes of another cluster are not reachable through it.
_REMOTE_TARGETS: dict[Kind, tuple[Protocol, ...]] = {kind: _LOCAL_TARGETS[kind] for kind in (Kind.POD, Kind.SVC)}
_NODES = frozenset({Kind.HOSTPOD, Kind.NODE})
_SIZED: tuple[tuple[str, Protocol], ...] = ((PMTU, Protocol.ICMP), (BULK, Protocol.TCP))
"""Sizes, and the protocol that asks them: between clusters only, where tunnels take their share of every packet."""
_LOCAL_PLACES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("gw", "gw", (SAME_NODE,)),
    ("gw", "ngw", ()),
    ("ngw", "gw", ()),
    ("ngw", "ngw", ()),
    ("ngw", "ngw", (SAME_NODE,)),
)


def _intra_cluster(positions: Sequence[str]) -> Iterator[PathCase]:
    for cluster in positions:
        for source_kind, (target_kind, protocols) in product(_SOURCES, _LOCAL_TARGETS.items()):
            for (source, target, tags), protocol in product(_LOCAL_PLACES, protocols):
                if tags and source_kind is Kind.HOSTPOD and target_kind in _NODES:
                    continue
                yield PathCase(Side(source_kind, source, cluster), Side(target_kind, target, cluster), protocol, tags)
        yield vx_ping(cluster)


def _cross_cluster(positions: Sequence[str]) -> Iterator[PathCase]:
    for here, there in permutations(positions, 2):
        for source_kind, (target_kind, protocols) in product(_SOURCES, _REMOTE_TARGETS.items()):
            for source, target, protocol in product(_PLACES, _PLACES, protocols):
                yield PathCase(Side(source_kind, source, here), Side(target_kind, target, there), protocol)
        for source_kind, source, target, (tag, protocol) in product(_SOURCES, _PLACES, _PLACES, _SIZED):
            yield PathCase(Side(source_kind, source, here), Side(Kind.POD, target, there), protocol, (tag,))
        yield PathCase(Side(Kind.GATEWAY, "gw", here), Side(Kind.GATEWAY, "gw", there), Protocol.STATUS)


_SUITES = {"intra_cluster": _intra_cluster, "cross_cluster": _cross_cluster}
SUITES = tuple(_SUITES)
"""Suites whose cases are generated here."""


def vx_ping(cluster: str) -> PathCase:
    """The ping of submariner issue 3134: from a non-gateway node to the gateway's vx-submariner address."""
    return PathCase(Side(Kind.HOSTPOD, "ngw", cluster), Side(Kind.VX, "gw", cluster), Protocol.ICMP)


def passive_cases(here: str, there: str) -> Iterator[PathCase]:
    """The paths of the role matrix with a passive gateway node at one end or at both, between two clusters or inside one."""
    targets = _LOCAL_TARGETS if here == there else _REMOTE_TARGETS
    places = [pair for pair in product(("gw", "pgw", "ngw"), repeat=2) if "pgw" in pair]
    for source_kind, (target_kind, protocols), (source, target) in product(_SOURCES, targets.items(), places):
        tags = (SAME_NODE,) if here == there and source == target else ()
        if tags and source_kind is Kind.HOSTPOD and target_kind in _NODES:
            continue
        for protocol in protocols:
            yield PathCase(Side(source_kind, source, here), Side(target_kind, target, there), protocol, tags)


def cases(suite: str, positions: Sequence[str]) -> list[PathCase]:
    """Every case of `suite` between the clusters at `positions` (`["c1", "c2"]`); ValueError for an unknown suite."""
    try:
        generate = _SUITES[suite]
    except KeyError:
        raise ValueError(f"no suite is called {suite!r}; paths are generated for {', '.join(SUITES)}") from None
    return list(generate(positions))


def select(
    every: Iterable[PathCase],
    *,
    source: str | Collection[str] = (),
    target: str | Collection[str] = (),
    protocol: str | Collection[str] = (),
    size: str | None = None,
) -> list[PathCase]:
    """The cases of these source kinds, target kinds and protocols, in order: a word, several, or () for all. `size` is the tag
    of those that ask one; without it come all others. ValueError for a word that is none."""
    sources, targets = set(_known("source", Kind, source)), set(_known("target", Kind, target))
    protocols = set(_known("protocol", Protocol, protocol))
    if size is not None and size not in SIZE_TAGS:
        raise ValueError(f"size {size!r} is not known; allowed are {', '.join(SIZE_TAGS)}")
    return [
        case
        for case in every
        if (not sources or case.source.kind in sources)
        and (not targets or case.target.kind in targets)
        and (not protocols or case.protocol in protocols)
        and size_tag(case) == size
    ]


def _known(argument: str, words: type[_Word], given: str | Collection[str]) -> list[_Word]:
    try:
        return [words(word) for word in _words(given)]
    except ValueError as error:
        allowed = ", ".join(word.value for word in words)
        raise ValueError(f"{argument}: {error}; allowed are {allowed}") from None


def _words(words: str | Collection[str]) -> Collection[str]:
    return [words] if isinstance(words, str) else words

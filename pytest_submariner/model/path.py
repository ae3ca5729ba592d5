"""A path case: one way of connecting two places of a cluster set, named by roles and positions, never by node names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache


class Kind(StrEnum):
    """What stands at a side of a path."""

    POD = "pod"
    """A pod with an address of the pod network."""
    HOSTPOD = "hostpod"
    """A pod on the host network of its node."""
    SVC = "svc"
    """A ClusterIP Service; its place is that of its backing pod."""
    NODE = "node"
    """The node's InternalIP."""
    VX = "vx"
    """The address of vx-submariner on the node (240.x)."""
    GATEWAY = "gateway"
    """The Submariner gateway itself (status only)."""


class Protocol(StrEnum):
    """How a path is asked. `status` is not traffic: it reads what the Gateway published."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    STATUS = "status"


SOURCE_KINDS = frozenset({Kind.POD, Kind.HOSTPOD, Kind.GATEWAY})
_SIDE = re.compile(r"(?P<kind>[a-z]+)\.(?P<place>gw|pgw|ngw)(?P<ordinal>[2-9]|[1-9][0-9]+)?\.(?P<cluster>c[1-9][0-9]*)")
_TAG = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, order=True)
class Side:
    """One end of a path: `pod.ngw.c1`. `place` is gw (active gateway), pgw (passive gateway) or ngw (neither);
    `ordinal` counts nodes of that place by name from 1 and is left out of the id when 1."""

    kind: Kind
    place: str
    cluster: str
    ordinal: int = 1

    def __str__(self) -> str:
        return f"{self.kind}.{self.place}{self.ordinal if self.ordinal > 1 else ''}.{self.cluster}"

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, text: str) -> Side:
        """ValueError when `text` is not `kind.place.cluster`."""
        match = _SIDE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a side of a path: expected KIND.PLACE.CLUSTER such as pod.ngw.c1")
        return cls(Kind(match["kind"]), match["place"], match["cluster"], int(match["ordinal"] or 1))


@dataclass(frozen=True, order=True)
class PathCase:
    """One path: `pod.ngw.c1--svc.gw.c2--tcp`, with tags at the end (`--pmtu`, `--samenode`, …)."""

    source: Side
    target: Side
    protocol: Protocol
    tags: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        return "--".join((str(self.source), str(self.target), self.protocol.value, *self.tags))

    def __str__(self) -> str:
        return self.id

    @property
    def is_cross_cluster(self) -> bool:
        return self.source.cluster != self.target.cluster

    @classmethod
    def parse(cls, text: str) -> PathCase:
        """The inverse of `id`; ValueError says which part is wrong."""
        parts = text.split("--")
        if len(parts) < 3:
            raise ValueError(
                f"{text!r} is not a path id: expected SOURCE--TARGET--PROTOCOL such as pod.gw.c1--pod.gw.c2--tcp"
            )
        source, target = Side.parse(parts[0]), Side.parse(parts[1])
        if source.kind not in SOURCE_KINDS:
            raise ValueError(f"{text!r}: {source.kind} cannot be the source of a path; sources are pod and hostpod")
        for tag in parts[3:]:
            if not _TAG.fullmatch(tag):
                raise ValueError(f"{text!r}: {tag!r} is not a tag (letters, digits and single dashes)")
        return cls(source, target, Protocol(parts[2]), tuple(parts[3:]))

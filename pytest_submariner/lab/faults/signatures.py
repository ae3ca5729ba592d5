"""Which paths a fault breaks: patterns over path ids, with the afflicted cluster as {a} and any other as {b}."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Signature:
    """`must`: every path that matches fails. `may`: those may fail or not, by size, chance or time. No other path fails.

    Patterns are shell patterns of path ids (`pod.ngw.{a}--svc.*.{b}--tcp*`); alternatives are written `{{pod,svc}}`.
    Places are those of a lab with one gateway and one worker per cluster, the fault on the first node of its role.
    Paths `gateway.…--status` follow the health checker's clock, so they are always of `may`.
    """

    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()

    def failing(self, paths: Iterable[str], cluster: str, others: Iterable[str]) -> tuple[set[str], set[str]]:
        """(those of `paths` that fail, those that may fail too) with the fault in `cluster`."""
        ids, known = set(paths), list(others)
        must = {path for path in ids if _matches(path, self.must, cluster, known) and not path.startswith("gateway.")}
        may = {path for path in ids if path.startswith("gateway.") or _matches(path, self.may, cluster, known)}
        return must, may - must

    def __or__(self, other: Signature) -> Signature:
        return Signature(self.must + other.must, self.may + other.may)


def _matches(path: str, patterns: Iterable[str], cluster: str, others: list[str]) -> bool:
    return any(
        fnmatchcase(path, choice)
        for pattern in patterns
        for other in (others if "{b}" in pattern else [""])
        for choice in _choices(pattern.format(a=cluster, b=other))
    )


def _choices(pattern: str) -> list[str]:
    """`{pod,svc}.x` -> `pod.x`, `svc.x`."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [choice for word in found[1].split(",") for choice in _choices(before + word + after)]


NOTHING = Signature()
CABLE = Signature(("*.{a}--*.{b}--*", "*.{b}--*.{a}--*"))
"""Nothing crosses."""
NODE_OUT = Signature(("{{pod,hostpod}}.ngw.{a}--*.{b}--*",))
"""What the node opens towards other clusters."""
NODE_IN = Signature(("*.{b}--{{pod,svc}}.ngw.{a}--*",))
"""What other clusters open towards the node."""
NODE = NODE_OUT | NODE_IN
"""One node (in a lab with one worker: all workers) is cut off; its gateway is not."""
FORWARDING = Signature(("pod.*.{a}--*.{b}--*", "hostpod.ngw.{a}--*.{b}--*", "*.{b}--{{pod,svc}}.*.{a}--*"))
"""All that the gateway forwards; not what its own host network opens."""
HOST_ONLY = Signature(("hostpod.ngw.{a}--*.{b}--*",))
SERVICES_HERE = Signature(("*.{b}--svc.*.{a}--*",))
"""Services of the afflicted cluster, asked for from others."""
NODE_LOCAL = Signature(
    (
        "{{pod,hostpod}}.gw.{a}--{{pod,svc,hostpod,node}}.ngw.{a}--*",
        "{{pod,hostpod}}.ngw.{a}--{{pod,svc,hostpod,node}}.gw.{a}--*",
    )
)
"""Between gateway and worker of the afflicted cluster."""
INSIDE = Signature(("*.{a}--*.{a}--*",))
"""Everything inside the afflicted cluster."""


def maybe(signature: Signature) -> Signature:
    """The same paths, which may fail or not."""
    return Signature((), signature.must + signature.may)

"""Where a cluster's DNS forwards names of the clusterset, from the ConfigMaps that CoreDNS, kube-dns and their distributions have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from pytest_submariner.diagnose.objects.clusterobjects import Object
from pytest_submariner.diagnose.reasoning.published import name_of

ZONE: Final = "clusterset.local"
CLUSTER_DNS: Final = frozenset({"coredns", "coredns-custom", "rke2-coredns-rke2-coredns", "kube-dns", "dns-default"})
_BLOCK = re.compile(rf"^[^\n#{{}}]*\b{re.escape(ZONE)}(?::\d+)?[^\n{{}}]*\{{(?P<body>[^}}]*)", re.MULTILINE)
"""A server block that serves the zone, up to its first closing brace: what is in there before `forward` has no blocks."""
_FORWARD = re.compile(r"^\s*(?:forward|proxy)\s+\S+\s+(?P<to>[^\n{]+)", re.MULTILINE)
_STUBS: Final = "stubDomains"


def cluster_dns(configmaps: tuple[Object, ...]) -> tuple[Object, ...]:
    """Those that configure cluster DNS."""
    return tuple(item for item in configmaps if name_of(item) in CLUSTER_DNS)


def has_zone(configmap: Object) -> bool:
    return any(ZONE in str(text) for text in (configmap.get("data") or {}).values())


def forwards(configmap: Object) -> tuple[str, ...]:
    """Addresses that names of the zone are forwarded to, without ports."""
    return tuple(dict.fromkeys(_without_port(target) for target in _targets(configmap.get("data") or {})))


def _targets(data: dict[str, str]) -> Iterator[str]:
    for key, text in data.items():
        if key == _STUBS:
            yield from _stubs(text)
            continue
        for block in _BLOCK.finditer(text):
            for forward in _FORWARD.finditer(block["body"]):
                yield from forward["to"].split()


def _stubs(text: str) -> Iterator[str]:
    try:
        found = json.loads(text).get(ZONE, ())
    except (ValueError, AttributeError):
        return
    yield from map(str, found)


def _without_port(target: str) -> str:
    bare = re.sub(r"^(?:dns|tls)://", "", target)
    return bare.rsplit(":", 1)[0] if bare.count(":") == 1 else bare

"""How Submariner's pods reach their cluster's API from inside a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ApiAccess:
    """`urls`: cluster -> `https://172.18.0.1:port`, as nodes see it; `ca_pem`: the authority behind every server's
    certificate."""

    token: str = field(repr=False)
    ca_pem: bytes = field(repr=False)
    urls: Mapping[str, str]

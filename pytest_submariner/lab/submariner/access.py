"""What the lab and its Submariner know of each other: how pods reach the API, and what installing means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pytest_submariner.lab.spec import ClusterSpec


@dataclass(frozen=True)
class ApiAccess:
    """`urls`: cluster -> `https://172.18.0.1:port`, as nodes see it; `outside`: the same as the machine sees it, on loopback;
    `ca_pem`: the authority behind every server's certificate."""

    token: str = field(repr=False)
    ca_pem: bytes = field(repr=False)
    urls: Mapping[str, str]
    outside: Mapping[str, str]


class Submariner(Protocol):
    """Modelled, or the genuine agents."""

    async def prepare(self, cluster: ClusterSpec) -> None:
        """What can be done as soon as the cluster's API takes requests; what is refused then is done by `install`."""

    async def install(self) -> None:
        """Returns when every supported path is programmed. LabError says what is missing."""

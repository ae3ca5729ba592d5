"""What the lab and its Submariner know of each other: how pods reach the API, and what installing means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class ApiAccess:
    """`urls`: cluster -> `https://172.18.0.1:port`, as nodes see it; `ca_pem`: the authority behind every server's
    certificate."""

    token: str = field(repr=False)
    ca_pem: bytes = field(repr=False)
    urls: Mapping[str, str]


class Submariner(Protocol):
    """Modelled, or the genuine agents."""

    async def install(self) -> None:
        """Returns when every supported path is programmed. LabError says what is missing."""

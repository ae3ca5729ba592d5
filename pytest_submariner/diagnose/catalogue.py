"""All causes, in the order of the chapters."""

from __future__ import annotations

from typing import Final

from pytest_submariner.diagnose.cause import Cause
from pytest_submariner.diagnose.causes import (
    cable,
    cni,
    dns,
    globalnet,
    host,
    kubernetes,
    mtu,
    netfilter,
    overlay,
    routing,
    underlay,
)

_CHAPTERS = (kubernetes, cable, overlay, routing, netfilter, cni, mtu, dns, globalnet, host, underlay)
CAUSES: Final[tuple[Cause, ...]] = tuple(
    found for chapter in _CHAPTERS for found in vars(chapter).values() if isinstance(found, Cause)
)
BY_CODE: Final = {cause.code: cause for cause in CAUSES}

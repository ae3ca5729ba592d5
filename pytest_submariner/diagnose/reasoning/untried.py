"""Suspicions about what no path of a run depends on: names of the clusterset, global addresses. They are told whether or not a path
fails, and say that it was not tried."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pytest_submariner.diagnose import scope
from pytest_submariner.diagnose.cause import Suspicion
from pytest_submariner.diagnose.reasoning.corefile import ZONE
from pytest_submariner.model.topology import Node

NAMES: Final = f"names by {ZONE} were not asked"
GLOBAL_ADDRESSES: Final = "paths by global addresses were not asked"


def untried(node: Node, what: str, state: Iterable[str], remedy: str = "", *, said: str) -> Suspicion:
    """`said`: `NAMES` or `GLOBAL_ADDRESSES`."""
    return Suspicion(node, what, (*state, said), scope.nothing(), latent=True, remedy=remedy)

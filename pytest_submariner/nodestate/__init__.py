"""What is on a node: typed readers over any transport, and captures. `read_state` reads everything in one command."""

from __future__ import annotations

from pytest_submariner.nodestate.state import read_state

__all__ = ["read_state"]

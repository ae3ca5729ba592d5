"""One node while paths are traced: watched by a capture, else by its devices' counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_submariner.diagnose.tracing.ladder import TUNNEL_DEVICES
from pytest_submariner.diagnose.tracing.sightings import COUNTERS, Look
from pytest_submariner.errors import SubmarinerError
from pytest_submariner.model.nodestate import LinkStats
from pytest_submariner.model.topology import Node
from pytest_submariner.nodestate.capture import Capture
from pytest_submariner.nodestate.selection import Selection
from pytest_submariner.nodestate.state import read_state
from pytest_submariner.transport.node import NodeExec

PACKETS = 2500
SNAP = 224
"""Bytes of each: cooked header, outer headers, VXLAN, inner headers, and a payload that tells packets apart."""
SECONDS = 20
"""After which a forgotten capture ends."""
PATIENCE_S = 8.0
"""With a node that does not answer: it is left out then."""


@dataclass
class Watch:
    """Of `node`, whose device of the default route is `nic` ("" when not known); `wanted` says which packets. `refusal`: why there is
    no capture, in a line."""

    node_exec: Callable[[Node], NodeExec]
    node: Node
    wanted: Selection
    nic: str
    refusal: str = ""
    _capture: Capture | None = None
    _before: dict[str, LinkStats] | None = None

    def start(self) -> None:
        """Nothing raises: a node that refuses is counted, and one that cannot be counted is a gap."""
        try:
            there = self.node_exec(self.node)
            capture = Capture(
                there, selection=self.wanted, packets=PACKETS, seconds=SECONDS, snap=SNAP, timeout=PATIENCE_S
            )
            capture.start()
            self._capture = capture
        except SubmarinerError as error:
            self._count(error)

    def stop(self) -> Look | None:
        """None when nothing could be seen."""
        try:
            if self._capture is not None:
                packets = self._capture.stop()
                return Look(self._capture.tool, packets, self._capture.complete, self.nic)
            if self._before is not None:
                after = _link_stats(self.node_exec(self.node))
                rises = {name: _rise(self._before[name], now) for name, now in after.items() if name in self._before}
                return Look(COUNTERS, underlay=self.nic, rises=rises)
        except SubmarinerError as error:
            self.refusal = self.refusal or self._reason(error)
        return None

    def _count(self, error: SubmarinerError) -> None:
        self.refusal = self._reason(error)
        try:
            self._before = _link_stats(self.node_exec(self.node))
        except SubmarinerError:
            self._before = None

    def _reason(self, error: SubmarinerError) -> str:
        """In one line, without what the note says anyway."""
        first = str(error).partition("\n")[0]
        return first.removeprefix(f"{self.node.name}: ").removeprefix("no capture on any: ")


def _link_stats(there: NodeExec) -> dict[str, LinkStats]:
    links = read_state(there, ("links",)).links or ()
    return {link.name: link.stats for link in links if link.stats is not None and link.name in TUNNEL_DEVICES}


def _rise(before: LinkStats, after: LinkStats) -> LinkStats:
    return LinkStats(after.rx_packets - before.rx_packets, after.tx_packets - before.tx_packets)

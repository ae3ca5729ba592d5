"""Continuous health checks of remote gateways, with Submariner's rules for what counts as down
(submariner:pkg/pinger/pinger.go)."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pytest_submariner.lab.submariner.icmp import IcmpSocket
from pytest_submariner.lab.submariner.latency import Latency

WARM_UP_S: Final = 10.0
"""Until the first reply, and no longer than this, echoes go out in quick succession and none counts as lost: while a
lab boots, the path may be programmed a moment after this process starts."""
WARM_UP_INTERVAL_S: Final = 0.02
WARM_UP_FACTOR: Final = 1.5
"""The succession slows down, so that a hundred nodes which wait for a slow boot do not slow it down."""
_IN_FLIGHT: Final = 128
"""Unanswered echoes remembered per target; a reply that is later than that is nobody's."""


@dataclass
class Health:
    """One remote gateway's health-check IP. `status`: "" until the first reply, then connected or error."""

    ip: str
    status: str = ""
    latency: Latency = field(default_factory=Latency)
    unanswered: int = 0
    next_send: float = 0.0
    warm_until: float = 0.0
    warm_interval: float = WARM_UP_INTERVAL_S
    in_flight: dict[int, int] = field(default_factory=dict)
    """Sequence -> when sent (ns)."""


class Pinger:
    """`interval` between echoes in seconds; down when more than `max_loss` are unanswered as the next one goes out."""

    def __init__(self, interval: float, max_loss: int) -> None:
        self._interval = interval
        self._max_loss = max_loss
        self._icmp = IcmpSocket()
        self._sequence = 0
        self.targets: dict[str, Health] = {}

    def watch(self, ips: Iterable[str]) -> None:
        """From now on exactly these; those known already keep their history."""
        now = time.monotonic()
        self.targets = {
            ip: self.targets.get(ip) or Health(ip, next_send=now, warm_until=now + WARM_UP_S)
            for ip in dict.fromkeys(ips)
        }

    def run(self, until: float) -> bool:
        """Sends and receives until the monotonic time `until`. True, at once, when a target has answered for the
        first time."""
        while True:
            self._send_due()
            wake = min((health.next_send for health in self.targets.values()), default=until)
            timeout = min(wake, until) - time.monotonic()
            readable, _, _ = select.select([self._icmp.socket], [], [], max(0.0, timeout))
            if readable and self._receive():
                return True
            if time.monotonic() >= until:
                return False

    def _send_due(self) -> None:
        now = time.monotonic()
        for health in self.targets.values():
            if health.next_send > now:
                continue
            is_warming_up = not health.status and now < health.warm_until
            health.next_send = now + (min(health.warm_interval, self._interval) if is_warming_up else self._interval)
            if is_warming_up:
                health.warm_interval *= WARM_UP_FACTOR
            else:
                if health.unanswered > self._max_loss:
                    health.status = "error"
                health.unanswered += 1
            self._sequence += 1
            health.in_flight[self._sequence] = time.monotonic_ns()
            if len(health.in_flight) > _IN_FLIGHT:
                del health.in_flight[next(iter(health.in_flight))]
            self._icmp.send(health.ip, self._sequence)

    def _receive(self) -> bool:
        is_first = False
        while (reply := self._icmp.receive()) is not None:
            arrived = time.monotonic_ns()
            source, sequence = reply
            health = self.targets.get(source)
            sent = health.in_flight.get(sequence) if health is not None else None
            if health is None or sent is None:
                continue
            is_first |= not health.status
            health.status = "connected"
            health.unanswered = 0
            # Older ones can no longer tell anything: a reply ends the run of losses.
            health.in_flight = {number: at for number, at in health.in_flight.items() if number > sequence}
            health.latency.add(arrived - sent)
        return is_first

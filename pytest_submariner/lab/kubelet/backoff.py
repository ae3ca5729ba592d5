"""How long a container that ended waits for its next life (`kubelet`: MaxContainerBackOff, client-go flowcontrol.Backoff)."""

from __future__ import annotations

FIRST_S, LONGEST_S = 10.0, 300.0
FORGIVEN_AFTER_S = 600.0
"""A life that lasted so long clears the record."""


class BackOff:
    """The first restart is immediate, then 10 s, 20 s, … 300 s."""

    def __init__(self, first: float = FIRST_S, longest: float = LONGEST_S) -> None:
        self._first, self._longest = first, longest
        self._next = 0.0

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a life of that length."""
        if lived_s >= FORGIVEN_AFTER_S:
            self._next = 0.0
        wait, self._next = self._next, min(self._next * 2 or self._first, self._longest)
        return wait

"""One source asks: the conversation with its agent, with the retry rule. Only "could not ask" is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pytest_submariner.errors import (
    ExecTimeout,
    ExitStatusLost,
    NodeUnreachable,
    ProbeInconclusive,
    SubmarinerError,
    TransportError,
)
from pytest_submariner.kube.errors import AccessDenied
from pytest_submariner.probes.conversation import Conversation, Request, read
from pytest_submariner.probes.pods import CONTAINER, Place, agent_command, conversation_command

if TYPE_CHECKING:
    from pytest_submariner.kube.client import KubeClient
    from pytest_submariner.probes.fleet import Fleet

ASKED_AT_MOST = 3
PAUSE_S = 0.5
GREETING_S = 20.0
"""An agent greets before it asks anything; one that does not is frozen, or its node is."""
WITNESS_S = 4.0
_COULD_NOT_ASK = (NodeUnreachable, ExitStatusLost)
"""Refused upgrades, dropped streams. An exit status, a missing program or a refused credential is an answer."""


def converse(
    kube: Callable[[str], KubeClient],
    fleet: Fleet,
    place: Place,
    request: Request,
    *,
    apart: bool = False,
    greeting_s: float = GREETING_S,
) -> Conversation:
    """All probes of `request` from the pod at `place`; with `apart` by an agent of its own, which costs the start of a Python, and
    does not need the pod's listener.

    ProbeInconclusive when something was said that cannot be trusted; TransportError when nothing was: it names the pod's end when the
    pod died.
    """
    for attempt in range(1, ASKED_AT_MOST + 1):
        heard = _Heard()
        try:
            lines = kube(place.cluster).converse(
                fleet.namespace,
                place.pod,
                CONTAINER,
                agent_command("connect") if apart else conversation_command(),
                first_line=request.line,
                timeout=request.deadline_s,
                patience=greeting_s,
            )
            return read(request, heard.of(lines))
        except ProbeInconclusive as error:
            raise ProbeInconclusive(f"{place}: {error}") from None
        except ExecTimeout as error:
            raise ProbeInconclusive(f"{place}: the agent did not answer in time: {error}") from None
        except SubmarinerError as error:
            death = fleet.health(place)
            if death:
                raise TransportError(f"{death} ({error})") from None
            if not isinstance(error, _COULD_NOT_ASK) or isinstance(error, AccessDenied) or attempt == ASKED_AT_MOST:
                if heard.lines:
                    raise ProbeInconclusive(
                        f"{place}: the answer broke off after {heard.lines} lines: {error}"
                    ) from None
                raise TransportError(f"{place}: {error}") from None
        time.sleep(PAUSE_S * attempt)
    raise AssertionError("the last attempt either returns or raises")


def ask_listener(kube: Callable[[str], KubeClient], fleet: Fleet, place: Place, request: Request) -> Conversation:
    """The same with the listener of a pod as a witness to itself; only when it says nothing is an agent started beside it."""
    try:
        return converse(kube, fleet, place, request, greeting_s=WITNESS_S)
    except ProbeInconclusive:
        return converse(kube, fleet, place, request, apart=True)


class _Heard:
    """Counts the lines that came before an error."""

    def __init__(self) -> None:
        self.lines = 0

    def of(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        for line in lines:
            self.lines += 1
            yield line

"""What the processes of pods that are not as they should be said last, for a message to people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pytest_submariner.dataplane.constants import OPERATOR_NAMESPACE
from pytest_submariner.errors import LabError
from pytest_submariner.lab.submariner.creation import path

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]
LINES: Final = 10
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_SILENCE_S: Final = 5.0


async def last_words(api: KubeApi) -> str:
    """The end of one log: of the first pod by name that is not ready, else of the first gateway. "" when there is no log."""
    pods = await api.list(path("v1", "pods", OPERATOR_NAMESPACE))
    for pod in sorted(pods, key=_interest):
        where = f"{path('v1', 'pods', OPERATOR_NAMESPACE)}/{pod['metadata']['name']}/log"
        # A container that waits for its next life has its words in the previous one.
        for previous in ("false", "true"):
            lines = await _read(api, where, previous)
            if lines:
                said = "\n".join(lines[-LINES:])
                return (
                    f"{pod['metadata']['labels'].get('app', 'pod')} on {pod['spec'].get('nodeName')} said last:\n{said}"
                )
    return ""


def _interest(pod: Object) -> tuple[bool, int, str]:
    """Ready ones last, those that died most first, gateways (by name) before route agents."""
    statuses: Sequence[Object] = (pod.get("status") or {}).get("containerStatuses") or ()
    is_ready = bool(statuses) and all(status.get("ready") for status in statuses)
    return is_ready, -sum(status.get("restartCount", 0) for status in statuses), pod["metadata"]["name"]


async def _read(api: KubeApi, where: str, previous: str) -> list[str]:
    text = b""
    try:
        async with api.stream(where, {"tailLines": str(LINES), "previous": previous}, silence_s=_SILENCE_S) as chunks:
            async for chunk in chunks:
                text += chunk
    except LabError:
        return []
    return [line for line in _COLOURS.sub("", text.decode(errors="replace")).splitlines() if line.strip()]

"""What a kubelet writes about one pod: its status, and that it is gone."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_submariner.lab.kubeapi import ApiError, ApiUnreachable, KubeApi

Object = dict[str, Any]
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
log = logging.getLogger(__name__)


class PodReport:
    """Writes one thing at a time, and nothing twice."""

    def __init__(self, api: KubeApi, path: str, uid: str, gone: asyncio.Event) -> None:
        """`path`: of the pod's object; `gone`: set when there is no such object any more."""
        self.published: Object = {}
        """The status as last written."""
        self._api = api
        self._path = path
        self._uid = uid
        self._gone = gone
        self._writing = asyncio.Lock()

    async def publish(self, status_of: Callable[[], Object]) -> None:
        """The API has the pod's status of this moment, or a later one, when this returns; unless the pod is gone."""
        async with self._writing:
            status = status_of()
            if self._gone.is_set() or status == self.published:
                return
            # The uid makes a write meant for this pod fail on a successor of the same name.
            patch = {"metadata": {"uid": self._uid}, "status": status}
            if await self._tell(lambda: self._api.patch(f"{self._path}/status", patch)):
                self.published = copy.deepcopy(status)

    async def removed(self) -> None:
        """The API keeps a pod that had a node until its kubelet says that it is gone."""
        await self._tell(lambda: self._api.delete(self._path, grace=0, uid=self._uid))

    async def _tell(self, request: Callable[[], Awaitable[object]]) -> bool:
        """Again and again while the API has troubles of its own; False when it no longer knows the pod."""
        pause = FIRST_PAUSE_S
        while not self._gone.is_set():
            try:
                await request()
            except ApiError as error:
                if error.status in (404, 409):
                    return False
                log.warning("%s: %s", self._path, error)
                if error.status < 500:
                    return False
            except ApiUnreachable as error:
                log.warning("%s: %s", self._path, error)
            else:
                return True
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
        return False

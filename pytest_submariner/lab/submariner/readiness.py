"""Waiting for a collection of the API to look right, by watching it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_submariner.errors import LabError

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]


async def wait_for(api: KubeApi, path: str, complaint: Callable[[Sequence[Object]], str], deadline_s: float) -> None:
    """Returns once `complaint` has nothing to say about the objects at `path`; LabError with its last words after
    `deadline_s`."""
    informer = api.informer(path)
    last = "nothing was listed"
    changed = asyncio.Event()
    try:
        informer.on_event(lambda _: changed.set())
        informer.start()
        async with asyncio.timeout(deadline_s):
            await informer.synced.wait()
            while last := complaint(list(informer.cache.values())):
                changed.clear()
                await changed.wait()
    except TimeoutError as error:
        raise LabError(f"{path} was not as it should be after {deadline_s:g} s: {last}") from error
    finally:
        await informer.stop()

"""A work queue as Kubernetes controllers have it: what wants attention is named by a key, and looked at when its turn comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pytest_submariner.errors import LabError
from pytest_submariner.lab.apierrors import ApiError
from pytest_submariner.lab.informer import Key
from pytest_submariner.lab.kubeapi import Object

log = logging.getLogger(__name__)
FIRST_RETRY_S = 0.01
LONGEST_RETRY_S = 2.0
AT_ONCE = 32


class Reconciler:
    """Calls `work(key)` for each key added, never twice at a time for one key, again after a failure.

    A key added while its work runs is looked at once more afterwards; added many times before, it is looked at once.
    `delay_s` gathers bursts.
    """

    def __init__(self, name: str, work: Callable[[Key], Awaitable[None]], *, delay_s: float = 0.0) -> None:
        self._name, self._work, self._delay_s = name, work, delay_s
        self._waiting: dict[Key, asyncio.TimerHandle] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._stopped = False

    def add(self, key: Key, *, after_s: float | None = None) -> None:
        """Look at `key` soon, or in `after_s` seconds."""
        if self._stopped:
            return
        if key in self._running:
            self._again.add(key)
            return
        delay = self._delay_s if after_s is None else after_s
        loop = asyncio.get_running_loop()
        waiting = self._waiting.get(key)
        if waiting is not None:
            if waiting.when() <= loop.time() + delay:
                return
            waiting.cancel()
        self._waiting[key] = loop.call_later(delay, self._begin, key)

    async def stop(self) -> None:
        """Cancel what waits and what runs."""
        self._stopped = True
        for handle in self._waiting.values():
            handle.cancel()
        self._waiting.clear()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _begin(self, key: Key) -> None:
        del self._waiting[key]
        self._running[key] = asyncio.create_task(self._run(key), name=f"{self._name} {'/'.join(filter(None, key))}")

    async def _run(self, key: Key) -> None:
        retry_s: float | None = None
        try:
            async with self._slots:
                await self._work(key)
            self._failures.pop(key, None)
        except LabError as error:
            if is_moot(error):
                self._failures.pop(key, None)
            else:
                retry_s = self._failed(key)
                log.info("%s %s: %s; again in %.2f s", self._name, "/".join(key), error, retry_s)
        except Exception:
            retry_s = self._failed(key)
            log.exception("%s %s", self._name, "/".join(key))
        finally:
            del self._running[key]
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif retry_s is not None:
            self.add(key, after_s=retry_s)

    def _failed(self, key: Key) -> float:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        return float(min(FIRST_RETRY_S * 2**count, LONGEST_RETRY_S))


def is_moot(error: LabError) -> bool:
    """The object, or its namespace, went away meanwhile: nothing is left to do."""
    if not isinstance(error, ApiError):
        return False
    return error.status == 404 or (error.status == 403 and "being terminated" in error.message)


def key_of(item: Object) -> Key:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]

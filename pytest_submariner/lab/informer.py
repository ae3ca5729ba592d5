"""A live copy of one collection of the Kubernetes API: list, then watch, and list again when the watch can't go on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from pytest_submariner.errors import LabError
from pytest_submariner.lab.apierrors import ApiError

if TYPE_CHECKING:
    from pytest_submariner.lab.kubeapi import KubeApi

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace ("" for cluster-scoped kinds) and name."""
EventType = Literal["ADDED", "MODIFIED", "DELETED"]
WATCH_SECONDS = 300
"""The server is asked to end each watch after so long; a silently dead connection is noticed a little later."""
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """One change. `object` is the new state (of a deleted object the last one), `old` what the cache held before."""

    type: EventType
    object: Object
    old: Object | None = None


class _Expired(Exception):
    """410: the resourceVersion is older than the server remembers."""


class Informer:
    """`cache` follows the server; handlers and iterators get every change, after an ADDED for what is there.

    A change that happened while the watch was down comes as the event it would have been, deletions included.
    Objects in the cache are shared: copy before changing one.
    """

    def __init__(self, api: KubeApi, path: str, selectors: dict[str, str]) -> None:
        """Made by `KubeApi.informer`; `selectors`: labelSelector and fieldSelector as query parameters."""
        self.path = path
        self.cache: dict[Key, Object] = {}
        self.synced = asyncio.Event()
        """Set once the first list is in the cache."""
        self._api = api
        self._selectors = selectors
        self._handlers: list[Callable[[Event], None]] = []
        self._version = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"informer {self.path}")

    async def stop(self) -> None:
        """End the watch and every `async for` over this informer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def on_event(self, handler: Callable[[Event], None]) -> None:
        """Call `handler` with each event, in order, from the event loop; it must not block."""
        for stored in list(self.cache.values()):
            handler(Event("ADDED", stored))
        self._handlers.append(handler)

    def observe(self, written: Object) -> Object:
        """Put the answer of a write into the cache at once, as if its event had come; returns it.

        Who decides by what the cache holds would else act twice. An answer older than what the watch has told is ignored
        (resourceVersions are numbers, and comparable within one server since Kubernetes 1.35; the lab's were always).
        """
        if self.synced.is_set() and _version(written) > int(self._version or 0):
            self._store("MODIFIED" if _key(written) in self.cache else "ADDED", written)
        return written

    async def __aiter__(self) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.on_event(queue.put_nowait)
        self.start()
        assert self._task is not None
        self._task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._handlers.remove(queue.put_nowait)

    async def _follow(self) -> None:
        pause, complaint = FIRST_PAUSE_S, ""
        while True:
            before = self._version
            try:
                if not self._version:
                    items, self._version = await self._api.list_at(self.path, self._selectors)
                    self._replace(items)
                    self.synced.set()
                await self._watch()
            except _Expired:
                self._version = ""
            except LabError as error:
                # A refusal may mean that the version is of another life of the server; a broken connection does not.
                if isinstance(error, ApiError):
                    self._version = ""
                if str(error) != complaint:
                    complaint = str(error)
                    log.info("watch %s: %s", self.path, complaint)
            except Exception:
                log.exception("watch %s: starting over", self.path)
                self._version = ""
            if self._version not in ("", before):
                pause = FIRST_PAUSE_S
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _watch(self) -> None:
        """Apply events until the server ends the watch."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        query |= {"resourceVersion": self._version, **self._selectors}
        rest = b""
        async with self._api.stream(self.path, query, silence_s=WATCH_SECONDS + 30) as chunks:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        self._version = self._apply(json.loads(line))

    def _apply(self, change: Object) -> str:
        kind, changed = change["type"], change["object"]
        if kind == "ERROR":
            if changed.get("code") == 410:
                raise _Expired
            raise ApiError(changed.get("code", 500), changed.get("reason", ""), changed.get("message", ""))
        if kind != "BOOKMARK":
            self._store(cast(EventType, kind), changed)
        return cast(str, changed["metadata"]["resourceVersion"])

    def _replace(self, items: list[Object]) -> None:
        fresh = {_key(item): item for item in items}
        for key in [key for key in self.cache if key not in fresh]:
            self._store("DELETED", self.cache[key])
        for key, item in fresh.items():
            old = self.cache.get(key)
            if old is not None and old["metadata"].get("uid") != item["metadata"].get("uid"):
                self._store("DELETED", old)  # deleted and made anew under the same name while we were not looking
                old = None
            if old is None:
                self._store("ADDED", item)
            elif old["metadata"].get("resourceVersion") != item["metadata"].get("resourceVersion"):
                self._store("MODIFIED", item)

    def _store(self, kind: EventType, changed: Object) -> None:
        key = _key(changed)
        old = self.cache.get(key)
        if kind == "DELETED":
            self.cache.pop(key, None)
        elif old is not None and _version(old) >= _version(changed):
            return  # observed already
        else:
            self.cache[key] = changed
        event = Event(kind, changed, old)
        for handler in list(self._handlers):
            try:
                handler(event)
            except Exception:
                log.exception("handler of %s failed on %s %s", self.path, kind, "/".join(key))


def _key(item: Object) -> Key:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _version(item: Object) -> int:
    return int(item["metadata"].get("resourceVersion", 0))

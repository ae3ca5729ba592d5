"""Objects in memory: one resource version for all, and per kind a ring of events for watches.

Stored objects are never changed: each write builds a new one, so lists and events share them without copies. All calls come from
one event loop and nothing here awaits between check and write, so there are no locks.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Object = dict[str, Any]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]

RING = 5000
"""Events a kind keeps at least; a watch from before them gets 410 and lists anew."""

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Object to compact JSON text."""


class Stored:
    """An object as kept, with its JSON made once, on first use."""

    __slots__ = ("_json", "data", "version")

    def __init__(self, data: Object, version: int) -> None:
        self.data = data
        self.version = version
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        """Starts with kind and apiVersion, as the store keeps them first."""
        if self._json is None:
            self._json = encode(self.data).encode()
        return self._json

    def copy(self) -> Object:
        """A private deep copy."""
        copied: Object = json.loads(self.json)
        return copied

    @property
    def uid(self) -> str:
        return str(self.data["metadata"]["uid"])


@dataclass(frozen=True, slots=True)
class Event:
    """A write: `old` is None for ADDED; a DELETED event's `new` is the last state with the version of the removal."""

    version: int
    type: EventType
    new: Stored
    old: Stored | None


@dataclass
class Collection:
    """The objects of one resource, and what happened to them lately."""

    _objects: dict[str, dict[str, Stored]] = field(default_factory=dict)
    _ring: list[Event] = field(default_factory=list)
    _lost: int = 0
    """Version of the last event dropped from the ring."""
    _waiters: set[asyncio.Future[None]] = field(default_factory=set)

    def get(self, namespace: str, name: str) -> Stored | None:
        return self._objects.get(namespace, {}).get(name)

    def select(self, namespace: str | None) -> list[Stored]:
        """By namespace and name; None: of all namespaces."""
        spaces = sorted(self._objects) if namespace is None else [namespace]
        return [objects[name] for s in spaces if (objects := self._objects.get(s)) for name in sorted(objects)]

    @property
    def oldest(self) -> int:
        """A watch can resume from this version or later."""
        return self._lost

    def after(self, version: int) -> list[Event]:
        """Events later than `version`, oldest first; ask only from `oldest` on."""
        return self._ring[bisect_right(self._ring, version, key=lambda e: e.version) :]

    def changed(self) -> asyncio.Future[None]:
        """A future that is done with the next event."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)
        return waiter

    def record(self, namespace: str, name: str, event: Event) -> None:
        objects = self._objects.setdefault(namespace, {})
        if event.type == "DELETED":
            del objects[name]
            if not objects:
                del self._objects[namespace]
        else:
            objects[name] = event.new
        self._ring.append(event)
        if len(self._ring) >= 2 * RING:
            self._lost = self._ring[RING - 1].version
            del self._ring[:RING]
        self.wake()

    def wake(self) -> None:
        """Lets everyone who waits for a change look again."""
        for waiter in tuple(self._waiters):
            if not waiter.done():
                waiter.set_result(None)


@dataclass
class Store:
    """All collections, keyed by group and plural name, and the one counter they share."""

    version: int = 1
    """The last resource version given out."""
    _collections: dict[tuple[str, str], Collection] = field(default_factory=dict)

    def collection(self, group: str, plural: str) -> Collection:
        return self._collections.setdefault((group, plural), Collection())

    def __iter__(self) -> Iterator[Collection]:
        return iter(tuple(self._collections.values()))

    def put(self, collection: Collection, data: Object, old: Stored | None) -> Stored:
        """Writes a new object, or a new state of `old`; `data` is the store's from now on."""
        stored = self._versioned(data)
        event = Event(stored.version, "MODIFIED" if old else "ADDED", stored, old)
        collection.record(*_key(data), event)
        return stored

    def remove(self, collection: Collection, old: Stored, last: Object | None = None) -> Stored:
        """Removes `old`; `last` is the state to show in the event when it differs."""
        stored = self._versioned(dict(last or old.data))
        collection.record(*_key(stored.data), Event(stored.version, "DELETED", stored, old))
        return stored

    def _versioned(self, data: Object) -> Stored:
        self.version += 1
        data["metadata"] = {**data["metadata"], "resourceVersion": str(self.version)}
        return Stored(data, self.version)


def _key(data: Object) -> tuple[str, str]:
    meta = data["metadata"]
    return meta.get("namespace", ""), meta["name"]

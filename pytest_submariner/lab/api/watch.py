"""WATCH: what happened since a version, as one JSON line per event, until the client goes or the time is up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web

from pytest_submariner.lab.api.bodies import TRUE
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.lists import ListOptions, as_version, check_version, number
from pytest_submariner.lab.api.negotiation import Shape
from pytest_submariner.lab.api.paths import Target
from pytest_submariner.lab.api.resources import Resources
from pytest_submariner.lab.api.status import Object, StatusError, expired, forbidden_value
from pytest_submariner.lab.api.store import Event, Stored, encode
from pytest_submariner.lab.api.table import partial, table

BOOKMARK_S = 30.0
"""Between bookmarks, for clients that allow them."""
_LONG_S = (1800.0, 3600.0)
"""How long a watch without timeoutSeconds lasts."""
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass
class Watch:
    """One client's watch of one collection."""

    resources: Resources
    kind: Kind
    namespace: str | None
    options: ListOptions
    shape: Shape
    bookmarks: bool
    initial: bool
    """Send what is there first, as ADDED."""
    initial_end: bool
    """Say with a bookmark when that is done (WatchList)."""
    timeout_s: float
    _headed: bool = False
    """The first Table event carries the column definitions."""

    @classmethod
    def of(
        cls, resources: Resources, target: Target, query: Mapping[str, str], options: ListOptions, shape: Shape
    ) -> Watch:
        """StatusError 400 or 422 for options that do not fit together."""
        asked = query.get("sendInitialEvents")
        if asked == "true" and query.get("resourceVersionMatch") != "NotOlderThan":
            raise _no_version_match()
        return cls(
            resources,
            target.kind,
            target.namespace,
            options,
            shape,
            bookmarks=query.get("allowWatchBookmarks") in TRUE,
            initial=asked == "true" or (asked is None and not options.version),
            initial_end=asked == "true",
            timeout_s=number(query, "timeoutSeconds") or random.uniform(*_LONG_S),
        )

    async def serve(self, request: web.BaseRequest, closing: asyncio.Event) -> web.StreamResponse:
        """Headers at once, then events."""
        collection = self.resources.collection(self.kind)
        check_version(self.options, self.resources.store.version)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        version = self.resources.store.version if self.initial or not self.options.version else self.options.version
        if self.initial and (lines := b"".join(self._initial())):
            await response.write(lines)
        loop = asyncio.get_running_loop()
        end = loop.time() + self.timeout_s
        bookmark = loop.time() + BOOKMARK_S
        while not closing.is_set():
            if version < collection.oldest:
                await response.write(_line("ERROR", encode(expired(collection.oldest, version).body).encode()))
                break
            changed = collection.changed()
            events = collection.after(version)
            version = max(version, self.resources.store.version)
            if events and (lines := b"".join(filter(None, map(self._event, events)))):
                await response.write(lines)
            if self.bookmarks and loop.time() >= bookmark:
                await response.write(self._bookmark(version))
                bookmark = loop.time() + BOOKMARK_S
            wait = min(end, bookmark if self.bookmarks else end) - loop.time()
            if end <= loop.time():
                break
            try:
                async with asyncio.timeout(max(wait, 0)):
                    await changed
            except TimeoutError:
                pass
            finally:
                changed.cancel()
        await response.write_eof()
        return response

    def _initial(self) -> Iterator[bytes]:
        for stored in self.resources.select(self.kind, self.namespace, self.options.match):
            yield self._object("ADDED", stored)
        if self.initial_end and self.bookmarks:
            yield self._bookmark(self.resources.store.version, _INITIAL_END)

    def _event(self, event: Event) -> bytes | None:
        """Entering a selector is ADDED, leaving it DELETED."""
        if self.namespace is not None and event.new.data["metadata"].get("namespace") != self.namespace:
            return None
        match = self.options.match
        if match is None:
            return self._object(event.type, event.new)
        was = event.old is not None and match(event.old.data)
        now = event.type != "DELETED" and match(event.new.data)
        if now:
            return self._object("MODIFIED" if was else "ADDED", event.new)
        return self._object("DELETED", event.new) if was else None

    def _object(self, event_type: str, stored: Stored) -> bytes:
        if self.shape is Shape.OBJECT:
            return _line(event_type, as_version(self.kind, stored))
        if self.shape is Shape.PARTIAL:
            return _line(event_type, encode(partial(stored.data)).encode())
        meta = {"resourceVersion": str(stored.version)}
        shown = table(self.kind, [stored], meta, self.options.include, head=not self._headed)
        self._headed = True
        return _line(event_type, encode(shown).encode())

    def _bookmark(self, version: int, annotations: dict[str, str] | None = None) -> bytes:
        meta: Object = {"resourceVersion": str(version), **({"annotations": annotations} if annotations else {})}
        if self.shape is Shape.TABLE:
            return _line("BOOKMARK", encode(table(self.kind, [], meta, "None", head=False)).encode())
        head = {"kind": self.kind.kind, "apiVersion": self.kind.api_version}
        if self.shape is Shape.PARTIAL:
            head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        return _line("BOOKMARK", encode({**head, "metadata": meta}).encode())


def _line(event_type: str, body: bytes) -> bytes:
    return b'{"type":"' + event_type.encode() + b'","object":' + body + b"}\n"


def _no_version_match() -> StatusError:
    why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    cause = forbidden_value("resourceVersionMatch", why)
    details = {"group": "meta.k8s.io", "kind": "ListOptions", "causes": [cause.to_dict()]}
    text = f'ListOptions.meta.k8s.io "" is invalid: {cause.field}: {cause.message}'
    return StatusError(422, "Invalid", text, details)

"""LIST: options, pages, and the answer in the shape the client accepts."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.negotiation import Shape
from pytest_submariner.lab.api.selectors import Matcher, matcher
from pytest_submariner.lab.api.status import StatusError, bad_request, too_large_version
from pytest_submariner.lab.api.store import Object, Stored, encode
from pytest_submariner.lab.api.table import partial, table


@dataclass(frozen=True)
class ListOptions:
    """The query of LIST, WATCH and DELETE of a collection."""

    match: Matcher | None
    version: int | None
    """resourceVersion: None when not given, 0 for "any"."""
    limit: int
    after: tuple[str, str] | None
    """From a continue token: the (namespace, name) of the last object already sent."""
    pinned: int | None
    """From a continue token: the version of the first page."""
    include: str

    @classmethod
    def of(cls, kind: Kind, query: Mapping[str, str], name: str | None = None) -> ListOptions:
        """StatusError 400 for what cannot be read."""
        after, pinned = _position(query.get("continue", ""))
        return cls(
            match=matcher(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""), name),
            version=resource_version(query),
            limit=number(query, "limit"),
            after=after,
            pinned=pinned,
            include=query.get("includeObject", "Metadata"),
        )


def number(query: Mapping[str, str], name: str) -> int:
    """A whole number from the query, 0 when not given."""
    text = query.get(name) or "0"
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def resource_version(query: Mapping[str, str]) -> int | None:
    text = query.get("resourceVersion", "")
    if not text:
        return None
    if not text.isdigit():
        why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise bad_request(f"invalid resource version: {why}")
    return int(text)


def check_version(options: ListOptions, current: int) -> None:
    """504 for a version that is still to come, as clients expect who talked to another server before."""
    if options.version and options.version > current:
        raise too_large_version(options.version, current)


def page(found: list[Stored], options: ListOptions) -> tuple[list[Stored], int]:
    """The objects of this page, and how many are left."""
    if options.after:
        found = [s for s in found if _place(s) > options.after]
    if not options.limit or len(found) <= options.limit:
        return found, 0
    return found[: options.limit], len(found) - options.limit


def render(kind: Kind, found: list[Stored], left: int, options: ListOptions, version: int, shape: Shape) -> bytes:
    """The List, Table or PartialObjectMetadataList as JSON."""
    meta: Object = {"resourceVersion": str(options.pinned or version)}
    if left:
        meta["continue"] = _token(_place(found[-1]), options.pinned or version)
        if options.match is None:
            meta["remainingItemCount"] = left
    if shape is Shape.TABLE:
        return encode(table(kind, found, meta, options.include)).encode()
    if shape is Shape.PARTIAL:
        items = [partial(s.data) for s in found]
        head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        return encode({**head, "metadata": meta, "items": items}).encode()
    return list_json(kind, found, meta)


def list_json(kind: Kind, found: list[Stored], meta: Object) -> bytes:
    """Objects' own JSON put together; items of built-in kinds do not repeat kind and apiVersion."""
    repeated = b"" if kind.custom else encode({"kind": kind.kind, "apiVersion": kind.api_version})[:-1].encode() + b","
    items = b",".join(_item(as_version(kind, s), repeated) for s in found)
    head = encode({"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta})
    return head[:-1].encode() + b',"items":[' + items + b"]}"


def _item(body: bytes, repeated: bytes) -> bytes:
    return b"{" + body[len(repeated) :] if repeated and body.startswith(repeated) else body


def as_version(kind: Kind, stored: Stored) -> bytes:
    """The object's JSON in the version asked for: a CRD's versions share their objects, only apiVersion differs."""
    if not kind.storage_version or stored.data.get("apiVersion") == kind.api_version:
        return stored.json
    return encode({**stored.data, "apiVersion": kind.api_version}).encode()


def _place(stored: Stored) -> tuple[str, str]:
    meta = stored.data["metadata"]
    return meta.get("namespace", ""), meta["name"]


def _token(place: tuple[str, str], version: int) -> str:
    return base64.urlsafe_b64encode(encode({"v": "meta.k8s.io/v1", "rv": version, "start": place}).encode()).decode()


def _position(token: str) -> tuple[tuple[str, str] | None, int | None]:
    if not token:
        return None, None
    try:
        document = json.loads(base64.urlsafe_b64decode(token))
        namespace, name = document["start"]
        return (str(namespace), str(name)), int(document["rv"])
    except (ValueError, KeyError, TypeError) as why:
        raise StatusError(400, "BadRequest", f"continue key is not valid: {why}") from why

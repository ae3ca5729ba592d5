"""Objects as HTTP responses."""

from __future__ import annotations

from aiohttp import web

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.lists import as_version
from pytest_submariner.lab.api.negotiation import Shape, accepted_shape
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.store import Stored, encode
from pytest_submariner.lab.api.table import partial, table


def answer(body: Object | bytes, code: int = 200) -> web.Response:
    """JSON, made or to be made."""
    data = body if isinstance(body, bytes) else encode(body).encode()
    return web.Response(body=data, status=code, content_type="application/json")


def object_answer(
    request: web.Request, kind: Kind, stored: Stored, *, code: int = 200, warnings: list[str] | None = None
) -> web.Response:
    """One object in the shape the client accepts, with a Warning header per warning. StatusError 406."""
    match accepted_shape(request.headers.get("Accept", "")):
        case Shape.TABLE:
            meta = {"resourceVersion": stored.data["metadata"].get("resourceVersion", "")}
            response = answer(table(kind, [stored], meta, request.query.get("includeObject", "Metadata")), code)
        case Shape.PARTIAL:
            response = answer(partial(stored.data), code)
        case _:
            response = answer(as_version(kind, stored), code)
    for text in warnings or ():
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response

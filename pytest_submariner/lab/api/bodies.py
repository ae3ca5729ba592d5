"""Request bodies in the shape of their kind, and what the query asks of a write."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from pytest_submariner.lab.api import status
from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.lists import number
from pytest_submariner.lab.api.negotiation import media_type, parse_object
from pytest_submariner.lab.api.status import Object
from pytest_submariner.lab.api.typed import fit, fit_as, strict_error

TRUE = {"true", "1"}


async def body_of(request: web.Request) -> Object:
    """StatusError 400 or 415 for what is not an object in a known format."""
    return parse_object(media_type(request.headers), await request.read())


async def delete_options(request: web.Request) -> Object:
    """The body, or the query where the body says nothing. StatusError 400."""
    body = await request.read()
    options = fit_as("v1", "DeleteOptions", parse_object(media_type(request.headers), body) if body else {})
    if "gracePeriodSeconds" in request.query and options.get("gracePeriodSeconds") is None:
        options["gracePeriodSeconds"] = number(request.query, "gracePeriodSeconds")
    return options


def fitted(kind: Kind, body: Any, request: web.Request) -> tuple[Object, list[str]]:
    """The body in its kind's shape, and a warning per field it does not have. StatusError 400: another kind, a wrong type, or an unknown
    field with fieldValidation=Strict."""
    if not isinstance(body, dict):
        raise status.bad_request("the object provided is unrecognized: not an object")
    given, version = body.get("kind") or kind.kind, body.get("apiVersion") or kind.api_version
    if given != kind.kind:
        why = f"converting ({version}.{given}) to ({kind.group or 'core'}.{kind.kind}): unknown conversion"
        raise status.bad_request(f'{given} in version "{version}" cannot be handled as a {kind.kind}: {why}')
    if version != kind.api_version:
        why = f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        raise status.bad_request(why)
    made = fit(kind, body)
    wanted = request.query.get("fieldValidation")
    if not made.unknown or wanted == "Ignore":
        return made.object, []
    if wanted == "Strict":
        raise strict_error(kind, made.unknown)
    return made.object, [f'unknown field "{name}"' for name in made.unknown]


def is_dry_run(request: web.Request, options: Object | None = None) -> bool:
    """StatusError 422 for anything but `All`."""
    asked = [*request.query.getall("dryRun", []), *((options or {}).get("dryRun") or ())]
    if any(a != "All" for a in asked):
        why = f'dryRun: Unsupported value: "{asked[0]}": supported values: "All"'
        raise status.unprocessable(f'CreateOptions.meta.k8s.io "" is invalid: {why}')
    return bool(asked)

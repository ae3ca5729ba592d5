"""Refusals, as the Status objects clients parse; the wording is the genuine server's (apimachinery:pkg/api/errors)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_submariner.lab.api.kinds import Kind

Object = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """One invalid field: `reason` is FieldValueInvalid, FieldValueRequired, FieldValueForbidden …"""

    reason: str
    field: str
    message: str
    """`Invalid value: "x": why`, without the field's name."""

    def to_dict(self) -> Object:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def invalid_value(field: str, value: str, why: str) -> Cause:
    return Cause("FieldValueInvalid", field, f'Invalid value: "{value}": {why}')


def required(field: str, why: str = "") -> Cause:
    return Cause("FieldValueRequired", field, f"Required value: {why}" if why else "Required value")


def forbidden_value(field: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", field, f"Forbidden: {why}")


class StatusError(Exception):
    """An answer other than success; `body` is the Status object."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details

    @property
    def body(self) -> Object:
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        return {**body, "code": self.code}


class PageNotFound(Exception):
    """No such path: the genuine server answers in plain text, and clients tell a missing group by that."""


def _details(kind: Kind, name: str, **more: Any) -> Object:
    group = {"group": kind.group} if kind.group else {}
    return {**({"name": name} if name else {}), **group, "kind": kind.plural, **more}


def not_found(kind: Kind, name: str) -> StatusError:
    return StatusError(404, "NotFound", f'{kind.qualified} "{name}" not found', _details(kind, name))


def already_exists(kind: Kind, name: str) -> StatusError:
    return StatusError(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', _details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> StatusError:
    return StatusError(
        409, "Conflict", f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}', _details(kind, name)
    )


def modified(kind: Kind, name: str) -> StatusError:
    return conflict(
        kind, name, "the object has been modified; please apply your changes to the latest version and try again"
    )


def forbidden(kind: Kind, name: str, why: str, causes: list[Object] | None = None) -> StatusError:
    details = _details(kind, name, **({"causes": causes} if causes else {}))
    return StatusError(403, "Forbidden", f'{kind.qualified} "{name}" is forbidden: {why}', details)


def invalid(kind: Kind, name: str, causes: list[Cause]) -> StatusError:
    """422; several causes are listed in brackets."""
    texts = [f"{c.field}: {c.message}" for c in causes]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details: Object = {"name": name} if name else {}
    if kind.group:
        details["group"] = kind.group
    details |= {"kind": kind.kind, "causes": [c.to_dict() for c in causes]}
    return StatusError(422, "Invalid", f'{kind.qualified_kind} "{name}" is invalid: {text}', details)


def unprocessable(message: str) -> StatusError:
    return StatusError(422, "Invalid", message, {})


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def method_not_allowed() -> StatusError:
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def unsupported_media(accepted: tuple[str, ...]) -> StatusError:
    text = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return StatusError(415, "UnsupportedMediaType", text)


def not_acceptable() -> StatusError:
    return StatusError(406, "NotAcceptable", "only the following media types are accepted: application/json")


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def expired(oldest: int, asked: int) -> StatusError:
    return StatusError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def too_large_version(asked: int, current: int) -> StatusError:
    """504 that client-go recognises by its cause and retries."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return StatusError(504, "Timeout", f"Timeout: Too large resource version: {asked}, current: {current}", details)


def success(kind: Kind | None = None, name: str = "", uid: str = "") -> Object:
    """The Status of a DELETE that does not answer with the object, or of a binding (no kind)."""
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return {**body, "details": _details(kind, name, uid=uid)} if kind else body
